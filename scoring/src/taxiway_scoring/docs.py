"""The endpoint's documentation page: one self-contained document, no outside resource, no script."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from taxiway_scoring.contract import EXPECTED, Column, Contract, Tensor, Type, may_be_null

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The page's Content-Security-Policy."""
MAX_SHOWN = 500
"""How many columns have a line; the document has all."""
SHOWN_ROWS = 2
"""How many rows of the example are shown."""
LINE = 76
ADVICE = {
    "400": "Send what the content type says, in one of the forms above.",
    "401": "Send an access token: <code>Authorization: Bearer …</code>",
    "403": "Ask for a token of this endpoint.",
    "413": "Send fewer rows at a time.",
    "415": "Send JSON, CSV or Parquet.",
    "422": "The answer names row and column, and what was expected.",
    "429": "Try again after the seconds in <code>Retry-After</code>.",
    "503": "Try again after the seconds in <code>Retry-After</code>.",
    "504": "Send fewer rows; ask the model's owner for more time.",
}
_STYLE = """
:root{color-scheme:light dark;--ink:#1a1d21;--soft:#5b6470;--line:#dfe3e8;--paper:#fff;--box:#f5f7f9;--mark:#0b5fff;
--good:#0a7a3e}
@media(prefers-color-scheme:dark){:root{--ink:#e7e9ec;--soft:#a0a8b3;--line:#333941;--paper:#14171b;--box:#1e2329;
--mark:#8ab4ff;--good:#5fd394}}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,sans-serif;max-width:56rem;margin:0 auto;padding:2rem 1.25rem 4rem;color:var(--ink);
background:var(--paper);overflow-wrap:break-word}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2.25rem 0 .5rem}
h1 small{font-weight:400;color:var(--soft);white-space:nowrap}p{margin:.5rem 0}.soft{color:var(--soft)}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:1rem 0 0}a{color:var(--mark)}
code,pre{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}
pre{background:var(--box);border:1px solid var(--line);border-radius:8px;padding:.875rem 1rem;margin:.5rem 0;
overflow-x:auto}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.45rem 1rem .45rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600;font-size:.875rem;color:var(--soft);white-space:nowrap}td:last-child,th:last-child{padding-right:0}
.call{display:flex;gap:.75rem;align-items:center;background:var(--box);border:1px solid var(--line);border-radius:8px;
padding:.625rem 1rem;margin:1rem 0}.call b{color:var(--good);font:600 .875rem ui-monospace,monospace}
"""


def page(document: dict[str, Any], contract: Contract) -> bytes:
    """Draw the page of an endpoint: its OpenAPI document, and the contract that it was made of."""
    post = document["paths"]["/invocations"]["post"]
    content = post["requestBody"]["content"]
    name, version = html.escape(document["info"]["title"]), html.escape(document["info"]["version"])
    body = _body(contract, content["application/json"].get("example"))
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name} {version}</title>",
        f"<meta name=viewport content='width=device-width,initial-scale=1'><style>{_STYLE}</style><main>",
        f"<h1>{name} <small>version {version}</small></h1>",
        "<div class=call><b>POST</b><code>invocations</code></div>",
        (
            f"<p>Predicts by the model's <code>{html.escape(contract.method)}</code>. Below, <code>$URL</code> is this "
            "page's address without <code>/docs</code>, and <code>$TOKEN</code> an access token, where the endpoint "
            "needs one."
        ),
        (
            "<nav><a href=#input>Input</a><a href=#output>Output</a><a href=#call>Call it</a><a href=#errors>Errors</a>"
            "<a href=openapi.json>OpenAPI document</a></nav>"
        ),
        *_input(contract, list(content)),
        "<h2 id=output>Output</h2>",
        *_output(contract),
        *_call(body),
        (
            "<h2 id=errors>Errors</h2><p>As <code>application/problem+json</code>, with a <code>reason</code>, a "
            "<code>detail</code> and, where there is one, <code>row</code> and <code>column</code>. No value is "
            "repeated."
        ),
        *_table(
            ("Status", "Means", "What to do"),
            (
                (f"<code>{code}</code>", html.escape(answer["description"]), ADVICE.get(code, ""))
                for code, answer in post["responses"].items()
                if code != "200"
            ),
        ),
        "</main></html>",
    ]
    return "".join(parts).encode("utf-8", "replace")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["".join(f"<td>{cell}" for cell in row) for row in rows]
    return [
        "<div class=wide><table><tr>", *(f"<th>{title}" for title in head), *(f"<tr>{line}" for line in lines),
        "</table></div>",
    ]  # fmt: skip


def _input(contract: Contract, forms: Sequence[str]) -> list[str]:
    parts = ["<h2 id=input>Input</h2>"]
    if contract.columns:
        shown = contract.columns[:MAX_SHOWN]
        parts += _table(("Column", "Type", "Required", "May be null"), (_column_cells(column) for column in shown))
        if len(contract.columns) > MAX_SHOWN:
            parts.append(f"<p class=soft>And {len(contract.columns) - MAX_SHOWN} more, in the OpenAPI document.")
    elif contract.tensors:
        parts += _tensors(contract.tensors, "input")
    else:
        parts.append("<p>The model was logged without a signature: what it takes is not known here.")
    kinds = ", ".join(f"<code>{html.escape(form)}</code>" for form in forms)
    parts.append(f"<p class=soft>Content types: {kinds}.")
    if contract.params:
        parts.append(
            "<h2>Parameters</h2><p>All may be left out; they stand beside the rows, under <code>params</code>."
        )
        parts += _table(
            ("Parameter", "Type", "Default"),
            (
                (_code(p.name), _code(f"array of {p.kind}" if p.is_list else p.kind), _code(json.dumps(p.default)))
                for p in contract.params
            ),
        )
    return parts


