"""What administrators decide in the console: people, projects, what production's files say, whose promotion goes on."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from taxiway.client.calls import plain
from tests.browser import Browser, a_browser
from tests.journeys.training import SKLEARN
from tests.platforms import PASSWORD, Platform, a_platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(300)]

NASTY = "<img src=x onerror=\"window.ran='yes'\"><script>window.ran='yes'</script>"
TALKS = """
import sys, mlflow, pandas as pd
from mlflow.models import infer_signature

class Talks(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [NASTY for _ in range(len(model_input))]

NASTY = sys.argv[1]
X = pd.DataFrame({NASTY: [1.5]})
mlflow.set_experiment("talks")
with mlflow.start_run() as run:
    mlflow.log_text(f"<svg xmlns='http://www.w3.org/2000/svg' onload='window.ran=1'>{NASTY}</svg>", "drawing.svg")
    mlflow.log_dict({NASTY: NASTY}, "said.json")
    mlflow.pyfunc.log_model(
        python_model=Talks(), name="model", signature=infer_signature(X, [NASTY]), input_example=X,
        pip_requirements=["mlflow", "pandas", "cloudpickle"],
    )
print(run.info.run_id)
"""
HERS = "a password of her own"


@pytest.fixture
def browser(platform: Platform) -> Iterator[Browser]:
    with a_browser(platform.url) as opened:
        opened.sign_in("admin", PASSWORD)
        yield opened


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def confirm(page: Page, name: str) -> None:
    page.get_by_label(f"Type {name} to confirm").fill(name)
    page.get_by_role("dialog", name=f"Delete {name}").get_by_role("button", name="Delete").click()


def test_what_a_model_answers_is_never_run(platform: Platform, browser: Browser) -> None:
    run = platform.python(TALKS, NASTY).splitlines()[-1]
    page = browser.page
    for name in ("drawing.svg", "said.json"):
        browser.go(f"/runs/fraud/{run}?tab=artifacts&file={name}")
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
        page.wait_for_timeout(500)
    made = platform.convert(run, "talks")
    assert made.status == "ON", made.message
    browser.go(f"/models/fraud/talks/{made.version}?tab=try")
    press(page, "Predict")
    expect(page.get_by_text(re.compile("200 in .* from pod"))).to_be_visible(timeout=15_000)
    expect(page.get_by_text(NASTY).first).to_be_visible()
    for tab in ("overview", "api", "versions", "settings"):
        browser.go(f"/models/fraud/talks/{made.version}?tab={tab}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_timeout(300)
    assert page.evaluate("window.ran") is None
    assert browser.complaints == []


def test_the_first_steps_that_pages_show_can_be_taken(platform: Platform, browser: Browser, clean_python: Path) -> None:
    """An empty project says how to begin; the token that it asks for is made on the account page."""
    with platform.client() as client:
        client.send(plain("POST", "projects", body={"name": "fresh"}))
    page = browser.page
    browser.go("/experiments?project=fresh")
    expect(page.locator("[data-snippet=Python]")).to_contain_text("http://")
    begins = page.locator("[data-snippet=Python]").text_content()
    assert begins is not None
    browser.go("/account")
    page.get_by_label("What it is for").fill("first steps")
    page.get_by_role("combobox", name="Project of its MLflow calls").click()
    page.get_by_role("option", name="fresh").click()
    press(page, "Make a token")
    exports = page.locator("[data-snippet=environment]").text_content()
    assert exports is not None
    program = f"{exports}\nexec {shlex.quote(str(clean_python))} -I -c {shlex.quote(begins)}"
    done = subprocess.run(["/bin/bash", "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    browser.go("/experiments?project=fresh")
    page.get_by_role("link", name="first").click()
    expect(page.get_by_role("columnheader", name="auc")).to_be_visible()
    assert browser.complaints == []


def test_people_and_projects(platform: Platform, browser: Browser) -> None:
    page = browser.page
    browser.go("/administration")
    page.get_by_label("Name").fill("grace")
    page.get_by_label("First password").fill("a first password")
    press(page, "Add")
    page.get_by_role("combobox", name="Role of grace").click()
    page.get_by_role("option", name="administrator", exact=False).first.click()
    press(page, "More for grace")
    page.get_by_role("menuitem", name="Give another password").click()
    page.get_by_role("dialog").get_by_label("Password", exact=True).fill(HERS)
    press(page, "Give it")
    expect(page.get_by_role("dialog")).to_be_hidden()
    press(page, "More for grace")
    page.get_by_role("menuitem", name="Disable").click()
    expect(page.get_by_role("cell", name="grace (disabled)")).to_be_visible()

    browser.go("/administration?tab=projects")
    page.get_by_label("Name").fill("loans")
    press(page, "Make")
    page.get_by_role("combobox", name="Add a member to loans").click()
    page.get_by_role("option", name="grace").click()
    expect(page.get_by_role("button", name="Remove grace")).to_be_visible()
    press(page, "Describe loans")
    page.get_by_role("dialog").get_by_label("What it is for").fill(NASTY)
    press(page, "Save")
    expect(page.get_by_text(NASTY)).to_be_visible()
    press(page, "Remove grace")
    expect(page.get_by_role("button", name="Remove grace")).to_be_hidden()
    press(page, "Delete loans")
    confirm(page, "loans")
    expect(page.get_by_role("heading", name="loans", exact=True)).to_be_hidden()

    browser.go("/administration")
    press(page, "More for grace")
    page.get_by_role("menuitem", name="Delete").click()
    confirm(page, "grace")
    expect(page.get_by_role("cell", name="grace (disabled)")).to_be_hidden()
    with platform.client() as client:
        told = client.send(plain("GET", "audit", limit=50))["items"]
    acts = [entry["action"] for entry in told if "grace" in str(entry) or "loans" in str(entry)]
    assert {"user.create", "user.change", "user.delete", "project.create", "project.delete"} <= set(acts), acts
    assert page.evaluate("window.ran") is None
    # What is deleted may be asked for once more before its panel is gone.
    assert [said for said in browser.complaints if "status of 404" not in said] == []


def test_promotions_are_decided_by_another_administrator() -> None:
    with a_platform(TAXIWAY_PRODUCTION__NEEDS_APPROVAL="true") as platform:
        made = platform.convert(platform.python(SKLEARN).splitlines()[-1], "asked")
        assert made.status == "ON", made.message
        with platform.client() as client:
            client.send(plain("POST", "users", body={"name": "grace", "password": HERS, "role": "administrator"}))
        for customer in ("Acme", "Zeta"):
            with a_browser(platform.url) as browser:
                browser.sign_in("admin", PASSWORD)
                ask(browser, made.version, customer)
        with a_browser(platform.url) as browser:
            browser.sign_in("grace", HERS)
            decide(browser)
        with platform.client() as client:
            assert [each.name for each in client.production().items] == ["asked-acme"]
            assert client.production_deployment("asked-acme").promotions[0].promoted_by == "admin"


def ask(browser: Browser, version: int, customer: str) -> None:
    """Set a threshold, and ask for a promotion, which waits."""
    page, name = browser.page, f"asked-{customer.lower()}"
    browser.go(f"/models/fraud/asked/{version}?tab=settings")
    if customer == "Acme":
        press(page, "Add a threshold")
        page.get_by_role("textbox", name="Metric").fill("accuracy")
        page.get_by_role("textbox", name="Value").fill("0.5")
        save = page.get_by_role("button", name="Save", exact=True).last
        save.click()
        expect(save).to_be_disabled(timeout=15_000)
    press(page, "Deploy to production")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Customer").fill(customer)
    expect(page.get_by_text("accuracy").first).to_be_visible()
    press(page, "Next")
    press(page, "Next")
    page.get_by_label("Why").fill("They asked for it.")
    press(page, "Ask for approval")
    page.wait_for_url("**/deployments")
    row = page.get_by_role("row").filter(has_text=name)
    expect(row.get_by_role("button", name="Withdraw")).to_be_visible()
    assert browser.faults() == []
    assert browser.complaints == []


def decide(browser: Browser) -> None:
    """Let one go on and refuse the other, with the reason."""
    page = browser.page
    browser.go("/deployments")
    row = page.get_by_role("row").filter(has_text="asked-zeta")
    row.get_by_role("button", name="Reject").click()
    page.get_by_label("Why not").fill("They did not sign.")
    page.get_by_role("dialog").get_by_role("button", name="Reject").click()
    expect(row.get_by_role("button")).to_have_count(0)
    row = page.get_by_role("row").filter(has_text="asked-acme")
    row.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("link", name="asked-acme")).to_be_visible(timeout=30_000)
    browser.go("/deployments/asked-acme")
    expect(page.get_by_role("heading", level=1).get_by_text("ON", exact=True)).to_be_visible(timeout=90_000)
    browser.go("/administration?tab=system")
    press(page, "Read all again")
    expect(page.get_by_text("Done", exact=True).first).to_be_visible(timeout=30_000)
    assert browser.faults() == []
    assert browser.complaints == []
