"""What Envoy says of itself over its administration socket: which files are in force, and how many it refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx2

from taxiway.domain.ids import RevisionId
from taxiway.domain.measurements import BOUNDS_MS, Traffic
from taxiway.gateway.names import ACTIVATOR_CLUSTER, ADMIN_CLUSTER, CONTROL_CLUSTER, METRICS, PUBLIC

_TIMEOUT_SECONDS = 1.0
_ROUTES = f"http.{PUBLIC}.rds.{PUBLIC}"
_METRICS_ROUTES = f"http.{METRICS}.rds.{METRICS}"
_CLUSTERS = "cluster_manager.cds"
_LISTENERS = "listener_manager.lds"
_FILES = "|".join(re.escape(name) for name in (_ROUTES, _METRICS_ROUTES, _CLUSTERS, _LISTENERS))
_LINE = re.compile(r"(?P<name>[\w.]+): \"?(?P<value>[^\"]*)\"?\Z")

_COUNTED = r"^cluster\..*\.upstream_rq_(time|active|[1-5]xx)$"
_NO_REVISIONS = (ADMIN_CLUSTER, CONTROL_CLUSTER, ACTIVATOR_CLUSTER)
_SERIES = re.compile(
    r"envoy_cluster_(?P<name>upstream_rq_(?:xx|active|time_bucket|time_sum))\{"
    r"(?:envoy_response_code_class=\"(?P<before>\d)\",)?envoy_cluster_name=\"(?P<cluster>[^\"]*)\""
    r"(?:,envoy_response_code_class=\"(?P<after>\d)\")?(?:,le=\"(?P<bucket>[^\"]*)\")?\} (?P<value>[-+.\de]+)\Z"
)


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

    async def traffic(self) -> Mapping[RevisionId, Traffic] | None:
        """Tell what Envoy counted of each revision since it was started; None when it does not answer."""
        try:
            answer = await self._client.get("/stats/prometheus", params={"filter": _COUNTED, "usedonly": ""})
        except httpx2.HTTPError:
            return None
        return read_traffic(answer.text) if answer.status_code == 200 else None

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


def read_traffic(text: str) -> dict[RevisionId, Traffic]:
    """Read counters, gauges and histograms of clusters in Prometheus' text format."""
    found: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        match = _SERIES.match(line)
        if match is not None:
            key = match["bucket"] or match["before"] or match["after"] or match["name"]
            found.setdefault(match["cluster"], {})[f"{match['name']}:{key}"] = int(float(match["value"]))
    return {RevisionId(cluster): _traffic(series) for cluster, series in found.items() if cluster not in _NO_REVISIONS}


def _traffic(series: Mapping[str, int]) -> Traffic:
    classes = [series.get(f"upstream_rq_xx:{digit}", 0) for digit in range(1, 6)]
    reached = [series.get(f"upstream_rq_time_bucket:{bound:g}", 0) for bound in BOUNDS_MS]
    reached.append(series.get("upstream_rq_time_bucket:+Inf", 0))
    return Traffic(
        requests=sum(classes),
        client_errors=classes[3],
        server_errors=classes[4],
        milliseconds=series.get("upstream_rq_time_sum:upstream_rq_time_sum", 0),
        latencies=tuple(now - was for now, was in zip(reached, [0, *reached], strict=False)),
        in_flight=series.get("upstream_rq_active:upstream_rq_active", 0),
    )


def _read(text: str) -> dict[str, str]:
    matches = (_LINE.match(line.strip()) for line in text.splitlines())
    return {match["name"]: match["value"] for match in matches if match is not None}
