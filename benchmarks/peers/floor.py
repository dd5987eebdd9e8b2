"""A constant JSON answer by uvicorn: what any ASGI server costs before it does anything."""

from typing import Any

ANSWER = b'{"predictions":[[0.5,0.5]]}'


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body and answer the same to all."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})
