"""The pictures of the console's tour: every screen in both themes, and what a platform needs to have much to show."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Page

from taxiway.client.calls import plain
from taxiway.wire.production import PolicyIn, PromotionIn
from tests.browser import Browser
from tests.faults.load import Target, open_loop
from tests.journeys.training import SKLEARN
from tests.platforms import Platform

DOCS = Path(__file__).parents[2] / "docs"
TOUR = DOCS / "explanation" / "console-tour.md"
IMAGES = DOCS / "images" / "console"
MOST_BYTES = 1_600_000
"""All pictures together: they are kept in the repository."""
EXAMPLES = Path(__file__).parents[2] / "examples" / "fraud"
SCRIPT = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
FOREST = """
import math, mlflow
mlflow.set_experiment("cards")
with mlflow.start_run() as run:
    mlflow.log_params({"kind": "forest", "trees": 200})
    for step in range(60):
        mlflow.log_metric("loss", 0.7 * math.exp(-step / 15) + 0.02 * math.sin(step), step=step)
    mlflow.log_metric("accuracy", 0.912)
print(run.info.run_id)
"""
TRIALS = """
import math, random, sys, time, mlflow
from mlflow.entities import Metric, Param
mlflow.set_experiment("card-fraud")
client, draw = mlflow.MlflowClient(), random.Random(7)
for trial in range(17):
    rate, leaves, trees = draw.choice([0.03, 0.05, 0.08, 0.12]), draw.choice([15, 31, 63]), draw.choice([100, 150, 300])
    with mlflow.start_run(run_name=f"trial-{trial:02}") as run:
        began, floor = int(time.time() * 1000), 0.1 + 0.05 * draw.random()
        curve = [floor + (0.69 - floor) * math.exp(-step * rate / 2) + draw.gauss(0, 0.004) for step in range(trees)]
        checked = [loss + 0.03 + 0.0001 * step * draw.random() for step, loss in enumerate(curve)]
        client.log_batch(
            run.info.run_id,
            metrics=[
                Metric(name, value, began + 20 * step, step)
                for name, losses in (("train_loss", curve), ("valid_loss", checked))
                for step, value in enumerate(losses)
            ],
            params=[
                Param(name, str(value))
                for name, value in (("learning_rate", rate), ("num_leaves", leaves), ("n_estimators", trees))
            ],
        )
        mlflow.log_metrics({"roc_auc": 0.97 - checked[-1] / 5, "average_precision": 0.9 - checked[-1]})
    if trial == 6:
        client.set_terminated(run.info.run_id, "FAILED")
    print(run.info.run_id)
"""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What the pictures are of; models as in addresses: ``project/model/version``."""

    run: str
    """One with a model."""
    trial: str
    """One with curves."""
    compared: tuple[str, ...]
    experiment: str
    model: str
    deployment: str


@dataclass(frozen=True, kw_only=True)
class Screen:
    """Where it is, and what is pressed there first."""

    path: str
    button: str = ""


SCREENS = {
    "home": Screen(path="/"),
    "search": Screen(path="/", button="Search"),
    "experiments": Screen(path="/experiments"),
    "runs": Screen(path="/experiments/fraud/{of.experiment}"),
    "run": Screen(path="/runs/fraud/{of.run}"),
    "compare": Screen(path="/runs/fraud/compare?runs={compared}"),
    "curves": Screen(path="/runs/fraud/{of.trial}?tab=curves"),
    "convert": Screen(path="/runs/fraud/{of.run}", button="Convert to model"),
    "models": Screen(path="/models"),
    "model": Screen(path="/models/{of.model}"),
    "try-it": Screen(path="/models/{of.model}?tab=try", button="Predict"),
    "logs": Screen(path="/models/{of.model}?tab=logs"),
    "versions": Screen(path="/models/{of.model}?tab=versions"),
    "api": Screen(path="/models/{of.model}?tab=api"),
    "model-settings": Screen(path="/models/{of.model}?tab=settings"),
    "deploy": Screen(path="/models/{of.model}", button="Deploy to production"),
    "production": Screen(path="/deployments"),
    "deployment": Screen(path="/deployments/{of.deployment}"),
    "metrics": Screen(path="/deployments/{of.deployment}?tab=metrics&minutes=15"),
    "revisions": Screen(path="/deployments/{of.deployment}?tab=revisions"),
    "settings": Screen(path="/deployments/{of.deployment}?tab=settings"),
    "monitoring": Screen(path="/monitoring?minutes=15"),
    "users": Screen(path="/administration"),
    "projects": Screen(path="/administration?tab=projects"),
    "usage": Screen(path="/administration?tab=usage"),
    "audit": Screen(path="/administration?tab=audit"),
    "system": Screen(path="/administration?tab=system"),
    "account": Screen(path="/account"),
}
SIGNED_OUT = "sign-in"


