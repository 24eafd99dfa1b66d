"""Runs whole rounds of screening on the embedded model: sample, review in Chromium, close, train, again.

    python benchmarks/screening_rounds.py [--rounds 3] [--samples 500] [--by-hand 60] [--folder runs/rounds]

Everything goes through the commands that a user has, and through the page. Prompts are things in a colour
("blue apple"), which the model seldom obeys. The scripted reviewer sees what the page shows, and presses
its keys: it keeps an image that has the colour (`has_colour`), whose outline is among the ten
nearest to that of the thing in the base set, and that the rules of `pellucid data filter` pass. With --by-
hand a person judges so many first, under any name but "script", at the address that is printed; --overlap
gives some of those to the script as well. A last round is sampled and reviewed but not trained on, so that
the effect of the last training is seen too. What is done is not done again after a stop.

Writes benchmarks/results/screening_rounds.json: acceptance by round with Wilson's interval, agreement, pace,
and how often the loader drew kept images against others.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from playwright.sync_api import Page, Response, sync_playwright

from pellucid.data.datasets import shards_of
from pellucid.data.filters.measures import measure
from pellucid.data.filters.rules import Candidate, Rules, reason_to_drop
from pellucid.data.recolouring import COLOURS
from pellucid.data.records import Record
from pellucid.data.shards import decoded, read_shard
from pellucid.evaluation.metrics import nearest_rank, premultiplied_small, rgba_tensor
from pellucid.evaluation.words.measures import has_colour
from pellucid.rgba.types import RGBA8
from pellucid.training.recipe import read_recipe
from pellucid.training.stages.registry import make_stage
from pellucid.training.stages.text_to_image import TextToImageStage

RESULT = Path(__file__).parent / "results" / "screening_rounds.json"
RECIPE = Path(__file__).parent.parent / "recipes" / "mini-rounds.toml"
SETS = ("fluent-3d", "noto")
GROUPS = ("animals", "food", "objects", "travel", "activities")
NEAREST = 10
WEIGHT_BATCHES = 400
ADAPTER = Path("export/adapter/screened.safetensors")


class Judge:
    """Decides as the scripted reviewer does."""

    def __init__(self) -> None:
        samples = [sample for name in SETS for shard in shards_of(name) for sample in read_shard(shard)]
        samples = [sample for sample in samples if sample[0].group in GROUPS]
        self.groups = {record.label: record.group for record, _ in samples}
        self.labels = [record.label for record, _ in samples]
        self.known = torch.cat([outline(rgba) for _, rgba in samples])

    def prompts(self) -> list[str]:
        """Returns a line for each colour of each thing: prompt, weight, class."""
        return [
            f"{colour} {label}\t1\t{group}"
            for label, group in sorted(self.groups.items())
            for colour in COLOURS
        ]

    def keeps(self, rgba: RGBA8, prompt: str) -> bool:
        """Tells whether an image, uint8 (h, w, 4), is kept."""
        colour, _, label = prompt.partition(" ")
        candidate = Candidate(rgba, Record(name="seen", label=prompt), measure(rgba))
        if reason_to_drop(candidate, Rules()) is not None or not has_colour(rgba, colour):
            return False
        return nearest_rank(outline(rgba), self.known, self.labels, [label])[0] <= NEAREST


def outline(rgba: RGBA8) -> torch.Tensor:
    """Returns an image's alpha as a black one, (1, 4, 32, 32)."""
    return premultiplied_small(rgba_tensor(rgba)) * torch.tensor([0.0, 0, 0, 1]).view(1, 4, 1, 1)


class Reviewer:
    """Looks at the page in Chromium and presses its keys."""

    def __init__(self, page: Page, address: str, judge: Judge) -> None:
        self.page, self.address, self.judge = page, address, judge
        self.dealt: list[dict] = []
        self.said: list[dict] = []
        page.on("response", self._hear)
        page.goto(address)
        page.get_by_label("Your name").fill("script")
        page.get_by_role("button", name="Begin", exact=True).click()

    def _hear(self, response: Response) -> None:
        if response.url.endswith("api/deal") and response.ok:
            known = {(item["task"], item["samples"][0]["id"]) for item in self.dealt}
            items = response.json()["items"]
            self.dealt += [item for item in items if (item["task"], item["samples"][0]["id"]) not in known]
        if response.url.endswith("api/verdicts") and response.ok:
            self.said += json.loads(response.request.post_data or "{}")["entries"]

    def work(self) -> int:
        """Judges until nothing is left; returns how many images."""
        count = 0
        while self._next(count):
            item = self.dealt[count]
            (sample,) = item["samples"]  # the round groups none
            shown = self.page.locator(".stage canvas").get_attribute("aria-label") or ""
            if sample["prompt"] not in shown:
                raise RuntimeError(f"Expected {sample['prompt']!r} on the page, found {shown!r}.")
            content = self.page.request.get(f"{self.address}api/images/{sample['id']}").body()
            keep = self.judge.keeps(decoded(content), sample["prompt"])
            self.page.keyboard.press("k" if keep else "x")
            count += 1
        self.page.wait_for_timeout(1000)
        wanted, said = (
            [each["samples"][0]["id"] for each in self.dealt],
            [each["sample"] for each in self.said],
        )
        if wanted != said:
            raise RuntimeError(
                f"Expected verdicts on {len(wanted)} images in their order, found {len(said)}."
            )
        return count

    def _next(self, count: int) -> bool:
        """Waits for an image; false at the end of the queue."""
        self.page.wait_for_selector(".stage canvas[data-ready=true], h2:has-text('Nothing is left')")
        for _ in range(100):
            if len(self.dealt) > count or self.page.locator("h2:has-text('Nothing is left')").count():
                return len(self.dealt) > count
            self.page.wait_for_timeout(100)
        return False


