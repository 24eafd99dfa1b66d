"""Measures the screening page in Chromium: from the key to the frame that shows the verdict, and to the disk.

    python benchmarks/review_latency.py [--database postgresql://…] [--verdicts 300] [--size-px 1024]

Serves a round of drawn images from a process of its own, presses a key every 250 ms as a fast reviewer would,
and reads the page's own measures. Then the same verdicts are sent without a browser. Writes JSON to
benchmarks/results/review_latency.json, one entry for each kind of database.
"""

import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from pellucid.data.rounds.beginning import begin_round
from pellucid.data.rounds.database import open_store
from pellucid.data.rounds.prompts import shipped_grammar
from pellucid.data.rounds.sampling import sample_round
from pellucid.data.rounds.settings import RoundSettings
from pellucid.rgba.types import RGBA8

RESULT = Path(__file__).parent / "results" / "review_latency.json"
PAUSE_MS = 250


def draw(size_px: int, seeds: Sequence[int]) -> list[RGBA8]:
    """Draws soft discs with some noise, so that files are as large as those of real images."""
    y, x = np.mgrid[:size_px, :size_px] / size_px - 0.5
    images: list[RGBA8] = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        colour = cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
        noise = rng.integers(0, 8, (size_px, size_px, 3), dtype=np.uint8)
        alpha = np.clip((rng.uniform(0.2, 0.45) - np.hypot(x, y)) * 40, 0, 1) * 255
        images.append(np.dstack([cv2.add(colour, noise), alpha.astype(np.uint8)]))
    return images


def figures(values: Sequence[float]) -> dict[str, float]:
    """Summarises durations in milliseconds."""
    ordered = sorted(values)
    return {
        "median_ms": round(statistics.median(ordered), 2),
        "p95_ms": round(ordered[int(0.95 * len(ordered))], 2),
        "p99_ms": round(ordered[int(0.99 * len(ordered))], 2),
        "max_ms": round(ordered[-1], 2),
        "n": len(ordered),
    }


def in_browser(address: str, verdicts: int) -> dict[str, object]:
    """Presses keys on the page."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("needs chromium on the path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.get_by_label("Your name").fill("browser")
        page.keyboard.press("Enter")
        page.wait_for_selector(".stage canvas[data-ready=true]")
        page.wait_for_timeout(3000)  # the first images are decoded
        started = time.perf_counter()
        waited = sum(press(page, "k" if index % 3 else "x") for index in range(verdicts))
        spent_s = time.perf_counter() - started
        page.wait_for_timeout(1000)
        measured = {
            name.replace("-", "_"): figures(
                page.evaluate(f"performance.getEntriesByName('{name}').map(e => e.duration)")
            )
            for name in ("verdict-to-frame", "verdict-to-durable")
        }
        browser.close()
    return {
        **measured,
        "images_not_ready_when_wanted": waited,
        "verdicts_an_hour": round(verdicts / spent_s * 3600),
    }


def press(page: Page, key: str) -> bool:
    """Judges one image; tells whether it had to be waited for."""
    page.wait_for_timeout(PAUSE_MS)
    waited = page.locator(".stage canvas[data-ready=false]").count() > 0
    if waited:
        page.wait_for_selector(".stage canvas[data-ready=true]")
    page.keyboard.press(key)
    return waited


def without_browser(address: str, verdicts: int) -> dict[str, float]:
    """Sends verdicts one by one and times the answers, each of which says that the line is on the disk."""

    def ask(path: str, body: object) -> dict:
        content = json.dumps(body).encode()
        request = urllib.request.Request(
            f"{address}api/{path}", content, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    own = ask("reviewers", {"name": "script"})["id"]
    spent: list[float] = []
    while len(spent) < verdicts:
        items = ask("deal", {"reviewer": own, "count": 30})["items"]
        if not items:
            break
        for item in items:
            entry = {"uid": str(uuid.uuid4()), "sample": item["samples"][0]["id"], "decision": "keep"}
            started = time.perf_counter()
            ask("verdicts", {"reviewer": own, "entries": [entry]})
            spent.append(1000 * (time.perf_counter() - started))
    return figures(spent)


@click.command()
@click.option("--database", help="URL; none is a SQLite file.")
@click.option("--verdicts", default=300, show_default=True)
@click.option("--size-px", default=1024, show_default=True)
def main(database: str | None, verdicts: int, size_px: int) -> None:
    """Measures and writes the result."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(folder, database)
        settings = RoundSettings(samples=2 * verdicts + 60, overlap=0, gold=0, second_look=0, grouping="none")
        begin_round(store, settings)
        sample_round(
            store, shipped_grammar(), lambda _, seeds: draw(size_px, seeds), model="drawn", batch_size=8
        )
        size = sum(path.stat().st_size for path in folder.rglob("*.tar")) / settings.samples
        words = ["data", "rounds", "review", "--folder", name, "--port", "0"]
        words += ["--database", database] if database else []
        server = subprocess.Popen(
            [sys.executable, "-m", "pellucid", *words], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            result = {
                "size_px": size_px,
                "bytes_an_image": round(size),
                **in_browser(address, verdicts),
                "server_alone": without_browser(address, verdicts),
                "machine": f"{platform.system()}, {platform.machine()}, Python {platform.python_version()}",
            }
        finally:
            server.terminate()
            server.wait()
        store.close()
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    known["postgresql" if database else "sqlite"] = result
    RESULT.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
