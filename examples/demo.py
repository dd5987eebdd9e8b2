"""The main job, from an empty directory to predictions: start Taxiway, train, convert, call.

Run by ``make demo``. Everything is kept in ``.taxiway/`` of the checkout, so that a second run finds it all there.
``--once`` ends after the calls and takes Taxiway down again.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from demo_progress import Board, Line, Stage
from rich.console import Console
from rich.table import Table

from taxiway import Client
from taxiway.client import ApiError
from taxiway.client.calls import plain
from taxiway.client.signing_in import sign_in
from taxiway.wire.models import ConversionIn, ModelVersionDetailOut

CHECKOUT = Path(__file__).parent.parent
SCRIPTS = CHECKOUT / "examples" / "fraud"
DATA = CHECKOUT / ".taxiway"
TAXIWAY = Path(sys.executable).with_name("taxiway")
PROJECT = "fraud"
ROWS = 6
ENDS_BADLY = {"Failed", "OFF"}
CALL_PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One model: the script that trains it, and rows that it has not seen with what came of them."""

    model: str
    script: str
    rows: Callable[[], tuple[list[dict[str, Any]], list[str]]]
    read: Callable[[Any], float]
    """Picks the probability of the bad outcome out of one prediction."""
    shown: tuple[str, ...]
    """The columns that are printed; all are sent."""


