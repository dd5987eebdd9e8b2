"""The endpoint's page: what it says, and that it loads nothing and lets nothing of a model's be markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from taxiway_scoring.contract import Contract, Tensor, openapi
from taxiway_scoring.docs import LINE, page, pretty
from tests.scoring.apps import a_contract, a_tensor, an_app, ask

EVIL = "</pre><script>alert('1')</script>"


def draw(contract: Contract, example: Any = None, title: str = "m") -> str:
    return page(openapi(contract, title=title, version="3", example=example), contract).decode()


def test_columns_params_outputs_snippets_and_errors() -> None:
    contract = a_contract(
        ("amount", "double"), ("items", {"type": "array", "items": {"type": "long"}}), optional=("items",),
        params=[{"name": "top", "type": "long", "default": 3, "shape": None}],
    )  # fmt: skip
    contract = replace(contract, method="predict_proba", output_tensors=(Tensor(None, "float64", (-1, 2), ("n", "y")),))
    rows = {"dataframe_split": {"index": [0, 1, 2], "columns": ["amount"], "data": [[1.5], [None], [77.0]]}}
    text = draw(contract, rows)
    assert "<tr><td><code>amount</code><td><code>double</code> <span class=soft>a number</span><td>yes<td>yes" in text
    assert "<code>array of long</code><td>no<td>yes" in text
    assert "<td><code>top</code><td><code>long</code><td><code>3</code>" in text
    assert "the model's <code>predict_proba</code>" in text
    assert "rows \u00d7 2<br><span class=soft>n, y</span>" in text
    assert "[[1.5], [null]]" in text
    assert "[[1.5], [None]]" in text
    assert "77.0" not in text
    assert "curl" in text
    assert all(f"<td><code>{code}</code>" in text for code in (400, 401, 413, 415, 422, 429, 503, 504))


def test_nothing_that_a_model_names_is_markup_and_nothing_is_loaded() -> None:
    contract = a_contract((EVIL, "string"), outputs=[{"type": "double", "name": EVIL}])
    text = draw(contract, {"dataframe_records": [{EVIL: EVIL}]}, title=EVIL)
    assert "<script" not in text
    assert not re.search(r"src=|url\(|@import|<link|https?:", text)


def test_a_quote_in_the_example_does_not_end_the_command() -> None:
    text = draw(a_contract(("x", "string")), {"dataframe_records": [{"x": "it's"}]})
    assert "it&#x27;\\&#x27;&#x27;s" in text


def test_models_of_which_little_is_known() -> None:
    assert "without a signature" in draw(Contract())
    assert "rows \u00d7 3" in draw(a_contract(inputs=[a_tensor("float64", -1, 3)]), {"inputs": [[1, 2, 3]]})
    many = draw(a_contract(*((f"c{at}", "double") for at in range(502)), outputs=[{"type": "long"}]))
    assert "And 2 more" in many


def test_long_json_is_broken_where_it_can_be() -> None:
    for value in ({"a": list(range(99)), "b": [["x" * 40, 1], ["y" * 40]]}, [[1] * 60, "z"], {}, [{"k": "v" * 90}]):
        text = pretty(value)
        assert json.loads(text) == value
        assert all(len(line) <= LINE for line in text.splitlines() if "vvv" not in line)


async def test_the_page_may_load_nothing() -> None:
    answer = await ask(an_app(), path="/docs")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
