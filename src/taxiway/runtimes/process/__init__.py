"""Pods as processes of this machine, each with a stub of its own, shut in with what the host offers."""

from taxiway.runtimes.process.runtime import PodHome, ProcessRuntime

__all__ = ["PodHome", "ProcessRuntime"]