def payment_rows() -> tuple[list[dict[str, Any]], list[str]]:
    """Return held-out payments drawn at random, half of them fraud, and what they were."""
    from payments import TARGET, generate_payments, split_by_time

    _, test = split_by_time(generate_payments())
    chosen = test.groupby(TARGET).sample(ROWS // 2, random_state=0).sort_values(TARGET, ascending=False)
    truth = ["fraud" if value else "honest" for value in chosen[TARGET]]
    return json.loads(chosen.drop(columns=TARGET).to_json(orient="records")), truth


def application_rows() -> tuple[list[dict[str, Any]], list[str]]:
    """Return held-out loan applications drawn at random, half of them bad, and what became of them."""
    from applications import TARGET, split_applications

    _, test = split_applications()
    chosen = test.groupby(TARGET).sample(ROWS // 2, random_state=0).sort_values(TARGET)
    return json.loads(chosen.drop(columns=TARGET).to_json(orient="records")), list(chosen[TARGET])


PAYMENT_COLUMNS = ("amount", "merchant_category", "channel", "hour", "payments_last_hour")
EXAMPLES = (
    Example(
        model="fraud-lightgbm",
        script="train_lightgbm.py",
        rows=payment_rows,
        read=lambda prediction: float(prediction[1]),
        shown=PAYMENT_COLUMNS,
    ),
    Example(
        model="fraud-xgboost",
        script="train_xgboost.py",
        rows=payment_rows,
        read=lambda prediction: float(prediction["fraud_probability"]),
        shown=PAYMENT_COLUMNS,
    ),
    Example(
        model="credit-sklearn",
        script="train_credit.py",
        rows=application_rows,
        read=lambda prediction: float(prediction[1]),
        shown=("Amount", "Income", "Job", "Records", "Home"),
    ),
)


class DemoFailed(Exception):
    """Something that the demo cannot go on without; the message says what to do."""


# ------------------------------------------------------------------ the platform


def start_platform(console: Console) -> bool:
    """Bring Taxiway up; return whether it was down before."""
    DATA.mkdir(mode=0o700, exist_ok=True)
    password_file = DATA / "demo-password"
    if not password_file.exists():
        write_private(password_file, secrets.token_urlsafe(12))
    was_up = taxiway("status").returncode == 0
    if not was_up:
        console.print("Starting Taxiway: control plane, MLflow and Envoy. The first start takes about half a minute.")
        done = taxiway("up", "--detach", "--admin-password-file", str(password_file), is_quiet=False)
        if done.returncode != 0:
            raise DemoFailed("Taxiway did not start; its own message is above.")
    return not was_up


def taxiway(*arguments: str, is_quiet: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run ``taxiway …``; the environment names the demo's data directory and port."""
    output = subprocess.DEVNULL if is_quiet else None
    return subprocess.run(
        [str(TAXIWAY), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        check=False,
    )


def write_private(file: Path, text: str) -> None:
    """Write a secret to a file that only its owner can read."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)


def enter(url: str) -> str:
    """Return an API token whose home is the demo's project: the kept one while it counts, else a new one."""
    token_file = DATA / "demo-token"
    if token_file.exists():
        token = token_file.read_text()
        with Client(url, token=token) as client:
            try:
                client.send(plain("GET", "session"))
            except ApiError:
                token_file.unlink()
            else:
                return token
    password = (DATA / "demo-password").read_text()
    first = sign_in(url, user="admin", password=password, token_name="demo: set up", days=0.01)
    with Client(url, token=first) as client:
        try:
            client.send(plain("POST", "projects", body={"name": PROJECT, "description": "Made by make demo"}))
        except ApiError as error:
            if error.status != 409:
                raise
    token = sign_in(url, user="admin", password=password, token_name="demo", days=30, project=PROJECT)
    write_private(token_file, token)
    return token


# ------------------------------------------------------------------ one model


def bring_on(example: Example, *, url: str, token: str, training: threading.Lock, line: Line) -> None:
    """Find the model or train and convert it, then wait until it is ON; failures go to the line."""
    try:
        with Client(url, token=token, project=PROJECT) as client:
            found = client.models(model=example.model, project=PROJECT, limit=1).items
            if found:
                version = found[0].version
                if found[0].status in ENDS_BADLY:
                    client.switch_on(example.model, version)
            else:
                with training:
                    line.begin(Stage.TRAINING)
                    run_id = train(example, url=url, token=token)
                line.begin(Stage.CONVERTING)
                made = client.convert(run_id, ConversionIn(model=example.model, tags={"made-by": "demo"}))
                version = made.version
            seen = client.wait(example.model, version, until=has_ended, progress=line.show, timeout_seconds=1200)
            line.end(seen, "" if seen.status == "ON" else f"{seen.message} {seen.hint}")
    except ApiError as error:
        line.end(None, f"{error.message} {error.hint}")
    except Exception as error:
        line.end(None, str(error))


def has_ended(seen: ModelVersionDetailOut) -> bool:
    """Tell whether a model is ON or will not be; after a restart of the host it is Degraded until its pod is back."""
    return seen.status in {"ON", *ENDS_BADLY} and seen.observed_generation >= seen.generation


def train(example: Example, *, url: str, token: str) -> str:
    """Run the training script, which knows nothing of Taxiway, and return the id of its run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / example.script)],
        # Here and not in the checkout, whose uv.lock MLflow would log as the model's requirements.
        cwd=SCRIPTS,
        env=environment
        | {
            "MLFLOW_TRACKING_URI": f"{url}/mlflow",
            "MLFLOW_TRACKING_TOKEN": token,
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise DemoFailed(f"{example.script} failed:\n{last}")
    # MLflow may print links after the script's own line.
    return next(text for text in reversed(done.stdout.split()) if len(text) == 32)


def call(example: Example, seen: ModelVersionDetailOut, access_token: str, console: Console) -> None:
    """Send real rows to the endpoint and print what came back, beside what was true."""
    rows, truth = example.rows()
    (DATA / "demo-rows.json").write_text(json.dumps({"dataframe_records": rows}))
    headers = {"Authorization": f"Bearer {access_token}"}
    body = {"dataframe_records": rows}
    deadline = time.monotonic() + CALL_PATIENCE_SECONDS
    while True:
        answer = httpx2.post(f"{seen.url}/invocations", headers=headers, json=body, timeout=30, trust_env=False)
        if answer.status_code != 503 or time.monotonic() > deadline:
            break
        # A pod that has just been brought back; the answer says after how many seconds to try again.
        time.sleep(int(answer.headers.get("Retry-After", "1")))
    if answer.status_code != 200:
        raise DemoFailed(f"{seen.url} answered {answer.status_code}: {answer.text}")
    predictions = answer.json()["predictions"]
    console.print(f"\n[bold]{seen.model}/{seen.version}[/bold]  {seen.url}/invocations", highlight=False)
    table = Table()
    for column in example.shown:
        table.add_column(column.replace("_", " "), overflow="fold", min_width=longest_word(rows, column))
    table.add_column("probability", justify="right", style="bold", no_wrap=True)
    table.add_column("truth", no_wrap=True)
    for row, prediction, true in zip(rows, predictions, truth, strict=True):
        values = [str(row[column]) for column in example.shown]
        table.add_row(*values, f"{example.read(prediction):.3f}", true)
    console.print(table)


def longest_word(rows: Sequence[dict[str, Any]], column: str) -> int:
    """Return how wide a column must be for no word of it to be broken."""
    words = [word for text in (column.replace("_", " "), *(str(row[column]) for row in rows)) for word in text.split()]
    return max(len(word) for word in words)


# ------------------------------------------------------------------ the whole


def command(path: Path) -> str:
    """Return a path as one types it from here."""
    return os.path.relpath(path)


def say_how_to_go_on(console: Console, url: str, token: str, seen: ModelVersionDetailOut, access: str) -> None:
    """Print where everything is and what to type."""
    password_file, program = command(DATA / "demo-password"), command(TAXIWAY)
    console.print(f"""
[bold]Taxiway runs at {url}[/bold]

Open the console      {url}, as admin with the password in {password_file}
Sign in               {program} login --url {url} --user admin --password-file {password_file} --project {PROJECT}
Look around           {program} model list
Log runs of your own  export MLFLOW_TRACKING_URI={url}/mlflow MLFLOW_TRACKING_TOKEN={token}
Call an endpoint      curl {seen.url}/invocations -H 'Content-Type: application/json' \\
                        -H 'Authorization: Bearer {access}' \\
                        -d @{command(DATA / "demo-rows.json")}
""", soft_wrap=True, highlight=False)  # fmt: skip


def run(console: Console, port: int) -> None:
    """Do the main job on a platform that is up."""
    url = f"http://localhost:{port}"
    token = enter(url)
    training = threading.Lock()
    with Board([example.model for example in EXAMPLES], console) as board:
        threads = [
            threading.Thread(
                target=bring_on,
                args=(example,),
                kwargs={"url": url, "token": token, "training": training, "line": board.line(example.model)},
                daemon=True,
            )
            for example in EXAMPLES
        ]
        for thread in threads:
            thread.start()
        board.watch(threads)
    failed = board.failures()
    if failed:
        raise DemoFailed("\n".join(failed))
    sys.path.insert(0, str(SCRIPTS))
    with Client(url, token=token, project=PROJECT) as client:
        for example in EXAMPLES:
            seen = board.seen(example.model)
            access = client.issue_token(seen.model, seen.version, caller="demo", days=1).token
            call(example, seen, access, console)
    say_how_to_go_on(console, url, token, seen, access)


def stay() -> None:
    """Keep Taxiway in the foreground until Ctrl-C, which takes it down."""
    foreground = subprocess.Popen([str(TAXIWAY), "up"], stdin=subprocess.DEVNULL)
    try:
        foreground.wait()
    except KeyboardInterrupt:
        foreground.wait()  # the terminal sent it the same signal


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the calls and take Taxiway down")
    parser.add_argument("--port", type=int, default=8080, help="port of the gateway (default: 8080)")
    options = parser.parse_args()
    os.environ |= {"TAXIWAY_DATA_DIR": str(DATA), "TAXIWAY_SERVER__PORT": str(options.port)}
    console = Console()
    must_go_down = False
    try:
        must_go_down = start_platform(console)
        run(console, options.port)
        if must_go_down and not options.once:
            stay()
            must_go_down = False
    except KeyboardInterrupt:
        pass
    except (DemoFailed, ApiError) as error:
        console.print(f"[bold red]The demo failed.[/bold red] {error}", highlight=False)
        console.print(f"Look with `{TAXIWAY} status --data-dir {DATA}` and `{TAXIWAY} doctor`.", highlight=False)
        return 1
    finally:
        if must_go_down:
            taxiway("down", is_quiet=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
