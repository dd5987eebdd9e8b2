"""The four stages by keyboard alone; and with the mouse, how many clicks they take."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser import Browser, a_browser
from tests.faults.load import Target, open_loop
from tests.journeys.training import SKLEARN
from tests.platforms import PASSWORD, Platform

pytestmark = [
    pytest.mark.journey,
    pytest.mark.integration,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("clears_production"),
]

LASTING = "TAXIWAY_TEST_SCREENSHOTS"
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
TOUR = Path(__file__).parents[2] / "docs" / "explanation" / "console-tour.md"
SCREENS = {
    "home": "/",
    "experiments": "/experiments",
    "runs": "/experiments/fraud/1",
    "run": "/runs/fraud/{run}",
    "compare": "/runs/fraud/compare?runs={runs}",
    "curves": "/runs/fraud/{other}?tab=curves",
    "models": "/models",
    "model": "/models/fraud/scorer/1",
    "try-it": "/models/fraud/scorer/1?tab=try",
    "logs": "/models/fraud/scorer/1?tab=logs",
    "versions": "/models/fraud/scorer/1?tab=versions",
    "api": "/models/fraud/scorer/1?tab=api",
    "model-settings": "/models/fraud/scorer/1?tab=settings",
    "production": "/deployments",
    "deployment": "/deployments/scorer-acme",
    "metrics": "/deployments/scorer-acme?tab=metrics",
    "revisions": "/deployments/scorer-acme?tab=revisions",
    "settings": "/deployments/scorer-acme?tab=settings",
    "monitoring": "/monitoring",
    "users": "/administration",
    "projects": "/administration?tab=projects",
    "usage": "/administration?tab=usage",
    "audit": "/administration?tab=audit",
    "system": "/administration?tab=system",
    "account": "/account",
}
MOST_TABS = 150
"""So often Tab is pressed at most to get to something."""
COUNTS_CLICKS = (
    "addEventListener('click', event => { if (event.detail) window.clicks = (window.clicks ?? 0) + 1 }, true)"
)
"""Enter on a button is a click too, of detail 0."""


class Keys:
    """Somebody with a keyboard and no mouse."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """Type into what has the focus, in place of what is there."""
        self.press("Control+a")
        self.page.keyboard.type(text)

    def reach(self, target: Locator) -> None:
        """Press Tab until the target has the focus, and see that this is shown."""
        expect(target).to_be_attached(timeout=90_000)
        for _ in range(MOST_TABS):
            if target.evaluate("it => it === document.activeElement"):
                break
            self.press("Tab")
        expect(target).to_be_focused()
        assert target.evaluate("it => it.matches(':focus-visible')"), "nobody sees where the focus is"

    def push(self, name: str, *, within: Locator | None = None) -> None:
        """Go to a button and press it."""
        place = within or self.page
        button = place.get_by_role("button", name=name, exact=True).first
        expect(button).to_be_enabled(timeout=30_000)
        self.reach(button)
        self.press("Enter")

    def follow(self, link: Locator) -> None:
        """Go to a link and follow it."""
        self.reach(link)
        self.press("Enter")

    def fill(self, label: str, text: str) -> None:
        """Go to a field and type."""
        self.reach(self.page.get_by_label(label, exact=True))
        self.type(text)

    def show(self, tab: str) -> None:
        """Go to a list of tabs and to one of them by arrows."""
        shown = self.page.get_by_role("tab", name=tab, exact=True)
        self.reach(self.page.locator("[role=tab][aria-selected=true]").first)
        for _ in range(10):
            if shown.evaluate("it => it === document.activeElement"):
                break
            self.press("ArrowRight")
        expect(shown).to_have_attribute("aria-selected", "true")

    def go(self, words: str, heading: str) -> None:
        """Go to a page by its name."""
        self.press("Control+k")
        expect(self.page.get_by_role("textbox", name="Search")).to_be_focused()
        self.page.keyboard.type(words)
        expect(self.page.get_by_role("option").first).to_contain_text(words, ignore_case=True)
        self.press("Enter")
        self.page.get_by_role("heading", level=1).filter(has_text=heading).wait_for()


@pytest.fixture
def browser(platform: Platform) -> Iterator[Browser]:
    with a_browser(platform.url) as opened:
        opened.sign_in("admin", PASSWORD)
        yield opened


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where pictures of all pages go: nowhere that lasts, but for `make screenshots`."""
    return Path(os.environ.get(LASTING, tmp_path))


def be_busy(platform: Platform) -> None:
    """Let there be something to see."""
    with platform.client() as client:
        token = client.issue_production_token("scorer-acme", caller="till").token
        seen = client.production_deployment("scorer-acme")
    body = json.dumps({"dataframe_records": [{"amount": 250.0, "hour": 3, "country": "DE"}] * 3}).encode()
    for rate in (10, 25, 40, 15):
        with open_loop(
            Target(port=platform.port, path=f"{urlsplit(seen.url).path}/invocations", token=token, body=body), rate=rate
        ):
            time.sleep(20)


def shoot_all(browser: Browser, into: Path, runs: list[str]) -> None:
    """Take a picture of every page in both themes; the tour shows these and no others."""
    page, taken = browser.page, set[str]()
    page.set_viewport_size({"width": 1280, "height": 720})
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for name, path in SCREENS.items():
            browser.go(path.format(run=runs[0], runs=",".join(runs), other=runs[1]))
            page.get_by_role("heading", level=1).wait_for()
            page.wait_for_timeout(700)
            picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
            assert len(picture.resize((128, 72)).getcolors(1 << 14) or ()) > 30, f"{name} is empty"
            picture.save(into / f"{name}-{scheme}.webp", quality=70, method=6)
            taken.add(f"{name}-{scheme}.webp")
    tour = TOUR.read_text("utf-8")
    assert set(re.findall(r"\(\.\./images/console/([\w-]+\.webp)\)", tour)) == taken
    assert {path.name for path in (TOUR.parents[1] / "images" / "console").iterdir()} == taken