def _column_cells(column: Column) -> tuple[str, ...]:
    said = EXPECTED.get(column.type.kind)
    kind = _code(type_name(column.type)) + (f" <span class=soft>{said}</span>" if said else "")
    name = "<span class=soft>(no name)</span>" if column.name is None else _code(column.name)
    return name, kind, "yes" if column.required else "no", "yes" if may_be_null(column) else "no"


def _output(contract: Contract) -> list[str]:
    parts = ["<p>An object with <code>predictions</code>, one for each row."]
    if any(column.name is not None for column in contract.outputs):
        rows = ((_code(str(column.name)), _code(type_name(column.type))) for column in contract.outputs[:MAX_SHOWN])
        parts += ["<p>Each is an object:", *_table(("Field", "Type"), rows)]
    elif len(contract.outputs) == 1:
        parts = [f"<p>An object with <code>predictions</code>: a {_code(type_name(contract.outputs[0].type))} a row."]
    elif contract.output_tensors:
        parts += _tensors(contract.output_tensors, "predictions")
    else:
        parts = ["<p>An object with <code>predictions</code>; what they are, the model does not say."]
    return parts


def _tensors(tensors: Sequence[Tensor], otherwise: str) -> list[str]:
    def cells(tensor: Tensor) -> tuple[str, str, str]:
        shape = " \u00d7 ".join(_length(at, size) for at, size in enumerate(tensor.shape)) or "a single value"
        labels = f"<br><span class=soft>{html.escape(', '.join(tensor.labels[:MAX_SHOWN]))}</span>"
        return _code(tensor.name or otherwise), _code(tensor.dtype), shape + (labels if tensor.labels else "")

    return _table(("Tensor", "Type", "Shape"), map(cells, tensors))


def _length(level: int, size: int) -> str:
    return str(size) if size >= 0 else "any" if level else "rows"


def _call(body: Any) -> list[str]:
    if body is None:
        return ["<h2 id=call>Call it</h2><p>The model was logged without an input example."]
    text = pretty(body)
    quoted = text.replace("'", "'\\''")
    curl = (
        'curl "$URL/invocations" \\\n  -H "Authorization: Bearer $TOKEN" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d '{quoted}'"
    )
    python = (
        "import os\n\nimport requests\n\n"
        f"body = {pretty(body, write=repr)}\n"
        "answer = requests.post(\n"
        '    os.environ["URL"] + "/invocations",\n'
        "    json=body,\n"
        '    headers={"Authorization": f"Bearer {os.environ[\'TOKEN\']}"},\n'
        "    timeout=60,\n"
        ")\n"
        "answer.raise_for_status()\n"
        'print(answer.json()["predictions"])'
    )
    return [
        "<h2 id=call>Call it</h2><p>The model's own example:",
        f"<pre tabindex=0>{html.escape(text)}</pre><p>With curl:<pre tabindex=0>{html.escape(curl)}</pre>",
        f"<p>With Python:<pre tabindex=0>{html.escape(python)}</pre>",
    ]


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>"


def type_name(type_: Type) -> str:
    """Return a type in words: ``array of long``, ``{a: long, b?: map of string}``."""
    if type_.kind in ("array", "map"):
        return f"{type_.kind} of {type_name(type_.items or Type('any'))}"
    if type_.kind == "object":
        fields = (f"{name}{'' if required else '?'}: {type_name(inner)}" for name, inner, required in type_.fields)
        return f"{{{', '.join(fields)}}}"
    return type_.kind


def _body(contract: Contract, example: Any) -> Any:
    """Return the example with its first rows only."""
    if not isinstance(example, dict):
        return None
    shown = dict(example)
    for form, value in example.items():
        if form == "dataframe_split" and isinstance(value, dict):
            shown[form] = {
                key: value[key][:SHOWN_ROWS] if key == "data" else value[key] for key in value if key != "index"
            }
        elif form in ("dataframe_records", "instances", "inputs") and isinstance(value, list):
            shown[form] = value[:SHOWN_ROWS]
        elif form == "inputs" and isinstance(value, dict) and (contract.columns or contract.tensors):
            shown[form] = {k: v[:SHOWN_ROWS] if isinstance(v, list) else v for k, v in value.items()}
    return shown


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def pretty(value: Any, indent: int = 0, *, write: Callable[[Any], str] = _json) -> str:
    """Return JSON (or what ``write`` writes) with a line of its own for whatever fits into one."""
    flat = write(value)
    if len(flat) + indent <= LINE or not isinstance(value, (dict, list)) or not value:
        return flat
    inner, end = " " * (indent + 2), "\n" + " " * indent
    if isinstance(value, dict):
        lines = [f"{inner}{write(key)}: {pretty(item, indent + 2, write=write)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + end + "}"
    is_of_rows = all(isinstance(item, (dict, list)) for item in value)
    if is_of_rows or any(len(write(item)) + len(inner) >= LINE for item in value):
        lines = [inner + pretty(item, indent + 2, write=write) for item in value]
        return "[\n" + ",\n".join(lines) + end + "]"
    return "[\n" + "\n".join(_filled([write(item) for item in value], inner)) + end + "]"


def _filled(items: Sequence[str], inner: str) -> list[str]:
    lines, line = [], inner
    for number, item in enumerate(items):
        piece = item if number == len(items) - 1 else item + ","
        if line.strip() and len(line) + 1 + len(piece) > LINE:
            lines.append(line)
            line = inner
        line += piece if line == inner else f" {piece}"
    return [*lines, line]
