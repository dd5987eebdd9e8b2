"""What the routes need of the world, handed over by the composition root."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from taxiway.api.limits import Slots
from taxiway.domain.ids import RevisionId
from taxiway.domain.platform import PlatformFacts
from taxiway.domain.pods import PodObservation
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import ScoringOptions
from taxiway.ports import LogStore, Pods
from taxiway.services.access_tokens import AccessTokens
from taxiway.services.api_tokens import ApiTokens
from taxiway.services.audit import AuditLog
from taxiway.services.conversions import Conversions
from taxiway.services.deployments import Deployments
from taxiway.services.events import Events
from taxiway.services.measurements import MeasurementHistory
from taxiway.services.projects import Projects
from taxiway.services.promotions import Promotions
from taxiway.services.rollouts import Rollouts
from taxiway.services.runs import Runs
from taxiway.services.scrubs import Scrubs
from taxiway.services.served import ServedHistory
from taxiway.services.sessions import Sessions
from taxiway.services.sign_in import SignIn
from taxiway.services.thresholds import Thresholds
from taxiway.services.usage import UsageReports
from taxiway.services.users import Users

STREAMS_PER_USER = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServices:
    """Services and views. ``pods_of`` tells a revision's pods as last seen."""

    users: Users
    sessions: Sessions
    sign_in: SignIn
    api_tokens: ApiTokens
    projects: Projects
    audit: AuditLog
    events: Events
    runs: Runs
    conversions: Conversions
    deployments: Deployments
    promotions: Promotions
    thresholds: Thresholds
    rollouts: Rollouts
    served: ServedHistory
    usage: UsageReports
    scrubs: Scrubs
    access_tokens: AccessTokens
    measurements: MeasurementHistory
    logs: LogStore
    pods: Pods
    pods_of: Callable[[RevisionId], Sequence[PodObservation]]
    platform: Callable[[], Awaitable[PlatformFacts]]
    version: str
    public_url: str
    default_resources: Resources
    default_options: ScoringOptions


def _services(request: Request) -> ApiServices:
    services: ApiServices = request.app.state.services
    return services


def _streams(request: Request) -> Slots:
    streams: Slots = request.app.state.streams
    return streams


Services = Annotated[ApiServices, Depends(_services)]
Streams = Annotated[Slots, Depends(_streams)]
