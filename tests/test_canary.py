"""The guard of all tests, and the one of the running control plane, do catch what they are for."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import OrderedDict

import pytest


def test_a_pickle_that_taxiway_would_load_fails_every_test() -> None:
    namespace = {"__name__": "taxiway.pretended", "loads": pickle.loads}
    exec("def load(data):\n    return loads(data)\n", namespace)  # noqa: S102
    with pytest.raises(RuntimeError, match=r"taxiway\.pretended unpickles"):
        namespace["load"](pickle.dumps(OrderedDict()))  # type: ignore[operator]


def test_a_pickle_of_a_test_is_none_of_the_guards_business() -> None:
    assert pickle.loads(pickle.dumps(OrderedDict(a=1))) == OrderedDict(a=1)  # noqa: S301


@pytest.mark.integration
def test_the_control_plane_refuses_to_unpickle() -> None:
    code = (
        "import pickle, collections; data = pickle.dumps(collections.OrderedDict())\n"
        "from taxiway.app.guard import refuse_unpickling; refuse_unpickling()\n"
        "pickle.loads(data)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "UnpicklingRefused" in done.stderr
