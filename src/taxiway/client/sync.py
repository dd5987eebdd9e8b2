"""The blocking client."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Self, TypeVar

import httpx2
from pydantic import BaseModel

from taxiway.client import calls
from taxiway.client.calls import Call
from taxiway.client.connection import (
    ApiError,
    ProjectNeeded,
    Unreachable,
    find_profile,
    is_passing,
    is_settled,
    read_answer,
)
from taxiway.wire.logs import PodLogList
from taxiway.wire.measurements import SeriesOut
from taxiway.wire.models import (
    AccessTokenIn,
    AccessTokenList,
    AccessTokenOut,
    ConfigurationIn,
    ContractChangesOut,
    ConversionIn,
    IssuedAccessTokenOut,
    LogPageOut,
    ModelVersionDetailOut,
    ModelVersionOut,
    ModelVersionPage,
    PreflightOut,
    ThresholdIn,
    ThresholdList,
    ThresholdsIn,
)
from taxiway.wire.production import (
    ApprovalList,
    ApprovalOut,
    DecisionIn,
    ProductionConfigurationIn,
    ProductionDetailOut,
    ProductionOut,
    ProductionPage,
    PromotionIn,
    PromotionOut,
    RollbackIn,
    RolloutChangeIn,
    ServedList,
    UsageList,
)
from taxiway.wire.scrubs import ScrubList, ScrubOut
from taxiway.wire.tracking import ExperimentPage, LoggedModelList, RunOut, RunPage

T = TypeVar("T", bound=BaseModel | dict[str, Any] | None)
Seen = TypeVar("Seen", ModelVersionDetailOut, ProductionDetailOut)
POLL_SECONDS = 0.2


class Client:
    """Talks to a Taxiway as one person or program.

    What is not given comes from TAXIWAY_URL, TAXIWAY_TOKEN, TAXIWAY_PROJECT or from ``taxiway login``. Methods
    raise ApiError when the server refuses and Unreachable when it does not answer.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        project: str | None = None,
        profile: str | None = None,
        timeout_seconds: float = 30.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        found = find_profile(profile)
        self.url = (url or found.url).rstrip("/")
        self.project = project or found.project
        secret = token or found.token
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {secret}"} if secret else {},
            timeout=timeout_seconds,
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Send one call and return its answer."""
        try:
            response = self._http.request(
                call.method, call.path, params=dict(call.query), json=call.body, headers=dict(call.headers)
            )
        except httpx2.TransportError as error:
            raise Unreachable(f"No answer from {self.url}: {error or type(error).__name__}.") from error
        return read_answer(call, response)

    def stream(self, call: Call[T]) -> Iterator[bytes]:
        """Send one call and yield the bytes of its answer as they come."""
        try:
            with self._http.stream(call.method, call.path, params=dict(call.query)) as response:
                if response.status_code >= 400:
                    response.read()
                    read_answer(call, response)
                yield from response.iter_bytes()
        except httpx2.TransportError as error:
            raise Unreachable(f"No answer from {self.url}: {error or type(error).__name__}.") from error

    def in_project(self, project: str | None) -> str:
        """Return the project that is meant: the one given, else the client's own. Raises ProjectNeeded."""
        return self._in(project)

    def _in(self, project: str | None) -> str:
        chosen = project or self.project
        if not chosen:
            raise ProjectNeeded
        return chosen

    def experiments(self, *, project: str | None = None, limit: int = 100, cursor: str | None = None) -> ExperimentPage:
        """List a project's experiments, newest first."""
        return self.send(calls.experiments(self._in(project), limit=limit, cursor=cursor))

    def runs(
        self,
        *,
        project: str | None = None,
        experiment: str | None = None,
        where: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> RunPage:
        """Search runs; ``where`` is MLflow's filter language, ``experiment`` a name or an id."""
        return self.send(calls.runs(self._in(project), experiment=experiment, where=where, limit=limit, cursor=cursor))

    def run(self, run_id: str, *, project: str | None = None) -> RunOut:
        """Look at one run."""
        return self.send(calls.run(self._in(project), run_id))

    def logged_models(self, run_id: str, *, project: str | None = None) -> LoggedModelList:
        """List the models that a run logged, and what was made of them."""
        return self.send(calls.logged_models(self._in(project), run_id))

    def preflight(self, run_id: str, wanted: ConversionIn, *, project: str | None = None) -> PreflightOut:
        """Check a conversion without doing it. Raises ApiError with the reason and a hint."""
        return self.send(calls.preflight(self._in(project), run_id, wanted))

    def convert(
        self, run_id: str, wanted: ConversionIn, *, project: str | None = None, idempotency_key: str | None = None
    ) -> ModelVersionDetailOut:
        """Convert a run's logged model. The same key never makes a second version, however often it is sent."""
        key = idempotency_key or secrets.token_hex(16)
        return self.send(calls.convert(self._in(project), run_id, wanted, idempotency_key=key))

    def models(
        self,
        *,
        project: str | None = None,
        model: str | None = None,
        status: str | None = None,
        owner: str | None = None,
        contains: str | None = None,
        tag: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ModelVersionPage:
        """List model versions, newest first; ``tag`` is ``key=value``. No project: all that one sees."""
        return self.send(
            calls.models(
                project=project,
                model=model,
                status=status,
                owner=owner,
                contains=contains,
                tag=tag,
                limit=limit,
                cursor=cursor,
            )
        )

    def model(self, name: str, version: int, *, project: str | None = None) -> ModelVersionDetailOut:
        """Look at one model version with all that belongs to it."""
        return self.send(calls.model(self._in(project), name, version))

    def contract_changes(
        self, name: str, version: int, *, since: int | None = None, project: str | None = None
    ) -> ContractChangesOut:
        """Tell what callers may feel if this version takes another's place (that of the one before it)."""
        return self.send(calls.contract_changes(self._in(project), name, version, since=since))

    def switch_on(self, name: str, version: int, *, project: str | None = None) -> ModelVersionOut:
        """Serve again, with the same URL and configuration; also the way to try a failed one again."""
        return self.send(calls.switch(self._in(project), name, version, to="on"))

    def switch_off(self, name: str, version: int, *, project: str | None = None) -> ModelVersionOut:
        """Stop serving, or cancel what is under way."""
        return self.send(calls.switch(self._in(project), name, version, to="off"))

    def configure(
        self, name: str, version: int, wanted: ConfigurationIn, *, project: str | None = None
    ) -> ModelVersionOut:
        """Change the configuration; what is left out stays."""
        return self.send(calls.configure(self._in(project), name, version, wanted))

    def promote(self, wanted: PromotionIn) -> PromotionOut:
        """Promote a model version to production, or with ``dry_run`` tell how the gates stand.

        Raises ApiError with the reason GatesFailed, which names every gate that does not hold.
        """
        return self.send(calls.promote(wanted))

    def production(self, *, customer: str | None = None) -> ProductionPage:
        """List production deployments by name, or a customer's."""
        return self.send(calls.production(customer=customer))

    def production_deployment(self, name: str) -> ProductionDetailOut:
        """Look at one production deployment with all that belongs to it."""
        return self.send(calls.production_deployment(name))

    def switch_production(self, name: str, *, on: bool, dry_run: bool = False) -> ProductionOut:
        """Serve again, or stop; URL and configuration are kept."""
        return self.send(calls.switch_production(name, to="on" if on else "off", dry_run=dry_run))

    def configure_production(
        self, name: str, wanted: ProductionConfigurationIn, *, dry_run: bool = False
    ) -> ProductionOut:
        """Change memory, CPUs, pods or access; what is left out stays.

        With ``dry_run`` this and the others change nothing: all is checked, and what would be is returned.
        """
        return self.send(calls.configure_production(name, wanted, dry_run=dry_run))

    def production_logs(
        self,
        name: str,
        *,
        kind: str = "pod",
        pod: str | None = None,
        after: int | None = None,
        tail: int | None = None,
        contains: str | None = None,
        limit: int = 1000,
    ) -> LogPageOut:
        """Read the ``build``, ``pod`` or ``access`` log, also of a dead pod. Follow with ``after=next_sequence``."""
        return self.send(
            calls.production_logs(name, kind=kind, pod=pod, after=after, tail=tail, contains=contains, limit=limit)
        )

    def production_pods(self, name: str) -> PodLogList:
        """List the pods, living and dead, whose logs are kept; newest first."""
        return self.send(calls.production_pods(name))

    def usage(self, *, since: date | None = None, until: date | None = None, customer: str | None = None) -> UsageList:
        """Tell what customers used on these days (UTC, both included; else this month's)."""
        return self.send(calls.usage(since=since, until=until, customer=customer))

    def served(self, *, at: datetime | None = None, customer: str | None = None) -> ServedList:
        """Tell what served at a moment (with its offset; None: now), to whom, and who put it there."""
        return self.send(calls.served(at=None if at is None else at.isoformat(), customer=customer))

    def change_rollout(self, name: str, wanted: RolloutChangeIn, *, dry_run: bool = False) -> ProductionDetailOut:
        """Let the rollout that is under way go on, stay at a share, finish or end."""
        return self.send(calls.change_rollout(name, wanted, dry_run=dry_run))

    def roll_back(self, name: str, *, reason: str, revision: int | None = None, dry_run: bool = False) -> ProductionOut:
        """Serve again as an earlier revision did: the one with that number, or the newest that differs."""
        return self.send(calls.roll_back(name, RollbackIn(reason=reason, revision=revision), dry_run=dry_run))

    def approvals(self) -> ApprovalList:
        """List the promotions that wait for another administrator, then those that were decided last."""
        return self.send(calls.approvals())

    def decide(self, key: str, decision: str, *, reason: str = "") -> ApprovalOut:
        """Decide on a promotion that waits: ``approved``, ``rejected`` or ``withdrawn``."""
        wanted = DecisionIn.model_validate({"decision": decision, "reason": reason})
        return self.send(calls.decide(key, wanted))

    def thresholds(self, name: str, *, project: str | None = None) -> ThresholdList:
        """List what the metrics of a model's runs must reach before it goes to production."""
        return self.send(calls.thresholds(self._in(project), name))

    def set_thresholds(
        self, name: str, thresholds: Sequence[ThresholdIn], *, project: str | None = None
    ) -> ThresholdList:
        """Put these thresholds in place of those there were."""
        wanted = ThresholdsIn(thresholds=list(thresholds))
        return self.send(calls.set_thresholds(self._in(project), name, wanted))

    def scrubs(self, *, limit: int = 10) -> ScrubList:
        """List scrubs, newest first, with the damages that they found."""
        return self.send(calls.scrubs(limit))

    def run_scrub(self) -> ScrubOut:
        """Read every file of every kept snapshot again, soon; tells which scrub that is."""
        return self.send(calls.run_scrub())

    def delete_production(self, name: str, *, dry_run: bool = False) -> None:
        """Delete a production deployment with its endpoint, files and access tokens."""
        self.send(calls.delete_production(name, dry_run=dry_run))

    def issue_production_token(self, name: str, *, caller: str, days: float = 90) -> IssuedAccessTokenOut:
        """Issue an access token for one caller; its text is returned this once."""
        return self.send(calls.issue_production_token(name, AccessTokenIn(caller=caller, days=float(days))))

    def production_tokens(self, name: str) -> AccessTokenList:
        """List a production deployment's access tokens."""
        return self.send(calls.production_tokens(name))

    def revoke_production_token(self, name: str, token: str) -> AccessTokenOut:
        """Make the gateway refuse a token."""
        return self.send(calls.revoke_production_token(name, token))

    def delete(self, name: str, version: int, *, project: str | None = None) -> None:
        """Delete a model version with its deployment, files, logs and tokens."""
        self.send(calls.delete(self._in(project), name, version))

    def logs(
        self,
        name: str,
        version: int,
        *,
        kind: str = "pod",
        project: str | None = None,
        pod: str | None = None,
        after: int | None = None,
        tail: int | None = None,
        contains: str | None = None,
        limit: int = 1000,
    ) -> LogPageOut:
        """Read the ``build``, ``pod`` or ``access`` log, also of a dead pod. Follow with ``after=next_sequence``."""
        return self.send(
            calls.logs(
                self._in(project),
                name,
                version,
                kind=kind,
                pod=pod,
                after=after,
                tail=tail,
                contains=contains,
                limit=limit,
            )
        )

    def pods(self, name: str, version: int, *, project: str | None = None) -> PodLogList:
        """List the pods, living and dead, whose logs are kept; newest first."""
        return self.send(calls.pods(self._in(project), name, version))

    def measurements(self, name: str, version: int, *, minutes: int = 60, project: str | None = None) -> SeriesOut:
        """Look at a staging deployment's requests, latency, pods, CPU and memory over the last minutes."""
        return self.send(calls.measurements(self._in(project), name, version, minutes=minutes))

    def production_measurements(self, name: str, *, minutes: int = 60) -> SeriesOut:
        """Look at a production deployment's requests, latency, pods, CPU and memory over the last minutes."""
        return self.send(calls.production_measurements(name, minutes=minutes))

    def issue_token(
        self, name: str, version: int, *, caller: str, days: float = 90, project: str | None = None
    ) -> IssuedAccessTokenOut:
        """Issue an access token for one caller; its text is returned this once."""
        wanted = AccessTokenIn(caller=caller, days=float(days))
        return self.send(calls.issue_token(self._in(project), name, version, wanted))

    def tokens(self, name: str, version: int, *, project: str | None = None) -> AccessTokenList:
        """List a deployment's access tokens."""
        return self.send(calls.tokens(self._in(project), name, version))

    def revoke_token(self, name: str, version: int, token_id: str, *, project: str | None = None) -> AccessTokenOut:
        """Make the gateway refuse an access token, within two seconds."""
        return self.send(calls.revoke_token(self._in(project), name, version, token_id))

    def wait(
        self,
        name: str,
        version: int,
        *,
        project: str | None = None,
        until: Callable[[ModelVersionDetailOut], bool] = is_settled,
        timeout_seconds: float = 600.0,
        progress: Callable[[ModelVersionDetailOut], None] | None = None,
    ) -> ModelVersionDetailOut:
        """Wait until a model version is ON, OFF or Failed and return it. Raises TimeoutError.

        A control plane that does not answer for a while is waited for as well.
        """
        return self._wait_for(
            lambda: self.model(name, version, project=project),
            until,
            f"{name} version {version}",
            timeout_seconds=timeout_seconds,
            progress=progress,
        )

    def wait_production(
        self,
        name: str,
        *,
        timeout_seconds: float = 600.0,
        progress: Callable[[ProductionDetailOut], None] | None = None,
    ) -> ProductionDetailOut:
        """Wait until a production deployment is as it was asked for last, or has failed. Raises TimeoutError."""
        return self._wait_for(
            lambda: self.production_deployment(name),
            is_settled,
            name,
            timeout_seconds=timeout_seconds,
            progress=progress,
        )

    def _wait_for(
        self,
        look: Callable[[], Seen],
        until: Callable[[Seen], bool],
        called: str,
        *,
        timeout_seconds: float,
        progress: Callable[[Seen], None] | None,
    ) -> Seen:
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                seen = look()
            except (ApiError, Unreachable) as error:
                if not is_passing(error) or time.monotonic() > deadline:
                    raise
            else:
                if progress is not None:
                    progress(seen)
                if until(seen):
                    return seen
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{called} is still {seen.status}: {seen.message}")
            time.sleep(POLL_SECONDS)
