"""Requirements: what MLflow writes is read, what would take packages from elsewhere is refused by its line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.domain.errors import MalformedModel, TaxiwayError, UnsupportedRequirements
from taxiway.registry.requirements import read_conda, read_pip_part, read_requirements


def read(text: str, constraints: str | None = None) -> tuple[str, ...]:
    return read_requirements(text, file="requirements.txt", constraints=constraints)


def test_what_mlflow_writes_is_read() -> None:
    text = (
        "mlflow==3.17.2\n# a comment\n\nnumpy>=2 ; python_version < '3.12'  # why\npandas[parquet]\nscikit_learn==1.9.1"
    )
    assert read(text) == (
        "mlflow==3.17.2",
        'numpy>=2; python_version < "3.12"',
        "pandas[parquet]",
        "scikit_learn==1.9.1",
    )
    assert read("") == ()


REFUSED = (
    "-r other.txt", "-e .", "--index-url https://evil.example", "--extra-index-url=https://evil.example",
    "-c other.txt", "--constraint https://evil.example/c.txt", "-f https://evil.example", "--no-binary :all:",
    "x @ git+https://evil.example/x.git", "x @ file:///etc", "git+https://evil.example/x", "https://evil.example/x.whl",
    "./x", "/etc/x", "../x", "~/x", "x.whl", "a/b.whl", "C:\\x", "numpy==1 --hash=sha256:aa", "numpy \\",
    "numpy; $(id)", "numpy`id`", "a\0b", "numpy == ", "${EVIL}", "x" * 2000, ".",
)  # fmt: skip


@pytest.mark.parametrize("line", REFUSED)
def test_what_comes_from_elsewhere_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(UnsupportedRequirements) as refusal:
        read(f"numpy\n\n{line}\n")
    assert "line 3" in refusal.value.message
    assert "evil" not in refusal.value.message
    assert refusal.value.hint


@pytest.mark.parametrize("option", ["-c constraints.txt", "-cconstraints.txt", "--constraint constraints.txt"])
def test_constraints_narrow_and_add(option: str) -> None:
    lines = read(f"{option}\nPandas>=2\nscikit-learn", "pandas<3\nnumpy<2  # for pandas\n")
    assert lines == ("Pandas<3,>=2", "scikit-learn", "numpy<2")


def test_constraints_that_are_not_there_are_said() -> None:
    with pytest.raises(MalformedModel, match=r"constraints\.txt"):
        read("-c constraints.txt\nnumpy\n")
    with pytest.raises(UnsupportedRequirements, match=r"constraints\.txt, line 1"):
        read("-c constraints.txt\nnumpy\n", "-c constraints.txt\n")


def test_the_pip_part_of_conda() -> None:
    conda = read_conda(
        b"channels: [conda-forge]\ndependencies:\n- python=3.10\n- pip<=24\n- pip:\n  - mlflow\n  - numpy==2\n"
    )
    assert conda.python_version == "3.10"
    assert read_pip_part(conda.pip) == ("mlflow", "numpy==2")
    with pytest.raises(UnsupportedRequirements, match=r"pip package 2 of conda\.yaml"):
        read_pip_part(("numpy", "-e ."))


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ("python=3.11.7", "3.11.7"),
        ("python==3.9", "3.9"),
        ("python=3.11.*", "3.11"),
        ("python=3.11.7=h1234_cpython", "3.11.7"),
        ("conda-forge::python=3.12", "3.12"),
        ("python>=3.8,<3.12", None),
        ("python", None),
    ],
)
def test_pythons_version_in_conda(written: str, version: str | None) -> None:
    assert read_conda(f"dependencies:\n- '{written}'\n".encode()).python_version == version


def test_conda_packages_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedRequirements, match=r"cudatoolkit, libgdal\."):
        read_conda(b"dependencies:\n- python=3.11\n- libgdal=3.8\n- nvidia::cudatoolkit>=11\n- pip: [mlflow]\n")


@pytest.mark.parametrize(
    "content",
    [b"- a\n", b"dependencies: x\n", b"dependencies: [{npm: [x]}]\n", b"dependencies: [{pip: x}]\n", b"[", b"'"],
)
def test_a_conda_file_that_is_none_is_malformed(content: bytes) -> None:
    with pytest.raises(MalformedModel, match=r"conda\.yaml"):
        read_conda(content)


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(TaxiwayError):
        assert all("\n" not in line for line in read(text, ""))
