"""What people see in the console when something is wrong: why, where, and how to go on."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from taxiway.client.calls import plain
from taxiway.stub import children
from tests.browser import Browser, a_browser
from tests.journeys.training import SKLEARN
from tests.platforms import PASSWORD, Platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(300)]

NASTY = "<img src=x onerror=\"window.ran='yes'\"><script>window.ran='yes'</script>"
CRASHES = """
import sys, mlflow, pandas as pd
from mlflow.models import infer_signature

class Crashes(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        print(NASTY, flush=True)
        raise RuntimeError("the rules file is not there " + NASTY)
    def predict(self, context, model_input, params=None):
        return model_input["amount"]

NASTY = sys.argv[1]
X = pd.DataFrame({"amount": [1.5]})
mlflow.set_experiment("crashes")
with mlflow.start_run() as run:
    mlflow.log_param("rule", NASTY)
    mlflow.log_text(NASTY, "page.html")
    mlflow.log_text(NASTY, "notes.txt")
    mlflow.set_tag("mlflow.note.content", NASTY)
    mlflow.pyfunc.log_model(
        python_model=Crashes(), name="model", signature=infer_signature(X, X["amount"]),
        pip_requirements=["mlflow", "pandas", "cloudpickle"],
    )
print(run.info.run_id)
"""


@pytest.fixture
def browser(platform: Platform) -> Iterator[Browser]:
    with a_browser(platform.url) as opened:
        opened.sign_in("admin", PASSWORD)
        yield opened


def test_a_model_that_crashes_says_why_and_what_to_do(platform: Platform, browser: Browser) -> None:
    run = platform.python(CRASHES, NASTY).splitlines()[-1]
    page = browser.page
    for tab in ("overview", "artifacts", "tags"):
        browser.go(f"/runs/fraud/{run}?tab={tab}")
        page.get_by_role("heading", level=1).wait_for()
    browser.go(f"/runs/fraud/{run}?tab=artifacts")
    for name in ("page.html", "notes.txt"):
        page.get_by_text(name, exact=True).first.click()
        expect(page.get_by_text("onerror").first).to_be_visible()
    platform.convert(run, "crashes")
    browser.go("/models/fraud/crashes/1")
    expect(page.get_by_role("heading", level=1).get_by_text("Failed", exact=True)).to_be_visible(timeout=60_000)
    expect(page.get_by_text(re.compile("the rules file is not there")).first).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_be_enabled()
    browser.go("/models/fraud/crashes/1?tab=logs")
    expect(page.get_by_role("log").get_by_text("the rules file is not there").first).to_be_visible()
    assert page.evaluate("window.ran") is None, "what a model prints is never run"
    assert browser.complaints == []


def test_a_wrong_input_is_told_at_its_field(platform: Platform) -> None:
    run = platform.python(SKLEARN).splitlines()[-1]
    assert platform.convert(run, "wrong-input").status == "ON"
    with a_browser(platform.url) as browser:
        browser.sign_in("admin", PASSWORD)
        try_wrongly(browser)
    name, password = "ada", "a password of her own"
    with platform.client() as client:
        client.send(plain("POST", "users", body={"name": name, "password": password, "role": "data-scientist"}))
        client.send(plain("PUT", "projects", "fraud", "members", name))
    with a_browser(platform.url) as hers:
        look_as_a_data_scientist(hers, name, password)


def try_wrongly(browser: Browser) -> None:
    """The error stands at the field that is wrong, and goes with it."""
    page = browser.page
    browser.go("/models/fraud/wrong-input/1?tab=try")
    page.get_by_role("textbox", name="amount").fill(NASTY)
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("textbox", name="amount")).to_have_attribute("aria-invalid", "true", timeout=15_000)
    expect(page.get_by_role("textbox", name="hour")).not_to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Input example").click()
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_text(re.compile("200 in .* from pod"))).to_be_visible(timeout=15_000)
    expect(page.get_by_role("textbox", name="amount")).not_to_have_attribute("aria-invalid", "true")
    assert page.evaluate("window.ran") is None
    assert browser.complaints == []


def look_as_a_data_scientist(browser: Browser, name: str, password: str) -> None:
    """What only administrators do is shown with the reason, and refused to whoever asks all the same."""
    page = browser.page
    browser.go("/")
    page.get_by_label("Name").fill(name)
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", level=1, name="Home").wait_for()
    browser.go("/models/fraud/wrong-input/1")
    deploy = page.get_by_role("button", name="Deploy to production")
    expect(deploy).to_be_disabled()
    deploy.locator("xpath=..").hover()
    expect(page.get_by_text("Only administrators promote.")).to_be_visible()
    navigation = page.get_by_role("navigation", name="Sections")
    expect(navigation.get_by_role("link", name="Models")).to_be_visible()
    expect(navigation.get_by_role("link", name="Production")).to_have_count(0)
    forced = page.evaluate(
        "fetch('/api/v1/production/deployments/any', {method: 'DELETE'}).then(answer => answer.status)"
    )
    assert forced == 403


def test_a_page_outlives_a_killed_control_plane(platform: Platform, browser: Browser) -> None:
    page = browser.page
    browser.go("/models")
    page.get_by_role("heading", level=1, name="Models").wait_for()
    page.wait_for_timeout(1500)
    directory = platform.data / "children" / "control"
    before = children.status(directory)
    assert before is not None
    assert before.child_pid is not None
    seen = page.evaluate_handle(
        """() => { const seen = []; const look = () => {
             const away = document.body.innerText.includes('Taxiway does not answer at the moment');
             if (seen.at(-1) !== away) seen.push(away); }; look();
             new MutationObserver(look).observe(document.body, {childList: true, subtree: true}); return seen; }"""
    )
    # A fast machine has another one before anybody would notice: this one comes when the banner was seen.
    os.kill(before.stub_pid, signal.SIGSTOP)
    try:
        os.kill(before.child_pid, signal.SIGKILL)
        page.wait_for_function("seen => seen.includes(true)", arg=seen, timeout=10_000)
    finally:
        os.kill(before.stub_pid, signal.SIGCONT)
    page.wait_for_function("seen => !seen.at(-1)", arg=seen, timeout=30_000)
    after = children.status(directory)
    assert after is not None
    assert after.child_pid != before.child_pid
    assert seen.json_value() == [False, True, False], "it was said once, and taken back once"
    expect(page.get_by_role("heading", level=1, name="Models")).to_be_visible()
