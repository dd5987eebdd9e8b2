"""The four stages by keyboard alone; and with the mouse, how many clicks they take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import Browser, a_browser
from tests.journeys.touring import FOREST, Subject, furnish, take_all
from tests.journeys.training import SKLEARN
from tests.platforms import PASSWORD, Platform

LASTING = "TAXIWAY_TEST_SCREENSHOTS"
pytestmark = [
    pytest.mark.journey,
    pytest.mark.integration,
    # Where the pictures are to last, there is more to be seen on them.
    pytest.mark.timeout(900 if LASTING in os.environ else 400),
    pytest.mark.usefixtures("clears_production"),
]

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
        subject = furnish(platform, "scorer-acme")
    else:
        subject = Subject(
            run=runs[0], trial=runs[1], compared=tuple(runs), experiment="1", model="fraud/scorer/1",
            deployment="scorer-acme",
        )  # fmt: skip
    take_all(browser, screenshots, subject)
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
