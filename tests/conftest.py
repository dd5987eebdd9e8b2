"""What holds for every test: code of the control plane unpickles nothing, whatever the test does with it."""

from __future__ import annotations

import sys
from types import FrameType


def _refuse_unpickling(event: str, _arguments: tuple[object, ...]) -> None:
    """Fail where a class is looked up for a pickle on behalf of ``taxiway``; tests and their models may."""
    if event != "pickle.find_class":
        return
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == "taxiway":
            raise RuntimeError(f"{frame.f_globals['__name__']} unpickles")
        frame = frame.f_back


sys.addaudithook(_refuse_unpickling)