def furnish(platform: Platform, deployment: str) -> Subject:
    """Fill the platform as a team that has worked with it for a while: runs, models, customers, people, load."""
    trials = platform.python(TRIALS).splitlines()
    fraud, credit = (
        platform.python(SCRIPT, str(EXAMPLES), str(EXAMPLES / name)).splitlines()[-1]
        for name in ("train_lightgbm.py", "train_credit.py")
    )
    with platform.client() as client:
        for name, role in (("ada", "data-scientist"), ("grace", "data-scientist"), ("joan", "administrator")):
            client.send(plain("POST", "users", body={"name": name, "role": role, "password": "a long enough one"}))
            client.send(plain("PUT", "projects", "fraud", "members", name))
        experiment = client.run(fraud).experiment_id
    platform.convert(fraud, "fraud-lightgbm", cpus="0.5", tags={"team": "cards"})
    platform.convert(credit, "credit", cpus="0.5", tags={"team": "loans"})
    platform.convert(platform.python(SKLEARN).splitlines()[-1], "scorer", cpus="0.5")
    with platform.client() as client:
        client.promote(
            PromotionIn(
                project="fraud", model="fraud-lightgbm", version=1, name="fraud-globex", customer="Globex",
                reason="The pilot went well: 0.3 % fewer chargebacks.", min_pods=1, max_pods=3, cpus="0.5",
                autoscaling=PolicyIn(metric="concurrency", target=4),
            )
        )  # fmt: skip
        client.wait_production("fraud-globex", timeout_seconds=120)
    be_busy(platform, deployment)
    return Subject(
        run=fraud, trial=trials[3], compared=tuple(trials[:4]), experiment=experiment,
        model="fraud/scorer/2", deployment=deployment,
    )  # fmt: skip


def be_busy(platform: Platform, deployment: str) -> None:
    """Let there be something to see."""
    with platform.client() as client:
        token = client.issue_production_token(deployment, caller="till").token
        seen = client.production_deployment(deployment)
    body = json.dumps({"dataframe_records": [{"amount": 250.0, "hour": 3, "country": "DE"}] * 3}).encode()
    target = Target(port=platform.port, path=f"{urlsplit(seen.url).path}/invocations", token=token, body=body)
    for rate in (8, 14, 22, 31, 27, 18):
        with open_loop(target, rate=rate):
            time.sleep(12)


def take_all(browser: Browser, into: Path, of: Subject) -> None:
    """Take a picture of every screen in both themes; the tour shows these and no others."""
    page, taken = browser.page, set[str]()
    page.set_viewport_size({"width": 1280, "height": 720})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for name, screen in SCREENS.items():
            browser.go(screen.path.format(of=of, compared=",".join(of.compared)))
            page.get_by_role("heading", level=1).wait_for()
            if screen.button:
                page.get_by_role("button", name=screen.button).first.click()
            taken.add(take(page, into / f"{name}-{scheme}.webp"))
        stranger = page.context.browser
        assert stranger is not None
        with stranger.new_context(
            viewport={"width": 1280, "height": 720}, color_scheme="dark" if scheme == "dark" else "light"
        ) as context:
            door = context.new_page()
            door.goto(browser.url)
            door.get_by_label("Name").wait_for()
            taken.add(take(door, into / f"{SIGNED_OUT}-{scheme}.webp"))
    shown = set(re.findall(r"\(\.\./images/console/([\w-]+\.webp)\)", TOUR.read_text("utf-8")))
    kept = list(IMAGES.iterdir())
    assert shown == taken
    assert {path.name for path in kept} == taken
    assert sum(path.stat().st_size for path in kept) < MOST_BYTES


def take(page: Page, file: Path) -> str:
    """Take a picture of what stands there when nothing moves any more; returns the file's name."""
    page.wait_for_timeout(700)
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    assert len(picture.resize((128, 72)).getcolors(1 << 14) or ()) > 30, f"{file.stem} is empty"
    picture.save(file, quality=64, method=6)
    return file.name
