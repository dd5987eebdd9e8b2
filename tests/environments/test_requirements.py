"""What an environment must hold: checked lines, MLflow where it is left out, NumPy where it must be old."""

from __future__ import annotations

import pytest

from taxiway.domain.errors import UnsupportedRequirements
from taxiway.environments import requirements
from taxiway.environments.requirements import Attempt, attempts, check_requirements, completed, read_lock
from tests.environments.builders import a_request


def test_requirements_get_their_normal_form() -> None:
    assert check_requirements(["numpy[x] >=1 , <2", "uvloop ; sys_platform=='linux'"]) == (
        "numpy[x]<2,>=1",
        'uvloop; sys_platform == "linux"',
    )


@pytest.mark.parametrize(
    "line",
    ["-r other.txt", "--index-url http://x", "./here", "/etc/passwd", "numpy\n--index-url http://x", "git+https://x/y",
     "numpy # why", "", "a b", "numpy @ https://u:secret@x/y.whl", "numpy @ file:///etc"],
)  # fmt: skip
def test_what_is_no_plain_requirement_is_refused(line: str) -> None:
    with pytest.raises(UnsupportedRequirements) as refusal:
        check_requirements(["pandas", line])
    assert "2" in refusal.value.message
    assert refusal.value.hint
    assert "secret" not in refusal.value.message + refusal.value.hint


@pytest.mark.parametrize(("logged", "minor"), [("3.11.9", "3.11"), ("3.9", "3.9"), ("3.12.0rc1", "3.12")])
def test_the_minor_version_counts(logged: str, minor: str) -> None:
    assert requirements.minor_of(logged) == minor


@pytest.mark.parametrize("logged", ["", "3", "three", "3.x", "3.11; rm"])
def test_a_python_version_that_is_none_is_refused(logged: str) -> None:
    with pytest.raises(UnsupportedRequirements):
        requirements.minor_of(logged)


def test_a_model_that_names_mlflow_gets_just_what_it_names() -> None:
    request = a_request("MLflow_Skinny==2.9", "pandas", scoring_requirements=("httptools>=0.6",))
    assert attempts(request) == (Attempt(lines=("MLflow_Skinny==2.9", "pandas", "httptools>=0.6")),)


def test_mlflow_comes_along_where_it_is_left_out() -> None:
    first, second = attempts(a_request("pydantic==1.10"))
    assert first.lines == ("pydantic==1.10", "mlflow-skinny==3.17.2", "pandas", "numpy")
    assert second.lines == ("pydantic==1.10", "mlflow-skinny>=2", "pandas", "numpy")
    assert not first.note
    assert "3.17.2" in second.note


def test_mlflow_for_another_python_does_not_count() -> None:
    assert len(attempts(a_request('mlflow; python_version < "3.10"'))) == 2


@pytest.mark.parametrize("version", [None, "", "not a version", "3\n--index-url http://x"])
def test_an_unknown_mlflow_is_the_newest(version: str | None) -> None:
    assert [attempt.lines for attempt in attempts(a_request("x", mlflow_version=version))] == [
        ("x", "mlflow-skinny>=2", "pandas", "numpy")
    ]


def test_a_request_from_elsewhere_is_checked_again() -> None:
    with pytest.raises(UnsupportedRequirements):
        attempts(a_request("x\n--index-url http://x"))


LOCK = """\
numpy==2.1.0 \\
    --hash=sha256:00
pandas==1.5.3 \\
    --hash=sha256:01
Typing_Extensions==4.1
"""


def test_a_lock_is_read() -> None:
    assert {name: str(version) for name, version in read_lock(LOCK).items()} == {
        "numpy": "2.1.0", "pandas": "1.5.3", "typing-extensions": "4.1",
    }  # fmt: skip


def test_numpy_is_old_beside_packages_that_were_compiled_for_it() -> None:
    attempt = Attempt(lines=("pandas==1.5.3",))
    bounded = completed(a_request("pandas==1.5.3"), attempt, LOCK)
    assert bounded is not None
    assert bounded.lines == ("pandas==1.5.3", "numpy<2")
    assert "pandas 1.5.3" in bounded.note


@pytest.mark.parametrize(
    ("asked", "lock"),
    [
        ("numpy>=2", LOCK),  # as the model wants it
        ("pandas", LOCK.replace("pandas==1.5.3", "pandas==2.2.2")),
        ("pandas", LOCK.replace("numpy==2.1.0", "numpy==1.26.4")),
        ("pandas", "pandas==1.5.3\n"),
    ],
)
def test_numpy_is_left_alone_elsewhere(asked: str, lock: str) -> None:
    assert completed(a_request(asked), Attempt(lines=()), lock) is None


@pytest.mark.parametrize(
    ("lock", "lines"),
    [
        ("mlflow==2.9.2\nmlflow-skinny==2.9.2\n", ("x", "setuptools<81")),
        ("mlflow==2.9.2\nsetuptools==69.0\n", None),
        ("mlflow-skinny==2.16.0\n", None),
        ("mlflow-skinny==3.17.2\n", None),
        ("mlflow-skinny==2.9.2\npandas==1.5.3\nnumpy==2.1.0\n", ("x", "numpy<2", "setuptools<81")),
    ],
)
def test_an_mlflow_that_imports_setuptools_gets_it(lock: str, lines: tuple[str, ...] | None) -> None:
    more = completed(a_request("x"), Attempt(lines=("x",)), lock)
    assert (None if more is None else more.lines) == lines


def test_the_scoring_server_says_what_it_needs() -> None:
    needs = requirements.scoring_requirements()
    assert 1 <= len(needs) <= 4
    assert any(line.startswith("httptools") for line in needs)
    assert requirements.scoring_pythons().contains("3.11.0")
    assert not requirements.scoring_pythons().contains("3.9.0")
