"""A real browser for tests: Debian's Chromium, driven by Playwright; what a page complains of is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
AXE = Path(__file__).parents[1] / "console" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")
SIGNED_OUT = "status of 401"
"""What the browser says itself of the first look at who one is."""


@dataclass
class Browser:
    """One page and what went wrong on it: script errors, and what the content security policy kept from running."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        """Go to an address of the console."""
        self.page.goto(self.url + path)

    def sign_in(self, name: str, password: str) -> None:
        """Sign in as a person does."""
        self.go("/")
        self.page.get_by_label("Name").fill(name)
        self.page.locator("input[type=password]").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Home", exact=True).wait_for()

    def faults(self) -> list[str]:
        """Return what axe finds on the page that is serious or worse."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found: dict[str, Any] = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{each['id']}: {node['html'][:160]}"
            for each in found["violations"]
            if each["impact"] in SERIOUS
            for node in each["nodes"]
        ]

    def _hear(self, text: str) -> None:
        if SIGNED_OUT not in text:
            self.complaints.append(f"{self.page.url}: {text}")


@contextmanager
def a_browser(url: str, *, scheme: str = "light", width: int = 1280, height: int = 720) -> Iterator[Browser]:
    """Open a browser with nothing remembered."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            context = chromium.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page = context.new_page()
            browser = Browser(page=page, url=url)
            page.on("console", lambda message: browser._hear(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: browser._hear(str(error)))
            page.on("dialog", lambda dialog: browser._hear(f"a dialog: {dialog.message}"))
            yield browser
        finally:
            chromium.close()