def is_on(page: Page) -> None:
    """Wait for the one word beside the page's title."""
    expect(page.get_by_role("heading", level=1).get_by_text("ON", exact=True)).to_be_visible(timeout=90_000)


def test_the_four_stages_by_keyboard(platform: Platform, browser: Browser, screenshots: Path) -> None:
    runs = [platform.python(code).splitlines()[-1] for code in (SKLEARN, FOREST)]
    with platform.client() as client:
        names = [client.run(run).name for run in runs]
    page, keys = browser.page, Keys(browser.page)
    page.add_init_script(COUNTS_CLICKS)
    page.reload()
    page.get_by_role("heading", level=1, name="Home").wait_for()

    # Track and compare.
    keys.go("experiments", "Experiments")
    keys.follow(page.get_by_role("link", name="cards", exact=True))
    for name in names:
        keys.reach(page.get_by_role("checkbox", name=f"Choose {name}"))
        keys.press("Space")
    keys.push("Compare 2")
    page.get_by_role("heading", level=1, name="Compare 2 runs").wait_for()
    page.go_back()
    keys.follow(page.get_by_role("link", name=names[0], exact=True).first)

    # Convert, watch it start, try it.
    keys.push("Convert to model")
    dialog = page.get_by_role("dialog")
    keys.fill("Model", "scorer")
    keys.push("Convert to model", within=dialog)
    is_on(page)
    keys.show("Try it")
    keys.push("Predict")
    expect(page.get_by_text("of revision 1")).to_be_visible(timeout=15_000)

    # To production, for two customers.
    for customer in ("Zeta", "Acme"):
        if customer == "Acme":
            keys.go("scorer / 1", "scorer")
        keys.push("Deploy to production")
        keys.fill("Name", f"scorer-{customer.lower()}")
        keys.fill("Customer", customer)
        keys.push("Next", within=dialog)
        keys.fill("CPUs of a pod", "0.3")
        keys.push("Next", within=dialog)
        keys.fill("Why", "They asked for it.")
        keys.push("Deploy to production", within=dialog)
        page.wait_for_url(f"**/deployments/scorer-{customer.lower()}")
        is_on(page)

    # Scale, go over step by step, roll back.
    keys.show("Settings")
    keys.fill("Pods at least", "2")
    keys.fill("Pods at most", "2")
    keys.push("Save")
    keys.show("Overview")
    expect(page.get_by_text("2/2", exact=True)).to_be_visible(timeout=60_000)
    keys.show("Settings")
    keys.fill("Memory of a pod", "512Mi")
    keys.reach(page.get_by_role("radio", name="All at once"))
    keys.press("ArrowRight")
    keys.fill("Percents", "50")
    keys.push("Save")
    keys.show("Overview")
    expect(page.get_by_text("50 % revision 2")).to_be_visible(timeout=60_000)
    keys.push("Finish")
    expect(page.get_by_text("50 % revision 2")).to_be_hidden(timeout=30_000)
    keys.show("Revisions")
    expect(page.get_by_text("memory: 1Gi → 512Mi")).to_be_visible(timeout=30_000)
    is_on(page)
    keys.push("Roll back")
    keys.fill("Why", "A trial.")
    keys.push("Roll back", within=dialog)
    expect(page.get_by_role("cell", name="A trial.")).to_be_visible(timeout=30_000)
    is_on(page)

    # Logs, metrics, audit.
    keys.show("Logs")
    expect(page.get_by_text("serves by").first).to_be_visible()
    keys.show("Metrics")
    expect(page.get_by_text("Requests and rows per second").first).to_be_visible(timeout=30_000)
    keys.go("audit", "Administration")
    expect(page.get_by_text("production.rollback").first).to_be_visible()
    keys.push("Verify")
    expect(page.get_by_text("entries are as they were written")).to_be_visible()

    assert page.evaluate("window.clicks ?? 0") == 0
    if LASTING in os.environ:
        be_busy(platform)
    shoot_all(browser, screenshots, runs)
    assert browser.complaints == []


def test_few_clicks(platform: Platform, browser: Browser) -> None:
    """From a run to an endpoint in three clicks, from staging to production in six; typing is free."""
    run = platform.python(SKLEARN).splitlines()[-1]
    page, keyboard = browser.page, browser.page.keyboard
    browser.go(f"/runs/fraud/{run}")
    clicks = 0

    def click(name: str, *, within: Locator | None = None) -> None:
        nonlocal clicks
        (within or page).get_by_role("button", name=name, exact=True).click()
        clicks += 1

    dialog = page.get_by_role("dialog")
    click("Convert to model")
    expect(dialog.get_by_label("Model", exact=True)).to_be_focused()
    keyboard.press("Control+a")
    keyboard.type("clicked")
    click("Convert to model", within=dialog)
    is_on(page)
    assert clicks <= 3

    for customer in ("Acme", "Zeta"):
        browser.go("/models/fraud/clicked/1")
        clicks = 0
        click("Deploy to production")
        page.get_by_label("Name", exact=True).click()
        keyboard.press("Control+a")
        keyboard.type(f"clicked-{customer.lower()}")
        page.get_by_label("Customer").click()
        keyboard.type(customer)
        clicks += 2
        click("Next")
        click("Next")
        expect(page.get_by_label("Why")).to_be_focused()
        keyboard.type("They asked for it.")
        click("Deploy to production", within=dialog)
        page.wait_for_url(f"**/deployments/clicked-{customer.lower()}")
        is_on(page)
        assert clicks <= 6
    assert browser.complaints == []
