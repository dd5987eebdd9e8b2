"""An administrator takes a model to two customers; what becomes of it in staging changes nothing for them."""

from __future__ import annotations

import json
import time

import httpx2
import pytest

from taxiway.client import Client
from taxiway.wire.production import ProductionConfigurationIn, ProductionDetailOut
from tests.journeys.training import SKLEARN
from tests.platforms import Platform

pytestmark = [
    pytest.mark.journey,
    pytest.mark.integration,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("clears_production"),
]

ROWS = {"dataframe_split": {"columns": ["amount", "hour", "country"], "data": [[250.0, 3, "DE"], [10.0, 12, "FR"]]}}


def wait_for(client: Client, name: str, status: str = "ON") -> ProductionDetailOut:
    until = time.monotonic() + 60
    while True:
        seen = client.production_deployment(name)
        if seen.status == status and seen.observed_generation == seen.generation:
            return seen
        assert time.monotonic() < until, f"{seen.status}: {seen.reason}: {seen.message}"
        time.sleep(0.2)


def wait_until_gone(client: Client, model: str, version: int) -> None:
    until = time.monotonic() + 30
    while any(each.version == version for each in client.models(model=model).items):
        assert time.monotonic() < until
        time.sleep(0.2)


def ask(seen: ProductionDetailOut, token: str) -> tuple[int, bytes]:
    answer = httpx2.post(f"{seen.url}/invocations", json=ROWS, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.content


def wait_for_usage(client: Client, wanted: dict[str, tuple[int, int]]) -> bool:
    """Wait until so many requests and rows are on the account, which is written once a minute."""
    until = time.monotonic() + 90
    while (
        wanted.items()
        - (used := {each.deployment: (each.requests, each.rows) for each in client.usage().items}).items()
    ):
        assert time.monotonic() < until, used
        time.sleep(1)
    return True


def test_promote_to_two_customers_and_delete_the_model_in_staging(platform: Platform) -> None:
    run_id = platform.python(SKLEARN).splitlines()[-1]
    made = platform.convert(run_id, "promoted")
    assert made.status == "ON", f"{made.reason}: {made.message}"
    model = f"promoted/{made.version}"

    told = platform.command(
        "production", "promote", model, "--to", "promoted-acme", "--customer", "Acme", "--reason", "They asked for it.",
        "--memory", "512Mi", "--project", "fraud", "--dry-run",
    )  # fmt: skip
    assert "holds  example" in told.stderr
    platform.command(
        "production", "promote", model, "--to", "promoted-acme", "--customer", "Acme", "--reason", "They asked for it.",
        "--memory", "512Mi", "--project", "fraud",
    )  # fmt: skip
    platform.command(
        "production", "promote", model, "--to", "promoted-zeta", "--customer", "Zeta", "--reason", "So did they.",
        "--cpus", "0.5", "--min-pods", "2", "--project", "fraud",
    )  # fmt: skip

    with platform.client() as client:
        acme, zeta = (wait_for(client, name) for name in ("promoted-acme", "promoted-zeta"))
        assert (acme.resources.memory, zeta.resources.cpus, zeta.min_pods) == ("512Mi", "0.5", 2)
        assert [len(each.revisions[0].pods) for each in (acme, zeta)] == [1, 2]
        assert acme.url == f"{platform.url}/production/promoted-acme"
        tokens = [client.issue_production_token(each.name, caller="till 7").token for each in (acme, zeta)]
        assert [ask(each, token)[0] for each, token in zip((acme, zeta), tokens, strict=True)] == [200, 200]
        assert ask(zeta, tokens[0])[0] == 403, "a token is for one deployment"
        assert json.loads(ask(acme, tokens[0])[1]) == {"predictions": [1, 0]}

        client.delete("promoted", made.version)
        platform.python(f"import mlflow; mlflow.delete_run({run_id!r})")
        wait_until_gone(client, "promoted", made.version)
        for each, token in zip((acme, zeta), tokens, strict=True):
            assert ask(each, token)[0] == 200
        client.configure_production("promoted-acme", ProductionConfigurationIn(cpus="0.5"))
        assert wait_for(client, "promoted-acme").resources.cpus == "0.5"
        began = time.monotonic()
        platform.command("production", "rollback", "promoted-acme", "--reason", "It was slower.")
        print(f"rolled back in {time.monotonic() - began:.1f} s")
        listed = platform.command("production", "history", "promoted-acme").stdout
        assert [line.split()[0] for line in listed.splitlines()] == ["REVISION", "3", "2", "1"]
        assert "It was slower." in listed
        assert "serves by plan" in platform.command("production", "logs", "promoted-acme").stdout
        client.switch_production("promoted-acme", on=False)
        wait_for(client, "promoted-acme", "OFF")
        client.switch_production("promoted-acme", on=True)
        acme = wait_for(client, "promoted-acme")
        assert ask(acme, tokens[0])[0] == 200, "its files are its own"
        (record,) = acme.promotions
        assert (record.reason, record.promoted_by, all(gate.holds for gate in record.gates)) == (
            "They asked for it.", "admin", True,
        )  # fmt: skip
        checked = platform.command("production", "verify", "--data-dir", str(platform.data)).stdout
        assert checked.count("fraud/promoted/1, promoted by admin: whole") == 2
        (damaged,) = (platform.data / "production" / "snapshots").glob("*/files/MLmodel")
        damaged.chmod(0o600)
        damaged.write_bytes(damaged.read_bytes() + b"\n")
        ended = platform.command("production", "verify", "--data-dir", str(platform.data), check=False)
        assert (ended.returncode, "MLmodel was changed" in ended.stderr) == (1, True)
        for each in (acme, zeta):
            client.delete_production(each.name)
        # Four requests of two rows, three of them by other revisions or before it was off; two.
        assert wait_for_usage(client, {"promoted-acme": (4, 8), "promoted-zeta": (2, 4)})


INVARIANTS = """
from taxiway_scoring.invariants import never_falls, never_rises


def check_more_money_is_never_less_suspicious(predict, example):
    never_falls(predict, example, "amount", [1.0, 100.0, 1000.0])


def check_money_does_not_matter(predict, example):
    never_rises(predict, example, "amount", [1.0, 100.0, 1000.0])
"""


def promote_dry(platform: Platform, model: str) -> str:
    told = platform.command(
        "production", "promote", model, "--to", "gated", "--customer", "Acme", "--reason", "They asked for it.",
        "--project", "fraud", "--dry-run", check=False,
    )  # fmt: skip
    return " ".join(told.stderr.split())


def test_what_owners_demand_is_demanded(platform: Platform) -> None:
    code = SKLEARN.replace(
        "input_example=X.head(3)", 'input_example=X.head(3), code_paths=["/tmp/gated/taxiway_invariants.py"]'
    )
    code = f"""
import pathlib, tempfile
place = pathlib.Path(tempfile.mkdtemp()) / "taxiway_invariants.py"
place.write_text({INVARIANTS!r})
{code.replace('"/tmp/gated/taxiway_invariants.py"', "str(place)")}
"""
    made = platform.convert(platform.python(code).splitlines()[-1], "gated")
    assert made.status == "ON", f"{made.reason}: {made.message}"
    model = f"gated/{made.version}"
    platform.command("model", "thresholds", "gated", "--project", "fraud", "--set", "accuracy >= 1.1")
    until = time.monotonic() + 60
    while "have not been tried" in (told := promote_dry(platform, model)):
        assert time.monotonic() < until, told
        time.sleep(0.5)
    assert "FAILS metrics: The run's metrics are not within: accuracy >= 1.1 (it is 0." in told
    assert "FAILS invariants: What must hold of its predictions does not: money does not matter: row 0:" in told
    assert "less suspicious" not in told
    assert "Loading it only read files." in told, told
    platform.command("model", "thresholds", "gated", "--project", "fraud", "--set", "accuracy >= 0.5")
    assert "holds metrics" in promote_dry(platform, model)
