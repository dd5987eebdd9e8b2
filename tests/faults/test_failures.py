"""Each way to fail shows its own reason and what to do next, and none stays Starting past its deadline.

Provoked on a running platform through its public API; nothing is faked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from taxiway.client import ApiError
from taxiway.client.calls import plain
from taxiway.wire.models import ConversionIn
from tests.faults.broken_models import SMALL, PyModel, log_model
from tests.platforms import Platform

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.timeout(300)]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, what is asked, and what must be said."""

    model: PyModel
    reason: str
    says: str
    wanted: dict[str, object] = field(default_factory=dict)


CONDA = "name: x\nchannels: [conda-forge]\ndependencies:\n- python=3.11\n- libgdal=3.8\n- pip:\n  - mlflow\n"
OLD_PYTHON = "python: 3.7.16\nbuild_dependencies: [pip]\ndependencies: [-r requirements.txt]\n"

REFUSED = {
    "no_signature": Case(model=PyModel(has_signature=False), reason="NoSignature", says="signature"),
    "malformed_mlmodel": Case(
        model=PyModel(files={"MLmodel": "flavors: [unclosed"}), reason="MalformedModel", says="MLmodel"
    ),
    "mlmodel_is_no_mapping": Case(
        model=PyModel(files={"MLmodel": "- a\n- b\n"}), reason="MalformedModel", says="MLmodel"
    ),
    "conda_package": Case(
        model=PyModel(files={"requirements.txt": "", "conda.yaml": CONDA}),
        reason="UnsupportedRequirements",
        says="libgdal",
    ),
    "requirement_from_git": Case(
        model=PyModel(files={"requirements.txt": "x @ git+https://example.invalid/x.git\n"}),
        reason="UnsupportedRequirements",
        says="line 1",
    ),
    "requirement_with_option": Case(
        model=PyModel(files={"requirements.txt": "--index-url https://example.invalid\nnumpy\n"}),
        reason="UnsupportedRequirements",
        says="line 1",
    ),
    "python_not_there": Case(model=PyModel(files={"python_env.yaml": OLD_PYTHON}), reason="NoInterpreter", says="3.7"),
    "more_memory_than_the_host_has": Case(
        model=PyModel(), reason="LimitReached", says="memory", wanted={"memory": "15Ti"}
    ),
    "more_cpus_than_the_host_has": Case(model=PyModel(), reason="LimitReached", says="CPUs", wanted={"cpus": "255"}),
}

