"""Model environments, built with uv: resolved with hashes, installed from wheels, compiled, sealed, kept by digest."""

from taxiway.environments.builder import BuildLogWriter, UvEnvironmentBuilder

__all__ = ["BuildLogWriter", "UvEnvironmentBuilder"]
