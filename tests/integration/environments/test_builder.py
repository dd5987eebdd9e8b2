"""UvEnvironmentBuilder with the real uv: from wheels made by hand without a network, and once from the index."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from taxiway.domain.environments import BuildState
from taxiway.domain.errors import NoInterpreter
from taxiway.environments.interpreters import find_interpreters
from tests.environments.builders import a_request, some_facts
from tests.environments.wheels import make_wheel
from tests.integration.environments.workshops import (
    Shop,
    SilentIndex,
    build,
    come_true,
    is_alive,
    run_in,
    run_program,
    uv_of,
)

pytestmark = pytest.mark.integration

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
UNCHECKED = b"\x01\x00\x00\x00"
"""Flags of a .pyc (PEP 552): by hash, never checked."""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def index() -> Iterator[SilentIndex]:
    silent = SilentIndex()
    yield silent
    silent.close()


def with_mlflow(shop: Shop) -> None:
    """Stand-ins for MLflow and what it needs: 3 wants pydantic 2, 2 takes both."""
    make_wheel(shop.store, "mlflow-skinny", "3.17.2", requires=["pydantic>=2,<3"])
    make_wheel(shop.store, "mlflow-skinny", "2.9.0", requires=["pydantic>=1,<3"])
    for name, versions in {
        "pydantic": ("1.10.0", "2.14.0"),
        "pandas": ("1.5.3", "3.0.0"),
        "numpy": ("1.26.4", "2.4.0"),
    }.items():
        for version in versions:
            make_wheel(shop.store, name, version)


async def test_an_environment_from_wheels_without_a_network(shop: Shop) -> None:
    script = {"alpha/__init__.py": "from beta import NAME\ndef main(): print(NAME)\n",
              "alpha-1.0.dist-info/entry_points.txt": "[console_scripts]\nalpha = alpha:main\n"}  # fmt: skip
    make_wheel(shop.store, "alpha", requires=["beta>=2"], files=script)
    make_wheel(shop.store, "beta", "1.0")
    make_wheel(shop.store, "beta", "2.0")
    with_mlflow(shop)
    builder = shop.builder()
    request = a_request("alpha", "mlflow-skinny", python=PYTHON)
    assert await builder.observe(request.id) is None
    end, seen = await build(builder, request)
    assert end.state is BuildState.READY, end
    assert (end.packages_done, end.packages_total, end.detail) == (4, 4, "4 packages")
    states = list(dict.fromkeys(progress.state for progress in seen))
    assert states == [BuildState.WAITING, BuildState.RESOLVING, BuildState.INSTALLING, BuildState.COMPILING,
                      BuildState.READY]  # fmt: skip

    place = builder.locate(request.id)
    assert shop.names() == [request.id]
    assert run_in(place, "import alpha, sys; alpha.main(); print(sys.prefix)") == f"beta\n{place}"
    # The script was made before the directory was moved.
    assert run_program(place / "bin" / "alpha") == "beta"
    assert (place / "requirements.lock").read_text().count("--hash=sha256:") == 4
    compiled = place / "lib" / f"python{PYTHON}" / "site-packages" / "alpha" / "__pycache__"
    (cached,) = compiled.iterdir()
    assert cached.read_bytes()[:8] == importlib.util.MAGIC_NUMBER + UNCHECKED
    traceback = "import alpha; print(alpha.main.__code__.co_filename)"
    assert run_in(place, traceback) == str(compiled.parent / "__init__.py")
    source = compiled.parent / "__init__.py"
    assert source.stat().st_nlink > 1, "it is linked from the cache"
    assert not source.stat().st_mode & 0o222
    log = shop.logs[request.id]
    assert log.is_closed
    assert "Ready: 4 packages" in str(log)


async def test_what_is_built_is_known_to_the_next_builder(shop: Shop) -> None:
    make_wheel(shop.store, "alpha")
    with_mlflow(shop)
    request = a_request("alpha", python=PYTHON)
    await build(shop.builder(), request)
    shop.logs.clear()
    later = shop.builder()
    await later.open()
    before = time.monotonic()
    end, seen = await build(later, request)
    assert time.monotonic() - before < 1
    assert [progress.state for progress in seen] == [BuildState.READY]
    assert end.packages_total == 5
    assert not shop.logs, "nothing was built"
    assert await later.stored() == [request.id]
    await later.drop(request.id)
    await later.drop(request.id)
    assert await later.observe(request.id) is None
    assert shop.names() == []


async def test_what_was_compiled_once_is_shared(shop: Shop) -> None:
    make_wheel(shop.store, "alpha")
    make_wheel(shop.store, "beta", files={"beta.py": "NAME = 'alpha'\n", "alpha2.py": "def f(: never python\n"})
    with_mlflow(shop)
    builder = shop.builder()
    places = []
    for requirements in (("alpha",), ("alpha", "beta")):
        request = a_request(*requirements, python=PYTHON)
        end, _ = await build(builder, request)
        assert end.state is BuildState.READY, end
        places.append((request.id, compiled_in(builder.locate(request.id))))
    (first, ours), (second, theirs) = places
    shared = [name for name in ours if name.startswith("alpha/")]
    assert shared
    assert all(ours[name] == theirs[name] for name in ours), "one file on the disk and in memory"
    assert "alpha2" not in str(theirs), "what is no Python is left as it is"
    assert "beta" in str(theirs)
    assert "Some files could not be compiled" in str(shop.logs[second])
    await builder.drop(first)
    await builder.drop(second)
    assert not [path for path in (shop.cache / "compiled").rglob("*") if path.is_file()], "kept for nobody"


def compiled_in(place: Path) -> dict[str, int]:
    """Return the compiled files of an environment with their inodes."""
    packages = place / "lib" / f"python{PYTHON}" / "site-packages"
    return {str(path.relative_to(packages)): path.stat().st_ino for path in packages.rglob("*.pyc")}


async def test_an_older_mlflow_loads_what_the_newest_cannot(shop: Shop) -> None:
    with_mlflow(shop)
    request = a_request("pydantic==1.10.0", python=PYTHON, mlflow_version="3.17.2")
    builder = shop.builder()
    end, _ = await build(builder, request)
    assert end.state is BuildState.READY, end
    lock = (builder.locate(request.id) / "requirements.lock").read_text()
    assert "mlflow-skinny==2.9.0" in lock
    assert "pydantic==1.10.0" in lock
    assert "MLflow 3.17.2, which logged the model, does not go with" in str(shop.logs[request.id])


async def test_numpy_is_one_that_an_old_pandas_was_compiled_for(shop: Shop) -> None:
    with_mlflow(shop)
    builder = shop.builder()
    request = a_request("pandas==1.5.3", python=PYTHON)
    end, _ = await build(builder, request)
    assert end.state is BuildState.READY, end
    assert "numpy==1.26.4" in (builder.locate(request.id) / "requirements.lock").read_text()


async def test_building_runs_no_code_of_packages(shop: Shop) -> None:
    canary = shop.root / "canary"
    betray = f"open({str(canary)!r}, 'w').close()"
    files = {"alpha/__init__.py": betray + "\n", "alpha.pth": f"import os; {betray}\n",
             "sitecustomize.py": betray + "\n"}  # fmt: skip
    make_wheel(shop.store, "alpha", files=files)
    with_mlflow(shop)
    builder = shop.builder()
    request = a_request("alpha", python=PYTHON)
    end, _ = await build(builder, request)
    assert end.state is BuildState.READY, end
    assert not canary.exists()
    run_in(builder.locate(request.id), "pass")
    assert canary.exists(), "the canary sings when the environment's own Python starts"


async def test_a_package_that_replaces_the_environment_itself_is_refused(shop: Shop) -> None:
    make_wheel(shop.store, "hostile", root_files={"pyvenv.cfg": "home = /etc/keys/bin\n"})
    with_mlflow(shop)
    builder = shop.builder()
    request = a_request("hostile", python=PYTHON)
    end, _ = await build(builder, request)
    assert end.failure is not None
    assert end.failure.reason == "EnvironmentFailed"
    assert "pyvenv.cfg" in end.failure.message
    assert request.id not in shop.names()


@pytest.mark.parametrize(
    ("requirements", "says"),
    [
        (("no-such-package-for-taxiway==1.0",), "no-such-package-for-taxiway is neither in the wheel store"),
        (("numpy>=2", "numpy<1.25"), "conflict over numpy"),
        (("onlywin",), "no wheel of onlywin==1.0"),
    ],
)
async def test_what_cannot_be_resolved_fails_with_its_reason_and_can_be_tried_again(
    shop: Shop, requirements: tuple[str, ...], says: str
) -> None:
    with_mlflow(shop)
    make_wheel(shop.store, "onlywin", tag="cp311-cp311-win_amd64")
    builder = shop.builder()
    request = a_request(*requirements, python=PYTHON)
    end, _ = await build(builder, request)
    assert end.state is BuildState.FAILED
    assert end.failure is not None
    assert end.failure.reason == "EnvironmentFailed"
    assert says in end.failure.message
    assert end.failure.hint
    assert end.failure.lines
    assert end.detail == end.failure.message
    assert shop.names() == []
    assert end.failure.message in str(shop.logs[request.id])
    # What was missing comes: the same request builds.
    if len(requirements) == 1:
        make_wheel(shop.store, requirements[0].split("==")[0])
        end, _ = await build(builder, request)
        assert end.state is BuildState.READY, end


async def test_a_disk_without_room_is_not_begun_upon(shop: Shop) -> None:
    builder = shop.builder(free_bytes=lambda _: 300 << 20)
    end, _ = await build(builder, a_request("alpha", python=PYTHON))
    assert end.failure is not None
    assert end.failure.reason == "OutOfDisk"
    assert "537 MB" in end.failure.message
    assert "315 MB" in end.failure.message


async def test_a_disk_that_fills_up_stops_the_build(shop: Shop, index: SilentIndex) -> None:
    free = [1 << 30]
    builder = shop.builder(is_offline=False, index_url=index.url, free_bytes=lambda _: free[0])
    request = a_request("alpha", python=PYTHON)
    await builder.begin(request)
    await come_true(lambda: uv_of(shop.home) is not None)
    free[0] = 100 << 20
    end, _ = await build(builder, request, seconds=10)
    assert end.failure is not None
    assert end.failure.reason == "OutOfDisk"
    assert shop.names() == []


async def test_a_cancelled_build_is_gone_with_all_that_it_started(shop: Shop, index: SilentIndex) -> None:
    make_wheel(shop.store, "alpha")
    with_mlflow(shop)
    builder = shop.builder(is_offline=False, index_url=index.url, concurrent_builds=1)
    hanging, waiting = a_request("hanging", python=PYTHON), a_request("waiting", python=PYTHON)
    await builder.begin(hanging)
    await builder.begin(waiting)
    await come_true(lambda: uv_of(shop.home) is not None)
    pid = uv_of(shop.home)
    assert pid is not None
    assert b"s3cret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert os.getpgid(pid) == pid
    seen = await builder.observe(waiting.id)
    assert seen is not None
    assert seen.state is BuildState.WAITING

    before = time.monotonic()
    await builder.cancel(hanging.id)
    assert time.monotonic() - before < 5
    assert not is_alive(pid)
    assert await builder.observe(hanging.id) is None
    assert shop.logs[hanging.id].is_closed
    assert "s3cret" not in str(shop.logs[hanging.id])
    await builder.cancel(hanging.id)

    await come_true(lambda: uv_of(shop.home) is not None)  # its place was taken
    await builder.close()
    assert shop.names() == []
    assert await builder.observe(waiting.id) is None


async def test_a_build_that_is_cancelled_before_it_began_can_be_begun_again(shop: Shop) -> None:
    make_wheel(shop.store, "alpha")
    with_mlflow(shop)
    builder = shop.builder()
    request = a_request("alpha", python=PYTHON)
    await builder.begin(request)
    await builder.cancel(request.id)
    assert await builder.observe(request.id) is None
    end, _ = await build(builder, request)
    assert end.state is BuildState.READY, end


async def test_a_build_past_its_deadline_fails(shop: Shop, index: SilentIndex) -> None:
    builder = shop.builder(is_offline=False, index_url=index.url, build_timeout=timedelta(seconds=1))
    end, _ = await build(builder, a_request("alpha", python=PYTHON), seconds=10)
    assert end.failure is not None
    assert end.failure.reason == "BuildDeadlineExceeded"
    assert "1 s: resolving" in end.failure.message
    assert shop.names() == []


CRASHING = """
import asyncio, sys
from pathlib import Path
from tests.environments.builders import a_request
from tests.integration.environments.workshops import Shop