FAILED = {
    "package_does_not_exist": Case(
        model=PyModel(requirements=(*SMALL, "no-such-package-for-taxiway==1.0")),
        reason="EnvironmentFailed",
        says="no-such-package-for-taxiway",
    ),
    "requirements_conflict": Case(
        # Written over: MLflow itself does not log requirements that contradict each other in one place.
        model=PyModel(files={"requirements.txt": "mlflow-skinny==3.17.2\npandas>=2.2\nnumpy>=2\nnumpy<1.25\n"}),
        reason="EnvironmentFailed",
        says="numpy",
    ),
    "module_is_missing": Case(
        model=PyModel(load="import module_nobody_has"), reason="MissingPackage", says="module_nobody_has"
    ),
    "load_raises": Case(
        model=PyModel(load="raise RuntimeError('weights are gone')"),
        reason="ModelLoadFailed",
        says="RuntimeError",
    ),
    "load_exits": Case(model=PyModel(load="os._exit(7)"), reason="CrashLoop", says="7"),
    "load_is_killed": Case(model=PyModel(load="os.kill(os.getpid(), 9)"), reason="CrashLoop", says="SIGKILL"),
    "load_never_ends": Case(
        model=PyModel(load="time.sleep(3600)"),
        reason="StartDeadlineExceeded",
        says="5 s",
        wanted={"start_deadline_seconds": 5.0},
    ),
    "memory_too_small": Case(
        model=PyModel(load="self.ballast = bytearray(900_000_000)"),
        reason="OutOfMemory",
        says="512",
        wanted={"memory": "512Mi"},
    ),
    "example_raises": Case(model=PyModel(predict="raise KeyError('nothing')"), reason="ExampleFailed", says="example"),
    "exit_after_three_seconds": Case(
        model=PyModel(
            load="import threading; threading.Timer(3.0, os._exit, (5,)).start()",
        ),
        reason="CrashLoop",
        says="5",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_at_once(platform: Platform, name: str) -> None:
    """What can be known beforehand is refused before anything is made."""
    case = REFUSED[name]
    run_id = log_model(platform, case.model)
    with platform.client() as client, pytest.raises(ApiError) as refusal:
        client.convert(run_id, ConversionIn.model_validate({"model": name.replace("_", "-")[:40], **case.wanted}))
    assert refusal.value.reason == case.reason, str(refusal.value)
    assert case.says in str(refusal.value) + refusal.value.hint
    assert refusal.value.hint
    with platform.client() as client:
        assert not client.models(project="fraud", contains=name.replace("_", "-")[:40]).items


@pytest.mark.parametrize("name", FAILED)
def test_failed_with_its_reason(platform: Platform, name: str) -> None:
    """What shows later ends as Failed, with the reason, the lines that mattered and the next action."""
    case = FAILED[name]
    run_id = log_model(platform, case.model)
    model = name.replace("_", "-")[:40]
    made = platform.convert(run_id, model, wait=False, **case.wanted)
    with platform.client() as client:
        seen = client.wait(model, made.version, timeout_seconds=120, until=lambda detail: detail.status == "Failed")
        assert seen.reason == case.reason, f"{seen.reason}: {seen.message}"
        assert case.says in seen.message, seen.message
        assert seen.hint, "every failure says what to do next"
        events = client.send(plain("GET", "events", subject_kind="deployment", subject=seen.deployment))
        assert any(event["reason"] == case.reason for event in events["items"])
        shown = [event["became"] for event in events["items"] if event["topic"] == "status"]
        assert shown.count("ON") <= 1, f"ON again while it crashed again and again: {shown}"
        client.delete(model, made.version)


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_damaged_snapshot(platform: Platform, damage: str) -> None:
    """A pod refuses to start from files that are not those that were copied, and names the one."""
    run_id = log_model(platform, PyModel(predict=f"return ['{damage}'] * len(model_input)"))
    model = f"snapshot-{damage}"
    made = platform.convert(run_id, model)
    assert made.status == "ON", made.message
    with platform.client() as client:
        client.switch_off(model, made.version)
        assert client.wait(model, made.version, timeout_seconds=60).status == "OFF"
    files = platform.data / "snapshots" / str(made.snapshot.digest) / "files"
    victim = files / ("added.txt" if damage == "added" else "model_code.py")
    files.chmod(0o700)
    if damage == "missing":
        victim.unlink()
    else:
        content = victim.read_bytes() if damage == "changed" else b"x"
        victim.unlink(missing_ok=True)
        victim.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with platform.client() as client:
        client.switch_on(model, made.version)
        seen = client.wait(model, made.version, timeout_seconds=60)
        assert (seen.status, seen.reason) == ("Failed", "ArtifactDigestMismatch"), seen.message
        assert victim.name in seen.message
        assert seen.hint
        client.delete(model, made.version)


def test_convert_while_tracking_is_down(platform: Platform) -> None:
    """A killed MLflow is said to be unavailable; nothing is half made, and it comes back by itself."""
    run_id = log_model(platform, PyModel())
    import os
    import signal

    from taxiway.stub import children

    status = children.status(platform.data / "children" / "mlflow")
    assert status is not None
    assert status.child_pid is not None
    os.kill(status.child_pid, signal.SIGKILL)
    with platform.client() as client, pytest.raises(ApiError) as refusal:
        client.convert(run_id, ConversionIn(model="while-down"))
    assert refusal.value.reason == "TrackingUnavailable"
    assert refusal.value.status == 503
    platform.wait_for_tracking()


def test_port_is_taken(platform: Platform) -> None:
    """A second platform on the same port says so and names the way out."""
    other = Platform(data=platform.data.parent / "other", port=platform.port)
    done = other.command("up", "--detach", check=False)
    assert done.returncode == 1
    assert "PortInUse" in done.stderr
    assert "--port" in done.stderr
