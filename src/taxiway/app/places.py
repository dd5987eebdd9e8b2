"""Where things lie in the data directory and the run directory, and how the two are made safely."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from taxiway.domain.errors import InvalidInput

LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path that Linux takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """All paths. ``data`` is kept, ``run`` holds sockets and may vanish with a reboot."""

    data: Path
    run: Path

    @property
    def keys(self) -> Path:
        """Signing keys."""
        return self.data / "keys"

    @property
    def vault(self) -> Path:
        """Production's snapshots."""
        return self.data / "production" / "snapshots"

    @property
    def bundles(self) -> Path:
        """Production's bundles."""
        return self.data / "production" / "bundles"

    @property
    def history(self) -> Path:
        """What was measured."""
        return self.data / "history.db"

    @property
    def gateway(self) -> Path:
        """Envoy's configuration files."""
        return self.data / "gateway"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts."""
        return self.data / "mlflow"

    @property
    def pods(self) -> Path:
        """One directory a pod."""
        return self.data / "pods"

    @property
    def logs(self) -> Path:
        """Build logs and logs of dead pods."""
        return self.data / "logs"

    @property
    def lock(self) -> Path:
        """Held by the one control plane."""
        return self.data / "control.lock"

    @property
    def control_child(self) -> Path:
        """The control plane's own stub."""
        return self.data / "children" / "control"

    @property
    def mlflow_child(self) -> Path:
        """MLflow's stub."""
        return self.data / "children" / "mlflow"

    @property
    def envoy_child(self) -> Path:
        """Envoy's stub."""
        return self.data / "children" / "envoy"

    @property
    def control_socket(self) -> Path:
        """What the control plane listens on."""
        return self.run / "control.sock"

    @property
    def activator_socket(self) -> Path:
        """What the gateway asks while requests wait for a pod."""
        return self.run / "activator.sock"

    @property
    def mlflow_socket(self) -> Path:
        """What MLflow listens on."""
        return self.run / "mlflow.sock"

    @property
    def envoy_admin_socket(self) -> Path:
        """Envoy's administration."""
        return self.run / "envoy.sock"

    @property
    def pod_sockets(self) -> Path:
        """One directory a pod, with its socket."""
        return self.run / "p"

    def make(self) -> None:
        """Make both directories, private to the user. Raises InvalidInput for one that belongs to somebody else."""
        longest = len(os.fsencode(self.pod_sockets)) + 1 + 40 + 2
        if longest > LONGEST_SOCKET:
            raise InvalidInput(
                f"The run directory {self.run} is too long for Unix sockets.",
                hint="Set run_dir to a shorter path, for example /tmp/taxiway.",
            )
        for directory in (self.data, self.run):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            facts = directory.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
                raise InvalidInput(f"{directory} is not a directory of yours.", hint="Remove it, or choose another.")
            if stat.S_IMODE(facts.st_mode) & 0o077:
                directory.chmod(0o700)
        for directory in (
            self.keys, self.gateway, self.mlflow, self.pods, self.logs, self.data / "children", self.pod_sockets,
        ):  # fmt: skip
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)


def clear_run_directory(places: Places) -> None:
    """Delete the sockets that are left when nothing runs any more, and the run directory unless it holds more."""
    if not places.run.is_dir() or places.run.is_symlink():
        return
    engines = (places.control_socket, places.activator_socket, places.mlflow_socket, places.envoy_admin_socket)
    for socket in (*engines, *places.run.glob(f"{places.control_socket.name}.*")):
        socket.unlink(missing_ok=True)
    shutil.rmtree(places.pod_sockets, ignore_errors=True)
    with contextlib.suppress(OSError):  # somebody else's files are in it, or the directory above is not ours
        places.run.rmdir()


def clean_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Return what our own processes inherit: the user's environment without what would change Python's imports."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")}
    return kept | (extra or {})
