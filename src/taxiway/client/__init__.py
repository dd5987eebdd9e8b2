"""The Python client over HTTP. Of ours it knows only the words of the API and of the domain."""

from taxiway.client.asynchronous import AsyncClient
from taxiway.client.connection import ApiError, Profile, ProjectNeeded, Unreachable, find_profile, save_profile
from taxiway.client.sync import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "Profile",
    "ProjectNeeded",
    "Unreachable",
    "find_profile",
    "save_profile",
]
