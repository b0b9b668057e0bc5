"""A real browser without a window, for the report's tests: Chromium, driven by Selenium."""

import io
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="Chromium and its driver are not installed (apt-get install chromium chromium-driver)",
)
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-device-scale-factor=1",
    "--window-size=1200,1000",
)
WAIT_S = 60.0


class Browser:
    """A page in the browser, and what can be asked of it."""

    def __init__(self, javascript: bool = True) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for switch in SWITCHES:
            options.add_argument(switch)
        if not javascript:
            off = {"profile.managed_default_content_settings.javascript": 2}
            options.add_experimental_option("prefs", off)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))

    def open(self, path: Path) -> None:
        self.log("browser"), self.log("performance")  # of the page before
        self.driver.get(path.as_uri())

    def open_report(self, path: Path) -> None:
        """Open a report and wait until it shows its scene."""
        self.open(path)
        begun = time.monotonic()
        while not self.run("return document.getElementById('viewer').dataset.state"):
            assert time.monotonic() - begun < WAIT_S, self.log("browser")
            time.sleep(0.05)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def log(self, kind: str) -> list[dict[str, Any]]:
        return self.driver.get_log(kind)

    def asked_for(self) -> list[str]:
        """Return the addresses that were asked for since the page was opened, its own excepted."""
        import json

        told = [json.loads(line["message"])["message"] for line in self.log("performance")]
        asked = [m for m in told if m["method"] == "Network.requestWillBeSent"]
        return [
            address
            for address in (message["params"]["request"]["url"] for message in asked)
            if address != self.driver.current_url and not address.startswith("data:")
        ]

    def picture(self, element: str) -> np.ndarray:
        """Return what an element shows, RGB (height, width, 3), uint8."""
        from selenium.webdriver.common.by import By

        found = self.driver.find_element(By.CSS_SELECTOR, element)
        shown = Image.open(io.BytesIO(found.screenshot_as_png)).convert("RGB")
        return np.asarray(shown)

    def close(self) -> None:
        self.driver.quit()
