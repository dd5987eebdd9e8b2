"""The web console's own files, and its pages: one document, whatever page is asked for.

Scripts and styles are files of ours; the few styles that the components write into the page carry a nonce of the
answer. Whoever has a checkout without a built console is told how to build it, and all else works.
"""

from __future__ import annotations

import html
import mimetypes
import re
import secrets
from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse, HTMLResponse

from taxiway.api.routing import TaxiwayRouter
from taxiway.api.services import Services
from taxiway.domain.errors import NotFound
from taxiway.domain.people import Permission

router = TaxiwayRouter(tags=["platform"], prefix="")

STATIC = Path(__file__).parents[1] / "console" / "static"
"""What `console/build.py` makes; in the wheel, not in the repository."""
SECTIONS = ("experiments", "runs", "models", "deployments", "monitoring", "administration", "account", "sign-in")
"""What the console's addresses begin with; ``/staging`` and ``/production`` are those of endpoints."""
NONCE = "NONCE-OF-THE-ANSWER"
"""What ``index.html`` has where the nonce is to stand."""
ASSET_POLICY = "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"
"""A worker is held to the policy of its own file: it may ask this host and nobody else."""
_ASSET = re.compile(r"[A-Za-z0-9._-]{1,120}\Z")
NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Taxiway</title></head><body>
<h1>Taxiway</h1>
<p>This is version {version}. The web console was not built here: run <code>make console</code> in the checkout.</p>
<p>Everything else works: the control API is at <code>{url}/api/v1</code>, the tracking URI
is <code>{url}/mlflow</code>, and <code>taxiway --help</code> tells the rest.</p>
</body></html>
"""


def policy_of(nonce: str) -> str:
    """Return the content security policy of the console's document."""
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; "
        "font-src 'self'; connect-src 'self'; frame-src 'self' blob:; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    )


def document(static: Path, *, version: str, url: str) -> Response:
    """Return the console's document with a nonce of its own, or the page that says how to build it."""
    try:
        text = (static / "index.html").read_text("utf-8")
    except OSError:
        return HTMLResponse(NOT_BUILT.format(version=html.escape(version), url=html.escape(url)))
    nonce = secrets.token_urlsafe(16)
    headers = {"Content-Security-Policy": policy_of(nonce), "Cache-Control": "no-cache"}
    return HTMLResponse(text.replace(NONCE, nonce), headers=headers)


@router.get("/", permission=Permission.PUBLIC, include_in_schema=False, response_class=HTMLResponse)
async def get_home(services: Services) -> Response:
    """Show the console."""
    return document(STATIC, version=services.version, url=services.public_url)


async def _page(services: Services) -> Response:
    return document(STATIC, version=services.version, url=services.public_url)


for _section in SECTIONS:
    for _path in (f"/{_section}", f"/{_section}/{{rest:path}}"):
        router.get(_path, permission=Permission.PUBLIC, include_in_schema=False, response_class=HTMLResponse)(_page)


@router.get(
    "/assets/{name}",
    permission=Permission.PUBLIC,
    is_free_of_limits=True,
    include_in_schema=False,
    response_class=FileResponse,
)
async def get_asset(name: str) -> Response:
    """Return one of the console's files, whose name changes with its content."""
    file = STATIC / "assets" / name
    if not _ASSET.match(name) or not file.is_file():
        raise NotFound("The console has no such file.", hint="Load the page again: the console may be newer.")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Content-Security-Policy": ASSET_POLICY}
    return FileResponse(file, media_type=kind, headers=headers)
