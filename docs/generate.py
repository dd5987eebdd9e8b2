"""Writes the reference pages that are made from the code: settings, errors, commands, HTTP API, metrics.

Run by ``make docs``; ``tests/docs/test_generated.py`` compares what is committed with what would be written.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import advice
import typer.main
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from reasons import endpoint_answers, meaning_of

from taxiway.api.application import TAGS, create_api
from taxiway.api.problems import PROBLEMS
from taxiway.api.services import ApiServices
from taxiway.cli import application
from taxiway.cli.output import ExitCode
from taxiway.settings import Section, Settings, provider_keys
from taxiway.telemetry.metrics import ControlMetrics
from taxiway_scoring.telemetry import METRICS

REFERENCE = Path(__file__).parent / "reference"
MADE = "<!-- Made from the code by `make docs`: change it there. -->\n"


def pages() -> dict[str, str]:
    """Return every page by its name in ``reference/``."""
    document = openapi()
    return {
        "settings.md": settings_page(),
        "errors.md": errors_page(),
        "cli.md": cli_page(),
        "http-api.md": api_page(document),
        "openapi.json": json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n",
        "metrics.md": metrics_page(),
        "performance.md": performance_page(),
    }


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table."""
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def wrapped(text: str) -> str:
    """Break a paragraph into lines."""
    return textwrap.fill(" ".join(text.split()), 118, break_long_words=False, break_on_hyphens=False) + "\n"


def plain(text: str) -> str:
    """Turn a docstring's markup into Markdown, on one line."""
    return " ".join(text.replace("``", "`").replace("<", "&lt;").split())


# ------------------------------------------------------------------ settings


def settings_page() -> str:
    """List every setting."""
    rows = []
    for key, field in setting_fields():
        rows.append((f"`{key}`", f"`{shown_default(field)}`", f"`{variable_of(key)}`", plain(field.description or "")))
    return (
        f"# Settings\n\n{MADE}\n"
        + wrapped(
            """Settings come from `taxiway.toml` in the data directory, or from the file that `--settings` names. A
            variable goes before the file, a command's option before both. Unknown keys and variables are errors.
            They are read at the start: after a change, `taxiway down` and `taxiway up`. `data_dir` and `run_dir`
            stand at the top of the file, before the first table."""
        )
        + '\n```toml\n[server]\nport = 9000\n\n[pods]\nmemory = "2Gi"\n```\n\n'
        + table(("key", "default", "variable", "meaning"), rows)
        + "\n## Keys of `people.provider`\n\n"
        + wrapped(
            """It is a table of its own, `[people.provider]`, with one more table for each group, such as
            `[people.provider.groups.fraud-team]` with `role` and `projects`."""
        )
        + "\n"
        + table(("key", "meaning"), [(f"`{key}`", plain(meaning)) for key, meaning in provider_keys().items()])
        + "\nLists are JSON in a variable: `TAXIWAY_SERVER__ALLOWED_HOSTS='[\"models.example.org\"]'`.\n\n"
        "## Variables of the command line and the client\n\n"
        + table(
            ("variable", "meaning"),
            [
                ("`TAXIWAY_URL`", "Where Taxiway is; else the profile's, else http://localhost:8080."),
                ("`TAXIWAY_TOKEN`", "The API token; else the profile's."),
                ("`TAXIWAY_PROJECT`", "The project; else the profile's."),
                ("`TAXIWAY_PROFILE`", "Which profile, as `taxiway login --profile NAME` names them; else `default`."),
                ("`TAXIWAY_ACCESS_TOKEN`", "The access token of `taxiway model predict`."),
            ],
        )
    )


def setting_fields() -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key with its field."""
    for name, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            for inner, inner_field in annotation.model_fields.items():
                yield f"{name}.{inner}", inner_field
        else:
            yield name, field


def variable_of(key: str) -> str:
    """Return a key's environment variable."""
    return f"TAXIWAY_{key.replace('.', '__').upper()}"


