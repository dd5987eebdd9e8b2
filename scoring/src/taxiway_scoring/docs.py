"""The endpoint's documentation page: one self-contained document, no outside resource, no script."""

from __future__ import annotations

import html
import json
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1d21;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .75rem;border-bottom:1px solid #d9dde3}
pre{background:#f3f5f8;padding:1rem;overflow:auto;border-radius:6px}code{font-family:ui-monospace,monospace}
@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#16181c}pre{background:#23262c}
td,th{border-color:#3a3f47}a{color:#8ab4ff}}
"""


def page(document: dict[str, Any]) -> bytes:
    """Draw the page of an endpoint's OpenAPI document."""
    post = document["paths"]["/invocations"]["post"]
    content = post["requestBody"]["content"]
    body = content["application/json"]
    rows = _columns(body["schema"])
    example = body.get("example")
    title = html.escape(f"{document['info']['title']} {document['info']['version']}")
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>",
        "<meta name=viewport content='width=device-width'>",
        f"<style>{_STYLE}</style><h1>{title}</h1>",
        "<p><code>POST invocations</code> predicts, with an access token as <code>Authorization: Bearer …</code>.",
        "<p>The whole description is in <a href=openapi.json>openapi.json</a>.",
    ]
    if rows:
        parts.append("<h2>Input columns</h2><table><tr><th>Name<th>Type<th>Needed</tr>")
        parts += [
            f"<tr><td><code>{html.escape(name)}</code><td>{html.escape(kind)}<td>{needed}</tr>"
            for name, kind, needed in rows
        ]
        parts.append("</table>")
    if example is not None:
        shown = html.escape(json.dumps(example, indent=2)[:20_000])
        parts.append(f"<h2>Example body</h2><pre><code>{shown}</code></pre>")
    parts.append("<h2>Answers</h2><table>")
    for code, answer in post["responses"].items():
        parts.append(f"<tr><td><code>{code}</code><td>{html.escape(answer['description'])}</tr>")
    parts.append("</table></html>")
    return "".join(parts).encode()


def _columns(schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    for form in schema.get("oneOf", ()):
        records = form["properties"].get("dataframe_records")
        if records:
            row = records["items"]
            return [
                (name, _kind(column), "yes" if name in row["required"] else "no")
                for name, column in row["properties"].items()
            ]
    return []


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "anything")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{text} ({schema['format']})" if "format" in schema else text
