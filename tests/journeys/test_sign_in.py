"""People come in from an identity provider, in a real browser: its page, their role and projects, and once more."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser import Browser, a_browser
from tests.identity_provider import CLIENT, SECRET, FakeProvider, a_provider
from tests.platforms import Platform, a_platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeProvider]:
    with a_provider(time.time) as running:
        running.has_page = True
        yield running


@pytest.fixture(scope="module")
def with_provider(fake: FakeProvider) -> Iterator[Platform]:
    """A platform of its own: it has a provider."""
    provider = {
        "name": "Example",
        "issuer": fake.issuer,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "groups": {"fraud-team": {"projects": ["fraud"]}, "admins": {"role": "administrator"}},
    }
    with a_platform(TAXIWAY_PEOPLE__PROVIDER=json.dumps(provider)) as running:
        yield running


@pytest.fixture
def browser(with_provider: Platform) -> Iterator[Browser]:
    with a_browser(with_provider.url) as opened:
        yield opened


def come_in(browser: Browser, name: str) -> None:
    browser.page.get_by_role("link", name="Sign in with Example").click()
    browser.page.get_by_role("link", name=f"Go on as {name}").click()


def test_a_group_lets_one_in_and_gives_the_role(fake: FakeProvider, with_provider: Platform, browser: Browser) -> None:
    page = browser.page
    browser.go("/account")
    page.wait_for_url("**/sign-in?next=*")
    expect(page.get_by_label("Name")).to_be_visible()
    assert browser.faults() == []
    come_in(browser, "Grace")
    page.wait_for_url("**/account")
    expect(page.get_by_text("data-scientist", exact=True).first).to_be_visible()
    expect(page.get_by_text(fake.issuer)).to_be_visible()
    expect(page.get_by_role("tab", name="Password")).to_be_hidden()
    assert browser.faults() == []

    page.context.clear_cookies()
    fake.person["groups"] = ["admins"]
    browser.go("/administration")
    come_in(browser, "Grace")
    page.wait_for_url("**/administration")
    expect(page.get_by_role("row", name="grace").get_by_text(fake.issuer)).to_be_visible()

    page.context.clear_cookies()
    page.get_by_label("Name").fill("half-filled")
    page.get_by_label("First password").fill("a first password")
    page.get_by_role("button", name="Add", exact=True).click()
    dialog = page.get_by_role("dialog")
    fake.claims = {"auth_time": int(time.time())}
    with page.context.expect_page() as opened:
        dialog.get_by_role("link", name="Sign in with Example").click()
    opened.value.get_by_role("link", name="Go on as Grace").click()
    opened.value.wait_for_url("**/account")
    opened.value.close()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))")
    expect(dialog).to_be_hidden()
    expect(page.get_by_label("Name")).to_have_value("half-filled")
    assert browser.complaints == []


def test_who_is_in_no_group_is_told_what_to_do(fake: FakeProvider, with_provider: Platform, browser: Browser) -> None:
    fake.person |= {"sub": "p-9", "preferred_username": "nobody", "groups": []}
    browser.go("/")
    come_in(browser, "nobody")
    browser.page.wait_for_url("**/sign-in?problem=SignInRefused")
    alert = browser.page.get_by_role("alert")
    expect(alert).to_contain_text("The account may not sign in")
    expect(alert).to_contain_text("ask an administrator")
    assert browser.faults() == []
    assert browser.complaints == []
