"""Runs whole studies of known preference through the study page in Chromium, and kills the server meanwhile.

    python benchmarks/study_page.py [--studies 100] [--kills 1]

Each study has 100 pairs and 300 votes, asked for by a plan with attention checks and pairs shown again the
other way round. Six scripted people answer in contexts of one Chromium, in turns. A person sees what the
page draws and nothing else: the two methods are discs of two colours, told apart by the pixels of the canvas,
and damaged copies by their pallor. Taste, leaning to the left and people who do not look are those of "two
methods" in study_coverage.py, and so is the truth. The server is a process of its own, which is killed with
SIGKILL in the middle of each study and started again. Counted are: answers that people gave and that are in
votes.jsonl; how often the interval of the win rate holds the truth; the time from a key to the next pair.
Writes benchmarks/results/study_page.json.
"""

import json
import math
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import click
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright
from study_coverage import CASES, IDLE, LEFT, TIE, truth

from pellucid.evaluation.study import analyse, read_votes
from pellucid.evaluation.study.pairs import VOTES, create_study
from pellucid.evaluation.study.plan import read_plan
from pellucid.files.images import write_image
from pellucid.progress import track

RESULT = Path(__file__).parent / "results" / "study_page.json"
CASE = CASES["two methods"]
PAIRS, RATERS_A_PAIR, SIDE_PX = 100, 3, 32
COLOURS = {"a": (20, 200, 60), "b": (220, 30, 40)}
PLAN = f"""
title = "A study of known preference"
prompts = "prompts.tsv"
raters_a_pair = {RATERS_A_PAIR}
[methods]
a = "a"
b = "b"
[[questions]]
id = "q"
text = "Which disc do you prefer?"
methods = ["a", "b"]
votes = {PAIRS * RATERS_A_PAIR}
"""

PERSON = """async ({ chances, idle, until }) => {
  // what a person sees: the middle of both canvases, and the words
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => resolve()));
  const look = (canvas) => {
    const at = [canvas.width / 2, canvas.height / 2].map(Math.round);
    const [red, green, blue] = canvas.getContext("2d").getImageData(...at, 1, 1).data;
    if (Math.max(red, green, blue) - Math.min(red, green, blue) < 130) return "damaged";
    return green > red ? "a" : "b";
  };
  const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  let given = 0;
  const waits = [];
  let before = "";
  const started = performance.now();
  let pressed = started;
  for (;;) {
    const over = [...document.querySelectorAll("h1")].some((each) => each.innerText === "Thank you");
    if (over) return { given, waits, over: true };
    if (performance.now() - started > until) return { given, waits, over: false };
    const pair = document.querySelector(".pair");
    const canvases = [...document.querySelectorAll(".pair canvas[data-ready=true]")];
    if (pair === null || canvases.length < 2 || pair.dataset.pair === before) { await frame(); continue; }
    waits.push(performance.now() - pressed);
    before = pair.dataset.pair;
    const [left, right] = canvases.map(look);
    const draw = Math.random();
    let key;
    if (idle) key = draw < 0.5 ? "ArrowLeft" : "ArrowRight";
    else if (left === "damaged" || right === "damaged") key = left === "damaged" ? "ArrowRight" : "ArrowLeft";
    else {
      const [of_left, of_right] = chances[document.querySelector(".prompt").innerText][left];
      key = draw < of_left ? "ArrowLeft" : draw < of_left + of_right ? "ArrowRight" : "ArrowDown";
    }
    await frame();
    pressed = performance.now();
    press(key);
    given += 1;
  }
}"""


class Server:
    """`pellucid study serve` in a process that can be killed."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.words = [
            sys.executable,
            "-m",
            "pellucid",
            "study",
            "serve",
            str(folder),
            "--port",
            str(self.port),
        ]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.words, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.process.stdout.readline()  # the address, once it listens

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def make_study(root: Path) -> Path:
    """Draws the discs of a study, and plans it."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - (SIDE_PX - 1) / 2
    for method, colour in COLOURS.items():
        (root / method).mkdir()
        for number in range(PAIRS):
            rgba = np.zeros((SIDE_PX, SIDE_PX, 4), np.uint8)
            rgba[..., :3] = colour
            rgba[..., 3] = np.where(x**2 + y**2 < (8 + number % 7) ** 2, 255, 0)
            rgba[0, 0, :3] = number  # hidden, so that no two prompts share a copy
            write_image(rgba, root / method / f"{number}.png")
    (root / "prompts.tsv").write_text("".join(f"{number}\tdisc {number}\n" for number in range(PAIRS)))
    (root / "plan.toml").write_text(PLAN)
    create_study(read_plan(root / "plan.toml"), root / "plan.toml", root / "study", root)
    return root / "study"