async def main() -> None:
    shop = Shop(Path(sys.argv[1]))
    builder = shop.builder(is_offline=False, index_url=sys.argv[2])
    await builder.begin(a_request("alpha", python=sys.argv[3]))
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_what_a_killed_builder_left_is_cleared_away(shop: Shop, index: SilentIndex) -> None:
    root = shop.root / "x"
    root.mkdir()
    shop.home = root / "environments"
    doomed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(CRASHING), str(root), index.url, PYTHON
    )
    await come_true(lambda: uv_of(shop.home) is not None)
    uv = uv_of(shop.home)
    assert uv is not None
    doomed.send_signal(signal.SIGKILL)
    await doomed.wait()
    assert is_alive(uv), "uv outlives a builder that was killed"
    builder = shop.builder()
    assert await builder.stored() == []
    await builder.open()
    assert not is_alive(uv)
    assert shop.names() == []


def test_a_python_that_is_not_there_is_named(shop: Shop) -> None:
    with pytest.raises(NoInterpreter) as refusal:
        shop.builder().check(some_facts("numpy", python_version="3.42.1"))
    assert "Python 3.42" in refusal.value.message
    assert PYTHON in refusal.value.message
    assert refusal.value.hint


def test_a_python_that_the_scoring_server_does_not_run_on_is_refused(shop: Shop) -> None:
    with pytest.raises(NoInterpreter, match=r"3\.7"):
        shop.builder().check(some_facts("numpy", python_version="3.7.16"))


