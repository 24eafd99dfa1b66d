"""Real Chromium for tests of pages."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDS_CHROMIUM = [
    pytest.mark.external,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; `apt-get install chromium` brings it"),
]

INSECURE = "delete Crypto.prototype.randomUUID"
"""What a page lacks that comes over plain HTTP from another machine, besides others that ours do not use."""
CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = rgb(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  for (const element of document.querySelectorAll("button:enabled span, p, dt, dd, h2, b, .numbers")) {
    if (!element.innerText?.trim() || element.closest(".hidden")) continue;
    const both = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
    const [a, b] = both.sort((x, y) => y - x);
    found[element.innerText.trim() + " " + element.className] = (a + 0.05) / (b + 0.05);
  }
  return found;
}"""
"""WCAG 2's contrast of every text, by what it says."""


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # the sandbox needs rights that containers do not give; the pages are our own
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def context(browser: "Browser") -> "Iterator[BrowserContext]":
    made = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    made.set_default_timeout(20_000)
    yield made
    made.close()
