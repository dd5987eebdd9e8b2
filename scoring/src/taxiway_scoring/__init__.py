"""The scoring server: runs inside a model's own environment and never imports ``taxiway``.

``contract`` and ``manifest`` use the standard library only and are the two modules that Taxiway itself imports.
"""

__version__ = "0.1.0"
