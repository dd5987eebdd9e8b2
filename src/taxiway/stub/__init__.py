"""Child processes that outlive whoever started them: the stub program and the library that talks to it.

A *stub* is a small process, one per child. It starts the child, keeps its log, restarts it with back-off,
writes down why it ended, and takes it along when it is killed itself. ``children.py`` is what the rest of
Taxiway calls; all other modules but ``spec.py``, ``status.py``, ``reading.py`` and ``probing.py`` run inside
the stub, so they import little: memory is paid once per pod.
"""