def run(*words: object) -> str:
    """Runs a command of the program and returns the last line that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pellucid", *map(str, words)], check=True, stdout=subprocess.PIPE, text=True
    )
    return (done.stdout.strip().splitlines() or [""])[-1]


def review(folder: Path, judge: Judge, by_hand: int) -> None:
    """Serves the page, waits for a person's share, then lets the script judge the rest."""
    words = [sys.executable, "-m", "pellucid", "data", "rounds", "review", "--folder", str(folder), "--json"]
    with subprocess.Popen([*words, "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        address = str(json.loads(server.stdout.readline())["address"])
        if by_hand:
            print(f"judge {by_hand} images at {address}", flush=True)
        while _judged(folder) < by_hand:
            time.sleep(2)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            Reviewer(browser.new_page(), address, judge).work()
            browser.close()
        server.terminate()


def _judged(folder: Path) -> int:
    counts = _status(folder)[-1]["counts"]
    return sum(counts.values()) - counts["open"]


def _status(folder: Path) -> list[dict]:
    return json.loads(run("data", "rounds", "status", "--folder", folder, "--json"))["rounds"]


def drawn_by_round(recipe: Path) -> dict[str, dict[str, float]]:
    """Counts what the training's own loader draws: images and draws of each round, 0 is the base set."""
    stage = make_stage(read_recipe(recipe, "transparent"), torch.device("cpu"))
    assert isinstance(stage, TextToImageStage)
    records = stage.data.images.records[: stage.data.plain_count]
    draws: Counter[int] = Counter()
    for seed in range(WEIGHT_BATCHES):
        (index, _), _, _ = stage.data.batch(torch.Generator().manual_seed(seed))
        draws.update(records[place].round for place in index.tolist())
    images = Counter(record.round for record in records)
    base = draws[0] / images[0]
    return {
        str(number): {
            "images": count,
            "draws": draws[number],
            "draws_an_image_over_base": round(draws[number] / count / base, 3),
        }
        for number, count in sorted(images.items())
    }


def run_round(number: int, options: argparse.Namespace, judge: Judge, *, train: bool) -> dict:
    """Does what is left to do of one round and returns the loader's draws."""
    folder: Path = options.folder
    store = ("--folder", folder)
    known = _status(folder)
    if len(known) < number:
        data = SETS if number == 1 else ()
        settings = (
            "--samples",
            options.samples,
            "--keep",
            options.samples // 10,
            "--overlap",
            options.overlap,
        )
        run("data", "rounds", "new", *data, *settings, "--grouping", "none", "--gold", 0, *store)
        known = _status(folder)
    if known[-1]["state"] == "sampling":
        prompts = folder / "prompts.tsv"
        prompts.write_text("\n".join(judge.prompts()) + "\n")
        worn = ("--adapter", folder / f"train-{number - 1}" / ADAPTER) if number > 1 else ()
        choice = ("--prompts", prompts, "--licence", "MIT", "--batch-size", 20, *worn)
        run("data", "rounds", "sample", *choice, *store)
        known = _status(folder)
    if known[number - 1]["state"] == "open":
        review(folder, judge, options.by_hand)
        run("data", "rounds", "close", "--partial", "--recipe", options.recipe, *store)
    recipe = folder / f"round-{number:03d}" / "recipe.toml"
    if train:
        run("train", "transparent", "--config", recipe, "-o", folder / f"train-{number}")
    return drawn_by_round(recipe)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the rounds and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--by-hand", type=int, default=0)
    parser.add_argument("--overlap", type=float, default=0.1)
    parser.add_argument("--folder", type=Path, default=Path("runs/rounds"))
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    judge, started = Judge(), time.time()
    drawn = [
        run_round(number, options, judge, train=number <= options.rounds)
        for number in range(1, options.rounds + 2)
    ]
    result = {
        "command": "python benchmarks/screening_rounds.py",
        "options": {
            name: str(value) for name, value in vars(options).items() if name not in ("folder", "recipe")
        },
        "machine": platform.machine(),
        "minutes": round((time.time() - started) / 60, 1),
        "rounds": [
            {**row, "drawn_by_loader": counts}
            for row, counts in zip(_status(options.folder), drawn, strict=True)
        ],
    }
    # the folder's place on this machine says nothing to others
    text = json.dumps(result, indent=1).replace(f"{options.folder.resolve()}/", "")
    RESULT.write_text(f"{text}\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