def tastes(seed: int) -> list[dict[str, object]]:
    """Draws what each person would say of each prompt: chances of left and right by the left method."""
    rng = np.random.default_rng(seed)
    of_raters = rng.normal(0, CASE.rater_spread, (CASE.raters, 2))
    of_prompts = rng.normal(0, CASE.prompt_spread, (PAIRS, 2))
    idle = rng.random(CASE.raters) < IDLE
    people: list[dict[str, object]] = []
    for rater in range(CASE.raters):
        chances: dict[str, Mapping[str, list[float]]] = {}
        for prompt in range(PAIRS):
            a, b = (
                CASE.scores[name] + of_prompts[prompt, i] + of_raters[rater, i] for i, name in enumerate("ab")
            )
            chances[f"disc {prompt}"] = {"a": _shares(a, b), "b": _shares(b, a)}
        people.append({"chances": chances, "idle": bool(idle[rater]), "until": 1e9})
    return people


def _shares(left: float, right: float) -> list[float]:
    of_left, of_right = math.exp(left + LEFT), math.exp(right)
    whole = of_left + of_right + TIE * math.sqrt(of_left * of_right)
    return [of_left / whole, of_right / whole]


def enter(browser: Browser, server: Server, name: str) -> Page:
    """Opens the page as one person."""
    page = browser.new_context(viewport={"width": 700, "height": 600}).new_page()
    page.goto(f"http://127.0.0.1:{server.port}/#rater={name}")
    page.get_by_role("button", name="Begin").click()
    return page


def run_study(browser: Browser, root: Path, seed: int, kills: int) -> tuple[Path, int, list[float]]:
    """Lets six people answer one study; returns its folder, answers given, milliseconds to each next pair."""
    folder = make_study(root)
    server = Server(folder)
    given, waits, left = 0, list[float](), kills
    people = tastes(seed)
    try:
        pages = [enter(browser, server, f"r{number}") for number in range(len(people))]
        going = dict(zip(pages, people, strict=True))
        while going:
            # in turns of a part each, so that people answer at about the same pace
            for page, person in list(going.items()):
                page.bring_to_front()  # others are not drawn
                found = page.evaluate(PERSON, {**person, "until": 700})
                given += found["given"]
                waits += found["waits"][1:]
                if found["over"]:
                    del going[page]
            if left and given > PAIRS * RATERS_A_PAIR * (kills - left + 1) / (kills + 1):
                server.kill()
                server.start()
                left -= 1
        deadline = time.monotonic() + 30
        while len(read_votes(folder / VOTES)) < given and time.monotonic() < deadline:
            time.sleep(0.05)
        for page in pages:
            page.context.close()
    finally:
        server.kill()
    return folder, given, waits


@click.command()
@click.option("--studies", default=100, show_default=True)
@click.option("--kills", default=1, show_default=True, help="Of the server, in each study.")
def main(studies: int, kills: int) -> None:
    """Runs, counts, writes."""
    _, rate, _ = truth(CASE)
    held, lost, doubled, given, waits, dropped = 0, 0, 0, 0, list[float](), 0
    widths, rates = list[float](), list[float]()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for seed in track(range(studies), total=studies, label="studies", unit="study"):
            with tempfile.TemporaryDirectory() as root:
                folder, answers, some = run_study(browser, Path(root), seed, kills)
                votes = read_votes(folder / VOTES)
                lost += max(0, answers - len(votes))
                doubled += max(0, len(votes) - answers)
                given += answers
                waits += some
                # scripted people look for a frame alone
                found = analyse(folder / VOTES, plan=read_plan(folder / "plan.toml"), min_dwell_ms=0)
            estimate = found.questions["q"].pairs[0].rate_with_ties
            held += int(estimate.low <= rate <= estimate.high)
            widths.append(estimate.high - estimate.low)
            rates.append(estimate.value)
            dropped += len(found.dropped)
            result = {
                "command": f"python benchmarks/study_page.py --studies {studies} --kills {kills}",
                "studies": seed + 1, "true_rate": round(rate, 4), "held": held,
                "mean_rate": round(float(np.mean(rates)), 4), "mean_width": round(float(np.mean(widths)), 4),
                "answers": given, "lost": lost, "doubled": doubled, "people_dropped": dropped,
                "next_pair_ms": {
                    "median": round(median(waits), 1), "p95": round(float(np.quantile(waits, 0.95)), 1),
                },
            }  # fmt: skip
            RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
