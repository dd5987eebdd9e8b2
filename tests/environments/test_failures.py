"""What uv 0.13 says, word for word, and what people read of it."""

from __future__ import annotations

import errno
import textwrap
from datetime import timedelta

import pytest

from taxiway.environments import failures

UNSOLVED = "error: No solution found when resolving dependencies\n  cause: "
END = "we can conclude that your requirements are unsatisfiable."

SAMPLES = {
    "unknown package": (
        (f"{UNSOLVED}Because no-such-package==1.0 was not found in the package registry and you require "
        f"no-such-package==1.0, {END}"),
        "EnvironmentFailed", "no-such-package==1.0 does not exist", "index",
    ),
    "unknown package of a package": (
        (f"{UNSOLVED}Because nowhere was not found in the provided package locations and all versions of chain depend "
        f"on nowhere, we can conclude that all versions of chain cannot be used.\n"
        f"         And because you require chain, {END}"),
        "EnvironmentFailed", "nowhere does not exist", "index",
    ),
    "unknown version": (
        f"{UNSOLVED}Because there is no version of numpy==99.0 and you require numpy==99.0, {END}",
        "EnvironmentFailed", "no such version: numpy==99.0", "version",
    ),
    "too new a version": (
        f"{UNSOLVED}Because only numpy<=2.5.5 is available and you require numpy>=99, {END}",
        "EnvironmentFailed", "numpy>=99; there is numpy<=2.5.5", "version",
    ),
    "conflict": (
        f"{UNSOLVED}Because you require numpy>=2 and numpy<1.25, {END}",
        "EnvironmentFailed", "conflict over numpy: Because you require numpy>=2 and numpy<1.25.", "requirements",
    ),
    "conflict in other words": (
        f"{UNSOLVED}you require alpha<1 and alpha>=1, which are incompatible",
        "EnvironmentFailed", "conflict over alpha", "requirements",
    ),
    "conflict of two packages": (
        (f"{UNSOLVED}Because mlflow-skinny>=3.17.2 depends on pydantic>=2.0.0,<3 and you require "
        "mlflow-skinny==3.17.2, we can conclude that you require pydantic>=2.0.0,<3.\n"
        f"         And because you require pydantic<2, {END}"),
        "EnvironmentFailed", "conflict over pydantic: Because mlflow-skinny>=3.17.2", "requirements",
    ),
    "conflict with a package's need": (
        (f"{UNSOLVED}Because only alpha==1.0 is available and all versions of newpy depend on alpha>=3, we can "
        f"conclude that all versions of newpy cannot be used.\n         And because you require newpy, {END}"),
        "EnvironmentFailed", "conflict over newpy: Because only alpha==1.0 is available", "requirements",
    ),
    "other platform": (
        (f"{UNSOLVED}Because onlywin==1.0 has no wheels with a matching platform tag (e.g., `manylinux_2_36_x86_64`) "
        "and only onlywin==1.0 is available, we can conclude that all versions of onlywin cannot be used.\n"
        f"         And because you require onlywin, {END}\n\n"
        "hint: Wheels are available for `onlywin` (v1.0) on the following platform: `win_amd64`"),
        "EnvironmentFailed", "no wheel of onlywin==1.0 for this host's Python or platform", "allow_source_builds",
    ),
    "other Python": (
        (f"{UNSOLVED}Because tensorflow==2.8.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and you "
        f"require tensorflow==2.8.0, {END}"),
        "EnvironmentFailed", "no wheel of tensorflow==2.8.0", "allow_source_builds",
    ),
    "only source": (
        (f"{UNSOLVED}Because pyspark==3.5.0 has no usable wheels and you require pyspark==3.5.0, {END}\n\n"
        "hint: Wheels are required for `pyspark` because building from source is disabled for all packages (i.e., "
        "with `--no-build`)"),
        "EnvironmentFailed", "no wheel of pyspark==3.5.0, only its source", "allow_source_builds",
    ),
    "needs a newer Python": (
        f"{UNSOLVED}Because needs312==1.0 requires Python >=3.12 and you require needs312==1.0, {END}",
        "EnvironmentFailed", "needs312==1.0 needs Python >=3.12", "Python",
    ),
    "offline, not resolved": (
        (f"{UNSOLVED}Because numpy was not found in the cache and you require numpy, {END}\n\n"
        "hint: Packages were unavailable because the network was disabled. When the network is disabled, registry "
        "packages may only be read from the cache."),
        "EnvironmentFailed", "numpy is neither in the wheel store nor in the cache", "environments.is_offline",
    ),
    "offline, not installed": (
        ("Using Python 3.11.2 environment at: v\nResolved 20 packages in 7ms\n"
        "error: Failed to download `backports-zstd==1.8.0`\n  cause: Network connectivity is disabled, but the "
        "requested data wasn't found in the cache: https://files.pythonhosted.org/x.whl"),
        "EnvironmentFailed", "wheel of backports-zstd==1.8.0 is neither", "environments.is_offline",
    ),
    "hash mismatch": (
        ("Using Python 3.11.2 environment at: v2\nResolved 2 packages in 2ms\n"
        "error: Failed to download `beta==2.0`\n  cause: Hash mismatch for `beta==2.0`\n\n         Expected:\n"
        "           sha256:00\n\n         Computed:\n           sha256:84"),
        "EnvironmentFailed", "beta==2.0 is not the one that was resolved", "changed",
    ),
    "unreachable": (
        ("error: Request failed after 3 retries in 9.0s\n  cause: Failed to fetch: http://127.0.0.1:9/simple/numpy/\n"
        "  cause: error sending request for url (http://127.0.0.1:9/simple/numpy/)\n  cause: client error (Connect)\n"
        "  cause: tcp connect error\n  cause: Connection refused (os error 111)"),
        "IndexUnreachable", "cannot be reached", "environments.index_url",
    ),
    "index is broken": (
        ("error: Request failed after 3 retries in 7.9s\n  cause: Failed to fetch: http://h/500/simple/hostile/\n  "
        "cause: HTTP status server error (500 Internal Server Error) for url (http://h/500/simple/hostile/)"),
        "IndexUnreachable", "(500)", "environments.index_url",
    ),
    "index refuses": (
        (f"{UNSOLVED}Because hostile was not found in the package registry and you require hostile, {END}\n\n"
        "hint: An index URL (http://h/401/simple) could not be queried due to a lack of valid authentication "
        "credentials (401 Unauthorized)"),
        "IndexUnreachable", "refused access (401)", "credentials",
    ),
    "index forbids": (
        (f"{UNSOLVED}Because hostile was not found in the package registry and you require hostile, {END}\n\n"
        "hint: An index (http://h/403/simple) returned a 403 Forbidden error. Check that the index URL is correct and "
        "the credentials are valid."),
        "IndexUnreachable", "refused access (403)", "credentials",
    ),
    "disk is full": (
        ("error: Failed to install: narwhals-2.29.0-py3-none-any.whl (narwhals==2.29.0)\n"
        "  cause: Failed to copy to `/e/narwhals/__init__.py`\n"
        "  cause: failed to copy file from /c/__init__.py to /e/.tmpDMFGNR: No space left on device (os error 28)"),
        "OutOfDisk", "disk is full", "Free some room",
    ),
    "no wheel store": (
        "error: Failed to read `--find-links` directory: /nonexistent\n  cause: No such file or directory (os error 2)",
        "EnvironmentFailed", "wheel store cannot be read", "environments.wheel_store",
    ),
    "broken wheel": (
        ("error: Failed to download `broken==1.0`\n  cause: Failed to extract archive: broken-1.0-py3-none-any.whl\n"
        "  cause: Invalid zip file structure"),
        "EnvironmentFailed", "broken==1.0 could not be installed", "build log",
    ),
    "reserved name": (
        ("error: Failed to install: hostile-1.0-py3-none-any.whl (hostile==1.0)\n"
        "  cause: Scripts must not use the reserved name `python`, got: `python`"),
        "EnvironmentFailed", "hostile-1.0-py3-none-any.whl could not be installed", "build log",
    ),
    "something new": (
        "error: The moon is in the way\n  cause: It is full",
        "EnvironmentFailed", "It is full", "build log",
    ),
    "nothing said": ("", "EnvironmentFailed", "uv failed", "build log"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_what_uv_says_becomes_a_reason_and_a_next_step(name: str) -> None:
    text, reason, says, hints = SAMPLES[name]
    failure = failures.classify(text.splitlines())
    assert failure.reason == reason
    assert says in failure.message
    assert hints in failure.hint
    assert not any(line.startswith(("Using", "Resolved")) for line in failure.lines)
    assert len(failure.lines) == len([line for line in text.splitlines() if line.strip()]) - text.count("Using") * 2


def test_a_conflict_is_not_tried_again_by_itself() -> None:
    assert not failures.classify(SAMPLES["conflict"][0].splitlines()).retryable
    assert failures.classify(SAMPLES["unreachable"][0].splitlines()).retryable


def test_a_long_explanation_is_cut_in_the_message_and_kept_in_the_lines() -> None:
    lines = [f"{UNSOLVED}Because you require a>=1 and you require {'b-package>=1, ' * 400}{END}"]
    failure = failures.classify("\n".join(lines).splitlines())
    assert len(failure.message) < 700
    assert failure.message.endswith("….")
    assert any("b-package" in line for line in failure.lines)


def test_only_a_search_that_ended_is_worth_another_one() -> None:
    assert failures.can_be_resolved_otherwise(SAMPLES["conflict"][0].splitlines())
    assert not failures.can_be_resolved_otherwise(SAMPLES["unreachable"][0].splitlines())


def test_only_the_last_lines_are_kept() -> None:
    lines = textwrap.dedent("x\n" * 100).splitlines()
    assert len(failures.classify(lines).lines) == failures.KEPT_LINES


def test_a_full_disk_says_need_and_have() -> None:
    failure = failures.of_system(OSError(errno.ENOSPC, "No space left"), need=512_000_000, free=lambda: 7_000_000)
    assert failure.reason == "OutOfDisk"
    assert "512 MB" in failure.message
    assert "7 MB" in failure.message


def test_other_errors_of_the_system_say_what_it_says() -> None:
    failure = failures.of_system(PermissionError(errno.EACCES, "Permission denied"), need=1, free=lambda: 1)
    assert failure.reason == "EnvironmentFailed"
    assert "Permission denied" in failure.message


def test_a_deadline_says_how_far_it_was() -> None:
    failure = failures.deadline_exceeded(
        timedelta(seconds=90), detail="3 of 57 packages", lines=["Downloading x (1MiB)"]
    )
    assert failure.reason == "BuildDeadlineExceeded"
    assert "90 s: 3 of 57 packages" in failure.message


def test_a_missing_python_names_what_is_there() -> None:
    message, hint = failures.no_interpreter("3.7", ("3.10", "3.11"))
    assert "3.7" in message
    assert "3.10, 3.11" in message
    assert "3.7" in hint
