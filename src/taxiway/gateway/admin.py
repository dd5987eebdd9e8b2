"""What Envoy says of itself over its administration socket: which files are in force, and how many it refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import httpx2

from taxiway.gateway.names import METRICS, PUBLIC

_TIMEOUT_SECONDS = 1.0
_ROUTES = f"http.{PUBLIC}.rds.{PUBLIC}"
_METRICS_ROUTES = f"http.{METRICS}.rds.{METRICS}"
_CLUSTERS = "cluster_manager.cds"
_LISTENERS = "listener_manager.lds"
_FILES = "|".join(re.escape(name) for name in (_ROUTES, _METRICS_ROUTES, _CLUSTERS, _LISTENERS))
_LINE = re.compile(r"(?P<name>[\w.]+): \"?(?P<value>[^\"]*)\"?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The versions of the files that are in force; '' for one that Envoy never took."""

    routes: str
    metrics_routes: str
    clusters: str


class Admin:
    """Asks Envoy. An Envoy that does not answer is no error: the answer is None."""

    def __init__(self, socket: Path) -> None:
        self._client = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(socket)),
            base_url="http://localhost",
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )

    async def taken(self) -> Taken | None:
        """Tell what is in force. Cheap: with 1,000 models it takes Envoy 2 ms, all its statistics 65."""
        text = await self._stats("TextReadouts", "version_text")
        return None if text is None else read_versions(text)

    async def refusals(self) -> int | None:
        """Tell how many files Envoy refused since it was started."""
        text = await self._stats("Counters", "(update_rejected|update_failure)")
        return None if text is None else read_refusals(text)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def _stats(self, kind: str, names: str) -> str | None:
        try:
            answer = await self._client.get("/stats", params={"type": kind, "filter": rf"^({_FILES})\.{names}$"})
        except httpx2.HTTPError:
            return None
        return answer.text if answer.status_code == 200 else None


def read_versions(text: str) -> Taken | None:
    """Read the versions from Envoy's statistics; None while it has not begun to read its files."""
    found = _read(text)
    try:
        return Taken(
            routes=found[f"{_ROUTES}.version_text"],
            metrics_routes=found[f"{_METRICS_ROUTES}.version_text"],
            clusters=found[f"{_CLUSTERS}.version_text"],
        )
    except KeyError:
        return None


def read_refusals(text: str) -> int | None:
    """Add up the counters of Envoy's statistics; None where they are none."""
    try:
        return sum(int(value) for value in _read(text).values())
    except ValueError:
        return None


def _read(text: str) -> dict[str, str]:
    matches = (_LINE.match(line.strip()) for line in text.splitlines())
    return {match["name"]: match["value"] for match in matches if match is not None}
