"""PodCaller: asks one pod directly, for whoever tries a model in the console. Callers' requests go by the gateway."""

from __future__ import annotations

import time

import httpx2

from taxiway.domain.errors import NotReady
from taxiway.domain.pods import PodAnswer

_MARGIN_SECONDS = 2.0
_MOST_BYTES = 8 << 20


class PodCaller:
    """Asks pods by the address that their runtime tells."""

    async def ask(
        self, address: str, method: str, path: str, *, body: bytes = b"", content_type: str = "", timeout: float = 10.0
    ) -> PodAnswer:
        """Return what the pod answers, whatever its status. Raises NotReady where it does not answer in time."""
        is_local = address.startswith("unix:")
        transport = httpx2.AsyncHTTPTransport(uds=address.removeprefix("unix:")) if is_local else None
        base = "http://pod" if is_local else f"http://{address}"
        headers = {"Content-Type": content_type} if content_type else {}
        began = time.perf_counter()
        try:
            async with httpx2.AsyncClient(
                transport=transport, base_url=base, timeout=timeout + _MARGIN_SECONDS, trust_env=False
            ) as client:
                answer = await client.request(method, path, content=body, headers=headers)
        except httpx2.HTTPError:
            raise NotReady("The pod does not answer at the moment.", hint="Try again in a second.") from None
        return PodAnswer(
            status=answer.status_code,
            body=answer.content[:_MOST_BYTES],
            content_type=answer.headers.get("content-type", ""),
            milliseconds=(time.perf_counter() - began) * 1000,
        )
