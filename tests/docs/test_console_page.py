"""The page that tells where the console does what: each call of the API is there, and each is one of the API."""

from __future__ import annotations

import json
import re

from tests.docs.pages import DOCS


def test_every_call_has_its_place() -> None:
    document = json.loads((DOCS / "reference" / "openapi.json").read_text("utf-8"))
    offered = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    page = (DOCS / "reference" / "console.md").read_text("utf-8")
    told = re.findall(r"^\| `([A-Z]+ [^`]+)` \| \S", page, re.MULTILINE)

    assert sorted(told) == sorted(offered)
