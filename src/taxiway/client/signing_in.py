"""What is done with a password instead of an API token: sign in, change it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from taxiway.client.calls import Call, plain
from taxiway.client.connection import Unreachable, read_answer


def sign_in(url: str, *, user: str, password: str, token_name: str, days: float, project: str | None = None) -> str:
    """Return a new API token of the user. The password is sent once and not kept; the session ends at once.

    Raises ApiError when the password is wrong, Unreachable when nothing answers.
    """
    body = {"name": token_name, "days": float(days)} | ({"project": project} if project else {})
    with _session(url, user=user, password=password) as http:
        return str(_send(http, plain("POST", "tokens", body=body))["token"])


def change_own_password(url: str, *, user: str, old: str, new: str) -> None:
    """Change a user's own password, also one that must be changed before anything else. Raises as ``sign_in``."""
    with _session(url, user=user, password=old) as http:
        _send(http, plain("PUT", "session", "password", body={"old": old, "new": new}))


@contextmanager
def _session(url: str, *, user: str, password: str) -> Iterator[httpx2.Client]:
    try:
        # The Origin tells the server that this is no other site's form.
        with httpx2.Client(base_url=url, headers={"Origin": url}, timeout=30, trust_env=False) as http:
            _send(http, plain("POST", "session", body={"name": user, "password": password}))
            yield http
            _send(http, plain("DELETE", "session"))
    except httpx2.TransportError as error:
        raise Unreachable(f"No answer from {url}: {error or type(error).__name__}.") from error


def _send(http: httpx2.Client, call: Call[dict[str, object]]) -> dict[str, object]:
    return read_answer(call, http.request(call.method, call.path, json=call.body))
