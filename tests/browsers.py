"""A real Chromium for tests; they skip where it, its driver or selenium is not installed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needed = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"
)


@contextlib.contextmanager
def chromium(*more: str) -> Iterator[Any]:
    """A browser that reaches this machine alone, and notes what goes wrong in a page."""
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        # whatever the page asked for would have to fail
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
        *more,
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def opened(browser: Any, address: str, width: int, scheme: str = "light") -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {
            "features": [
                {"name": "prefers-color-scheme", "value": scheme},
                # else a click would have to wait for the end of smooth scrolling
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ]
        },
    )
    browser.get("about:blank")  # an address that differs in its fragment alone loads nothing
    browser.get(address)


def sticking_out(browser: Any) -> int:
    """Pixels by which the page is wider than what it is shown in."""
    return browser.execute_script(
        "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    )
