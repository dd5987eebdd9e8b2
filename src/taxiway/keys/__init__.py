"""The keys that sign access tokens, kept as files (port Signer)."""

from taxiway.keys.signer import FileSigner, UnusableKey

__all__ = ["FileSigner", "UnusableKey"]
