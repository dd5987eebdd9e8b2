"""The store of compiled sources: true for its source only, shared by hard links, pruned when nobody links."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from taxiway.environments import compiled, compiling


def test_tests_of_packages_are_left_out_wherever_the_environment_lies(tmp_path: Path) -> None:
    packages = tmp_path / "tests" / "site-packages"
    for name in ("pandas/io.py", "pandas/tests/test_io.py", "tests/test_x.py", "contests/a.py", "pandas/data.txt"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    found = [str(Path(path).relative_to(packages)) for path in compiling.find_sources(str(packages))]
    assert found == ["contests/a.py", "pandas/io.py"]


def test_a_place_in_the_store_is_for_one_source_and_one_python() -> None:
    place = compiling.place_in_store("/s", "abcdef")
    assert importlib.util.MAGIC_NUMBER.hex() in place
    assert place.endswith("/ab/abcdef.pyc")


def test_what_a_wheel_brought_compiled_is_replaced(tmp_path: Path) -> None:
    kept, target = tmp_path / "kept.pyc", tmp_path / "__pycache__" / "x.pyc"
    target.parent.mkdir()
    target.write_text("a lie")
    assert not compiling.take_from_store(str(kept), str(target))
    assert not target.exists()
    kept.write_text("true")
    assert compiling.take_from_store(str(kept), str(target))
    assert target.stat().st_ino == kept.stat().st_ino


def test_what_is_no_python_is_said_so(tmp_path: Path) -> None:
    for name, text in {"good.py": "x = 1", "bad.py": "def f(:", "nul.py": "x\0", "deep.py": "(" * 5000}.items():
        (tmp_path / name).write_text(text)
        assert compiling.compile_one((str(tmp_path / name), name)) is (name == "good.py")


def test_new_files_come_in_and_unused_ones_go(tmp_path: Path) -> None:
    target, listed = tmp_path / "x.pyc", tmp_path / "list"
    target.write_text("compiled")
    kept = tmp_path / "store" / "cpython-311" / "ab" / "x.pyc"
    listed.write_text(f"{target}\n{kept}\n")
    compiled.publish(listed)
    compiled.publish(listed)  # by another build
    assert kept.stat().st_ino == target.stat().st_ino
    assert compiled.prune(tmp_path / "store") == 0
    target.unlink()
    assert compiled.prune(tmp_path / "store") == 1
    assert not kept.exists()


def test_a_build_without_anything_new_publishes_nothing(tmp_path: Path) -> None:
    compiled.publish(tmp_path / "missing")
    assert compiled.prune(tmp_path / "store") == 0