def shown_default(field: FieldInfo) -> str:
    """Write a default as TOML does."""
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return "(none)"
    return json.dumps(str(value) if isinstance(value, Path) else value)


# ------------------------------------------------------------------ errors


def errors_page() -> str:
    """List every reason."""
    api = [(f"`{r}`", s, plain(meaning_of(r, title)), advice.CONTROL_API[r]) for r, (s, title) in PROBLEMS.items()]
    endpoints = [
        (f"`{reason}`", ", ".join(map(str, answer.statuses)), " and ".join(answer.by), advice.ENDPOINTS[reason])
        for reason, answer in endpoint_answers().items()
    ]
    failures = [(f"`{r}`", *words) for r, words in advice.FAILURES.items()]
    command = [(f"`{r}`", *words) for r, words in advice.COMMAND.items()]
    return (
        f"# Errors\n\n{MADE}\n"
        + wrapped(
            """Every refusal is problem JSON (RFC 9457): `reason` is the word of these tables, `type` is
            `urn:taxiway:problem:` and the reason, `detail` says what happened, `hint`, where there is one, what to do
            next. None repeats what was sent."""
        )
        + "\n## The control API\n\n"
        + wrapped("The command line prints the reason in brackets.")
        + "\n"
        + table(("reason", "status", "meaning", "what to do"), api)
        + "\n## Endpoints\n\n"
        + wrapped(
            """`error_code` and `message` are named as MLflow names them. Statuses 429 and 503 come with
            `Retry-After`."""
        )
        + "\n"
        + table(("reason", "status", "said by", "what to do"), endpoints)
        + "\n## Failures of builds and pods\n\n"
        + wrapped(
            """These stand in the status of a model version, with the last lines of log that mattered. A scoring
            server that ended is started again, with growing pauses, unless trying again cannot help."""
        )
        + "\n"
        + table(("reason", "meaning", "what to do"), failures)
        + "\n## Errors of `taxiway up`\n\n"
        + table(("reason", "meaning", "what to do"), command)
        + "\n## Other reasons of a status\n\n"
        + table(("reason", "meaning"), [(f"`{r}`", words) for r, words in advice.STATUS_REASONS.items()])
    )


# ------------------------------------------------------------------ commands


def cli_page() -> str:
    """List every command."""
    root = typer.main.get_command(application)
    sections = [command_section(path, command) for path, command in commands(root)]
    codes = [(int(code), code.name.lower().replace("_", " ")) for code in ExitCode]
    return (
        f"# Commands\n\n{MADE}\n"
        + wrapped(
            """Data goes to standard output, progress and errors to standard error. `--json` prints data for programs.
            Every command has `--help`."""
        )
        + "\n## Exit codes\n\n"
        + table(("code", "meaning"), codes)
        + "\n"
        + "\n".join(sections)
    )


def commands(command: Any, path: tuple[str, ...] = ("taxiway",)) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with its path."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, child in inner.items():
        yield from commands(child, (*path, name))


def command_section(path: Sequence[str], command: Any) -> str:
    """Describe one command."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join([*path, *(argument_name(p) for p in arguments), *(["[OPTIONS]"] if options else [])])
    rows = [(f"`{argument_name(p)}`", p.help or "", "") for p in arguments if p.help]
    rows += [(option_names(p), p.help or "", option_default(p)) for p in options]
    head = f"## {' '.join(path)}\n\n{plain(command.help or '')}\n\n`{usage}`\n"
    return head + ("\n" + table(("option", "meaning", "default"), rows) if rows else "")


def argument_name(parameter: Any) -> str:
    """Return how an argument is shown."""
    return str(parameter.metavar or parameter.name.upper().replace("_", "-"))


def option_names(parameter: Any) -> str:
    """Return an option's spellings."""
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def option_default(parameter: Any) -> str:
    """Return an option's default where it says something."""
    if parameter.required:
        return "(needed)"
    default = parameter.default
    if default is None or default is False:
        return ""
    if default is True:
        return f"`{parameter.opts[0]}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


