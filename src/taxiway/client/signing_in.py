"""From a password to an API token: what ``taxiway login`` does."""

from __future__ import annotations

import httpx2

from taxiway.client.calls import Call, plain
from taxiway.client.connection import Unreachable, read_answer


def sign_in(url: str, *, user: str, password: str, token_name: str, days: float, project: str | None = None) -> str:
    """Return a new API token of the user. The password is sent once and not kept; the session ends at once.

    Raises ApiError when the password is wrong, Unreachable when nothing answers.
    """
    body = {"name": token_name, "days": float(days)} | ({"project": project} if project else {})
    try:
        # The Origin tells the server that this is no other site's form.
        with httpx2.Client(base_url=url, headers={"Origin": url}, timeout=30, trust_env=False) as http:
            _send(http, plain("POST", "session", body={"name": user, "password": password}))
            made = _send(http, plain("POST", "tokens", body=body))
            _send(http, plain("DELETE", "session"))
    except httpx2.TransportError as error:
        raise Unreachable(f"No answer from {url}: {error or type(error).__name__}.") from error
    return str(made["token"])


def _send(http: httpx2.Client, call: Call[dict[str, object]]) -> dict[str, object]:
    return read_answer(call, http.request(call.method, call.path, json=call.body))