def test_a_checked_model_asks_for_all_it_needs(shop: Shop) -> None:
    builder = shop.builder(index_url="https://robot:s3cret@packages.example/simple")
    request = builder.check(some_facts("numpy >=1", python_version=f"{PYTHON}.1"))
    assert request.python == PYTHON
    assert request.requirements == ("numpy>=1",)
    assert any(line.startswith("uvloop") for line in request.scoring_requirements)
    assert request.mlflow_version == "3.17.2"
    assert "s3cret" not in request.index
    assert "packages.example" in request.index


def test_a_broken_shim_hides_no_python(tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in (f"python{PYTHON}", "python3.9"):
        (shims / name).write_text("#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
        (shims / name).chmod(0o755)
    found = find_interpreters({"PATH": f"{shims}:/usr/bin:/bin", "HOME": str(tmp_path)})
    assert found[PYTHON].exists()
    assert shims not in found[PYTHON].parents


VERSIONS = """
import warnings; warnings.simplefilter('ignore')
import mlflow, mlflow.pyfunc, pandas, numpy, pydantic, httptools, msgspec, uvloop
print(mlflow.__version__, pandas.__version__, pydantic.VERSION)
"""


@pytest.mark.timeout(300)
async def test_a_model_of_older_days_gets_its_environment_from_the_index(shop: Shop) -> None:
    """Pins that the MLflow that logged the model does not go with: an older MLflow loads it."""
    if "3.11" not in find_interpreters():
        pytest.skip("the wheels of these old versions are for Python 3.11")
    builder = shop.builder(wheel_store=None, is_offline=False)
    await builder.open()
    facts = some_facts("pandas==1.5.3", "numpy==1.26.4", "pydantic==1.10.18", python_version="3.11.4")
    request = builder.check(facts)
    end, _ = await build(builder, request, seconds=240)
    assert end.state is BuildState.READY, (end, str(shop.logs[request.id]))
    mlflow, pandas, pydantic = run_in(builder.locate(request.id), VERSIONS).split()
    assert mlflow != "3.17.2"
    assert (pandas, pydantic) == ("1.5.3", "1.10.18")