# ------------------------------------------------------------------ HTTP API


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of an application that is asked nothing else."""
    services = {field.name: None for field in fields(ApiServices)}
    services |= cast("Any", {"version": version("taxiway"), "public_url": "http://localhost:8080"})
    app = create_api(ApiServices(**cast("Any", services)), metrics=ControlMetrics(), allowed_hosts=("localhost",))
    document: dict[str, Any] = app.state.openapi()
    return document


def api_page(document: Mapping[str, Any]) -> str:
    """List every route and what it takes and returns."""
    intro = wrapped(
        """The whole description for programs is [openapi.json](openapi.json), served at `/api/v1/openapi.json`. Send
        an API token as `Authorization: Bearer twy_…`. Lists have `limit` and `cursor`: `next_cursor` of one answer is
        the `cursor` of the next question. What a route refuses with is in [errors](errors.md)."""
    )
    parts = [f"# HTTP API\n\n{MADE}\n{intro}"]
    for tag in TAGS:
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        for path, methods in document["paths"].items():
            parts += [
                operation_section(method, path, operation)
                for method, operation in methods.items()
                if tag["name"] in operation["tags"]
            ]
    parts.append("## Bodies\n\nA type with `?` may be null; a field with a default may be left out.\n")
    for name, schema in document["components"]["schemas"].items():
        if schema.get("properties"):
            parts.append(schema_section(name, schema))
        elif schema.get("enum"):
            parts.append(f"### {name}\n\n{plain(schema.get('description') or '')}\n\nOne of {type_of(schema)}.\n")
    return "\n".join(parts)


def operation_section(method: str, path: str, operation: Mapping[str, Any]) -> str:
    """Describe one route."""
    lines = [f"### `{method.upper()} {path}`\n", wrapped(plain(operation["description"]))]
    facts = [f"Permission `{operation['x-permission']}`."]
    body = operation.get("requestBody")
    if body:
        facts.append(f"Takes {schema_name(next(iter(body['content'].values())).get('schema', {}))}.")
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            contents = response.get("content") or {}
            kinds = [
                schema_name(content.get("schema", {})) if kind == "application/json" else f"`{kind}`"
                for kind, content in contents.items()
            ]
            facts.append(f"Answers {status}" + (f" with {' or '.join(kinds)}." if kinds else "."))
    lines.append(" ".join(facts) + "\n")
    rows = [
        (f"`{p['name']}`", p["in"], type_of(p["schema"]), plain(p.get("description") or ""))
        for p in operation.get("parameters", ())
        if p["in"] != "path"
    ]
    if rows:
        lines.append(table(("parameter", "in", "type", "meaning"), rows))
    return "\n".join(lines)


def schema_section(name: str, schema: Mapping[str, Any]) -> str:
    """Describe one body."""
    needed = set(schema.get("required", ()))
    is_taken = name.endswith("In")
    rows = []
    for field, kind in schema["properties"].items():
        default = "" if field in needed or "default" not in kind else f"`{json.dumps(kind['default'])}`"
        row = (f"`{field}`", type_of(kind), *((default,) if is_taken else ()), plain(kind.get("description") or ""))
        rows.append(row)
    head = ("field", "type", "default", "meaning") if is_taken else ("field", "type", "meaning")
    return f"### {name}\n\n{plain(schema.get('description') or '')}\n\n" + table(head, rows)


def schema_name(schema: Mapping[str, Any]) -> str:
    """Return a link to a schema of its own, else the type."""
    reference = str(schema.get("$ref", ""))
    name = reference.rsplit("/", 1)[-1]
    return f"[{name}](#{name.lower()})" if reference else f"`{type_of(schema)}`"


def type_of(schema: Mapping[str, Any]) -> str:
    """Write a JSON schema's type on one line."""
    if "$ref" in schema:
        return schema_name(schema)
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        inner = [type_of(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(inner) + ("?" if len(inner) < len(schema["anyOf"]) else "")
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"object of {type_of(values)}" if isinstance(values, dict) and values else "object"
    return str(schema.get("format") or schema.get("type") or "any JSON")


# ------------------------------------------------------------------ metrics


def metrics_page() -> str:
    """List every metric."""
    control = [
        (f"`{sample_name(metric.name, metric.type)}`", metric.type, labels, plain(metric.documentation))
        for metric, labels in control_metrics()
    ]
    pods = [(f"`{name}`", kind, text) for name, (kind, text) in METRICS.items()]
    return (
        f"# Metrics\n\n{MADE}\n"
        "Prometheus reads them on a port of the host's own (127.0.0.1), the setting `server.metrics_port`.\n\n"
        "## The control plane: `/metrics`\n\n"
        + table(("metric", "type", "labels", "meaning"), control)
        + "\n## Pods: `/metrics/pods/REVISION`\n\n"
        + table(("metric", "type", "meaning"), pods)
        + "\n## The gateway: `/metrics/gateway`\n\nEnvoy's own statistics, as Envoy documents them.\n"
    )


def control_metrics() -> Iterator[tuple[Any, str]]:
    """Yield the control plane's metrics with their labels."""
    metrics = ControlMetrics()
    labelled = [metric for metric in vars(metrics).values() if hasattr(metric, "_labelnames")]
    # Nothing public tells a metric's labels before it has values.
    labels = {one._name: ", ".join(f"`{name}`" for name in one._labelnames) for one in labelled}  # noqa: SLF001
    for metric in metrics.registry.collect():
        own = ", ".join(f"`{name}`" for name in getattr(metric, "_labelnames", ()))
        yield metric, labels.get(metric.name, own)


def sample_name(name: str, kind: str) -> str:
    """Return a metric's name as Prometheus reads it."""
    return name + ("_total" if kind == "counter" else "")


# ------------------------------------------------------------------ performance

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


MISSED = """### Where less was reached than was aimed at

*Joined pyfunc*, at 64 clients: 40 times `mlflow models serve` was the aim, 38 (model a) and 33 (b) are in the tables.
MLflow's own conversion and prediction take 6.8 ms (a) and 4.1 ms (b) for 64 rows together, 6.5 and 3.8 ms for one.
The rest is the way of each request to the worker thread and back, a tenth of a millisecond in which two threads want
the same interpreter. Since these tables were made they take turns a hundred times as often, which gave 4,254/s (a)
and 6,042/s (b): 46 and 38 times.

*Model a* at 64 clients: 40 times the best peer was the aim, 36 are in the table, where the two rounds are far apart.
The same pod alone answered 36,500/s and 36,692/s in the tables of the gateway and of overload below, which is 54
times."""


def performance_page() -> str:
    """Show what the benchmarks last wrote."""

    def result(name: str) -> str:
        return (RESULTS / f"{name}.md").read_text("utf-8").strip()

    return (
        f"# Performance\n\n{MADE}\n"
        "What was measured, with the programs in `benchmarks/`, which make these figures again. Machines\n"
        "differ and are noisy; ratios between servers in one run say more than the figures. Two cores\n"
        "(x86-64, CPython 3.11): the server is pinned to one, the load generator (`wrk`, kept connections,\n"
        "closed loop) to the other; for *same core* both share one. The gateway is in the path only where it\n"
        "says so. Every\n"
        "server answers the same requests for the same MLflow model, and its answers were compared with\n"
        "`mlflow.pyfunc` before anything was timed.\n\n"
        "## Beside other model servers: `make bench-scoring`\n\n"
        "Model a is a pipeline of scikit-learn (OneHotEncoder on two text columns, 28 numbers) with 200 trees of\n"
        "LightGBM, model b a LightGBM booster of 200 trees on 30 doubles. Taxiway stands here four times: by its\n"
        "plan, and by the paths that other models take; *joined* where the owner says that rows are independent\n"
        " ([serving paths](../explanation/serving-paths.md)). The floor\n"
        "is a constant answer, without a model.\n\n"
        + result("scoring")
        + "\n\n"
        + MISSED
        + "\n\n## Many pipelines: `make bench-zoo`\n\n"
        + result("zoo")
        + "\n\n## Many rows at once: `make bench-bulk`\n\n"
        + result("bulk")
        + "\n\n## Never slower: `make bench-grid`\n\n"
        + result("grid")
        + "\n\n## Through the gateway: `make bench-gateway`\n\n"
        + result("gateway")
        + "\n\n## Overload, slow and idle clients: `make bench-overload`\n\n"
        + result("overload")
        + "\n\n## One customer floods, another is served: `make bench-flood`\n\n"
        + FLOODED
        + result("flood")
        + "\n\n## Changes under load: `make cycles`\n\n"
        + CYCLED
        + "\n## A policy, simulated and felt: `make bench-simulation`\n\n"
        + SIMULATED
        + result("simulation")
        + "\n\n## The control plane with many deployments: `make bench-control`\n\n"
        + MANY
        + result("control")
        + "\n\n## Many models on one machine: `make bench-density`\n\n"
        + DENSE
        + result("density")
        + "\n\n## The console: `make bench-console`\n\n"
        + CONSOLE
        + result("console")
        + "\n"
    )


FLOODED = """\
The goals hold here: refusals within 50 ms at the 99th percentile, and the other customer's 99th percentile moved by
less than a tenth. Both loads are open loops over raw sockets, half of the requests over new connections; who floods,
who is measured, the gateway and both pods share the two cores. With clients that take as much CPU for a request as
everything that serves it, what is measured is mostly them: with such ones it was 11 and 17 ms, and 297 ms for refusals.

"""
SIMULATED = """\
Each model was measured alone, each shape of load was run for real with the policy that a user would have, and simulated
with the same policy and what had been measured. These runs also showed what the simulation did not know (a full queue,
pods that wait for their share, starts); it learnt that afterwards, and the loads were not run again. No figure is
fitted.
20 % at the 99th percentile and 10 % of the pod hours were the aims: the hours are within 6 % everywhere, the percentile
is within 20 % in four of six. What is simulated of model b is too fast: requests take longer beside others than alone.

"""
MANY = """\
Services, store, controllers and API are real, on one core; pods, gateway and MLflow are not: a thousand pods have no
room on that machine. A whole reconcile takes three times as long as was aimed at; it comes every five minutes (every 15
seconds on PostgreSQL), was not in the minute without events, and adds about 1 % of a core to it.

"""
DENSE = """\
All real, small models of three kinds in shared model environments. 4 GB for 200 was the aim, and is missed by far: what
Python makes of a library has each pod for itself, and only the files that are mapped are shared. That others feel a
killed one by less than 10 % at the 99th percentile is not shown: twice alone it was 10.4 and 9.6 ms, then 12.4 ms.

"""
CONSOLE = """\
In Debian's Chromium on the two cores that everything else runs on as well. Times are the page's own, until what is
asked for is painted; for the first screen nothing is cached. MLflow goes through all of a long curve to choose the
values that are drawn, which takes it most of the time; a part of it is there sooner.

"""
CYCLED = """\
Fifty times each, on two cores, with other tests beside it for most of the time. The load is an open loop, half of the
requests over new connections; every answer counts, and all of them were 200. One rollback of a hundred took 21 s: the
control plane writes down what it does before it does it, and the disk was busy.

| fifty times | requests | failed | measured | median s | at most s |
|---|---|---|---|---|---|
| other CPUs, another model version, back again | 19,746 | 0 | a rollback, asked for until it serves | 2.3 | 5.6 |
| the same a second time, while another program filled the disk's cache | 21,280 | 0 | the same | 2.3 | 21.2 |
| from one pod to four and back | 17,948 | 0 | four pods ready, since the decision | 2.1 | 5.0 |
| to zero and back | 2,877 | 0 | the first request's answer | 1.5 | 3.2 |
"""


def main() -> None:
    """Write all pages."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, "utf-8")
        sys.stderr.write(f"docs/reference/{name}\n")


if __name__ == "__main__":
    main()
