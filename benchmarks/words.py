"""Which words the embedded model obeys: `python benchmarks/words.py --output words.json --sheets FOLDER`.

No judge looks at the images; every kind has a measure of its own:
colours: the median of opaque, coloured pixels lies within 30 degrees of the hue in OKLCH; for black, white,
  grey and brown the median lightness within 0.2, and for the first three the median chroma below 0.07.
clear materials (glass, crystal, ice, ghostly, transparent): half of the pixels inside the silhouette have an
  alpha under 200. Solid ones: most have more, and their hue, chroma and lightness are those that the program
  of training images gives the subject, within 35 degrees, 0.07 and 0.15.
effects (smoke, fog, glow …): as clear materials.
counts: as many connected parts of alpha over 0.4, each at least a hundredth of the canvas.
pairs: both subjects among the five nearest training images of the two largest connected parts, cut out.
paraphrases: the subject among the five nearest training images. The captions are keywords in sentences that
  no training caption has.
Held-out pairs of words are those that no program shows.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from colours import CHROMA, obeys
from PIL import Image

import pellucid
from pellucid.data.composing.holding_out import held_out, held_out_pair
from pellucid.data.composing.materials import MATERIALS, made_of
from pellucid.data.composing.subjects import noun_of
from pellucid.data.composing.words import with_article
from pellucid.data.datasets import shards_of
from pellucid.data.recolouring import COLOURS, GREY_CHROMA
from pellucid.data.records import Record, captions
from pellucid.data.shards import resized
from pellucid.data.spread import evenly
from pellucid.evaluation.metrics import nearest_rank, rgba_tensor
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.compositing import flatten
from pellucid.rgba.oklab import to_oklab
from pellucid.training.data.subjects import default_images

CLEAR = 200
SIZE_PX, AT_ONCE, SEED = 128, 16, 100
COLOUR_SUBJECTS = (
    "apple", "automobile", "cat face", "teapot", "umbrella", "elephant", "guitar", "key", "dog",
    "balloon", "bicycle", "hot beverage", "backpack", "fish", "frog", "cow", "pig", "horse", "bird",
    "butterfly", "mushroom", "rose", "tulip", "banana", "lemon", "pear", "grapes", "cupcake", "top hat",
    "jeans", "dress", "t-shirt", "running shoe", "crown", "gem stone", "bell", "telephone", "camera",
    "chair", "sailboat",
)  # fmt: skip
MATERIAL_SUBJECTS = (
    "cat", "dog", "fish", "key", "apple", "guitar", "teapot", "horse", "bell", "mushroom", "frog",
    "elephant",
)  # fmt: skip
COUNTED = ("apple", "cat face", "balloon", "fish", "mushroom", "key", "banana", "star", "bird", "bell")
NUMBERS = {"two": 2, "three": 3, "four": 4}
PAIRED = ("apple", "cat face", "umbrella", "guitar", "key", "fish", "mushroom", "bell", "camera", "frog")
EFFECTS = (
    "smoke", "a puff of smoke", "a plume of grey smoke", "black smoke", "fog", "mist", "foggy", "steam",
    "a cloud", "bubbles", "a soap bubble", "a clear glass", "an empty glass", "a wine glass",
    "a glass of milk", "a glass vase", "a glass bottle", "ice", "an ice cube", "a glowing light",
    "a red glow", "a light beam", "a candle flame", "fire", "blue fire", "a ghost", "a jellyfish",
    "a window", "a magnifying glass", "wind", "a droplet", "a splash of water", "sparkles",
    "a crystal ball", "eyeglasses", "a veil", "a campfire with smoke", "a cat in fog", "a glowing lamp",
    "a cup of coffee with steam",
)  # fmt: skip
FORMS = (
    "something like {a}", "my {n}", "{a} with no background", "please draw {a}",
    "nice {n} for a website", "one single {n}", "{a}, clean cutout",
)  # fmt: skip
"""Sentences that no program and no set writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A prompt, and how its image is judged."""

    prompt: str
    obeyed: Callable[[np.ndarray], bool]
    """Takes uint8 (h, w, 4)."""
    held_out: bool = False


def median_colour(rgba: np.ndarray) -> tuple[float, float, float] | None:
    """Returns lightness, chroma and hue in degrees of the pixels that are not clear; None without any."""
    lab = to_oklab(rgba[rgba[..., 3] >= CLEAR][:, :3] / 255)
    if len(lab) == 0:
        return None
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    coloured = lab[chroma >= GREY_CHROMA]
    hue = np.degrees(np.arctan2(np.median(coloured[:, 2]), np.median(coloured[:, 1]))) if len(coloured) else 0
    return float(np.median(lab[:, 0])), float(np.median(chroma)), float(hue)


def apart(first: float, second: float) -> float:
    """Returns the angle between two hues, 0 to 180 degrees."""
    return abs((first - second + 180) % 360 - 180)


def clear_share(rgba: np.ndarray) -> float:
    """Returns the share, 0 to 1, of pixels inside the silhouette whose alpha is under 200."""
    inside = cv2.erode((rgba[..., 3] > 12).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return float((rgba[..., 3][inside] < CLEAR).mean()) if inside.any() else 0.0


def is_clear(rgba: np.ndarray) -> bool:
    """Tells whether an image is see-through in at least half of its silhouette."""
    return clear_share(rgba) >= 0.5


def looks_like(rgba: np.ndarray, wanted: np.ndarray) -> bool:
    """Tells whether an image is opaque and has the colours of another one, which shows the material."""
    found, known = median_colour(rgba), median_colour(wanted)
    if found is None or known is None or is_clear(rgba):
        return False
    # a hue says nothing where there is hardly any colour
    hue = known[1] < CHROMA or apart(found[2], known[2]) < 35
    return hue and abs(found[1] - known[1]) < 0.07 and abs(found[0] - known[0]) < 0.15


def parts(rgba: np.ndarray) -> list[np.ndarray]:
    """Cuts out the connected parts of alpha over 0.4, the largest first; crumbs are left out."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((rgba[..., 3] > 102).astype(np.uint8))
    order = sorted(range(1, count), key=lambda index: -stats[index, cv2.CC_STAT_AREA])
    return [
        np.where((labels == index)[..., None], rgba, 0)
        for index in order
        if stats[index, cv2.CC_STAT_AREA] >= rgba.shape[0] * rgba.shape[1] / 100
    ]


def filled(rgba: np.ndarray) -> np.ndarray:
    """Cuts an image to what is visible and lays it on a square, so that size and place count for nothing."""
    rows, columns = np.nonzero(rgba[..., 3] > 25)
    if len(rows) == 0:
        return np.zeros((64, 64, 4), np.uint8)
    cut = rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    side = max(cut.shape[:2])
    square = np.zeros((side, side, 4), np.uint8)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return cv2.resize(square, (64, 64), interpolation=cv2.INTER_AREA)


class Known:
    """The plain images of the sets, by subject."""

    def __init__(self) -> None:
        samples = [s for name in ("fluent-3d", "noto") for s in resized(shards_of(name), SIZE_PX)]
        self.records: list[Record] = [record for record, _ in samples]
        self.images = [rgba for _, rgba in samples]
        groups = sorted({record.group for record in self.records})
        self.plain = default_images(self.records, groups, 0)
        self.labels = [record.label for record in self.records]
        self._whole = torch.cat([rgba_tensor(rgba) for rgba in self.images])
        self._filled = torch.cat([rgba_tensor(filled(rgba)) for rgba in self.images])

    def image(self, label: str) -> np.ndarray:
        """Returns the plain image of a subject, by its label or its everyday noun."""
        names = ((index, {self.labels[index], noun_of(self.labels[index])}) for index in self.plain)
        return self.images[next(index for index, known in names if label in known)]

    def labels_of(self, word: str) -> list[str]:
        """Returns the labels of all subjects of that label or everyday noun."""
        return sorted({label for label in self.labels if word in (label, noun_of(label))})

    def shows(self, rgba: np.ndarray, labels: Sequence[str], *, cut_out: bool = False) -> bool:
        """Tells whether one of the labels is among the five nearest images."""
        found = rgba_tensor(filled(rgba) if cut_out else rgba)
        images = self._filled if cut_out else self._whole
        return any(nearest_rank(found, images, self.labels, [label])[0] <= 5 for label in labels)

    def paraphrases(self, count: int) -> list[Question]:
        """Makes captions of keywords in sentences that no training caption has."""
        subjects_of: dict[str, list[str]] = {}
        said = {text for record in self.records for text in captions(record, plain=True)}
        for index in self.plain:
            for word in self.records[index].keywords:
                subjects_of.setdefault(word, []).append(self.labels[index])
        # a keyword of many subjects names none of them
        words = sorted(w for w, labels in subjects_of.items() if len(labels) <= 3 and len(w) > 3)
        chosen = [words[index] for index in evenly(len(words), count)]
        questions: list[Question] = []
        for number, word in enumerate(chosen):
            article = "an" if word[0].lower() in "aeiou" else "a"
            text = FORMS[number % len(FORMS)].format(n=word, a=f"{article} {word}")
            if text in said:
                continue
            labels = [*subjects_of[word], word]
            known = [label for label in labels if label in self.labels]
            questions.append(Question(prompt=text, obeyed=lambda rgba, known=known: self.shows(rgba, known)))
        return questions


def make_questions(known: Known, n_paraphrases: int) -> dict[str, list[Question]]:
    """Returns all questions by kind."""
    return {
        "colours": [
            Question(
                prompt=with_article(f"{colour} {subject}"),
                obeyed=lambda rgba, colour=colour: obeys(rgba, colour),
                held_out=held_out(subject, colour),
            )
            for subject, colour in product(COLOUR_SUBJECTS, COLOURS)
        ],
        "materials": [
            Question(
                prompt=with_article(f"{material.adjectives[0]} {subject}"),
                obeyed=is_clear if material.translucent else _like(known, subject, name),
                held_out=held_out(subject, name),
            )
            for subject, (name, material) in product(MATERIAL_SUBJECTS, MATERIALS.items())
        ],
        "effects": [Question(prompt=prompt, obeyed=is_clear) for prompt in EFFECTS],
        "counts": [
            Question(
                prompt=f"{number} {_plural(subject)}",
                obeyed=lambda rgba, count=count: len(parts(rgba)) == count,
                held_out=held_out(subject, number),
            )
            for subject, (number, count) in product(COUNTED, NUMBERS.items())
        ],
        "pairs": [
            Question(
                prompt=f"{with_article(first)} and {with_article(second)}",
                obeyed=lambda rgba, pair=(first, second): _both(known, rgba, pair),
                held_out=held_out_pair(first, second),
            )
            for place, first in enumerate(PAIRED)
            for second in PAIRED[place + 1 :]
        ],
        "paraphrases": known.paraphrases(n_paraphrases),
    }


def _plural(subject: str) -> str:
    return {"fish": "fish"}.get(subject, f"{subject}s")


def _like(known: Known, label: str, material: str) -> Callable[[np.ndarray], bool]:
    wanted = made_of(known.image(label), material, np.random.default_rng(0))
    return lambda rgba: looks_like(rgba, wanted)


def _both(known: Known, rgba: np.ndarray, pair: tuple[str, str]) -> bool:
    found = parts(rgba)[:2]
    if len(found) < 2:
        return False
    shown = [[known.shows(part, known.labels_of(word), cut_out=True) for word in pair] for part in found]
    return (shown[0][0] and shown[1][1]) or (shown[0][1] and shown[1][0])


def answers(pipe: TransparentPipeline, questions: Sequence[Question]) -> list[np.ndarray]:
    """Generates an image for each question, some together."""
    images: list[np.ndarray] = []
    for start in range(0, len(questions), AT_ONCE):
        prompts = [question.prompt for question in questions[start : start + AT_ONCE]]
        scenes = pipe.generate(prompts, seed=[SEED] * len(prompts), batch_size=AT_ONCE)
        images += [scene.layers[0].image for scene in scenes]
    return images


def scores(questions: Sequence[Question], found: Sequence[bool]) -> Mapping[str, object]:
    """Returns shares of what was obeyed, held-out pairs of words apart."""
    rows: dict[str, object] = {}
    for name, wanted in (("trained", False), ("held out", True)):
        kept = [ok for question, ok in zip(questions, found, strict=True) if question.held_out == wanted]
        rows[name] = {"obeyed": sum(kept), "of": len(kept)}
    rows["failed"] = [q.prompt for q, ok in zip(questions, found, strict=True) if not ok][:60]
    return rows


def sheet(
    questions: Sequence[Question],
    images: Sequence[np.ndarray],
    found: Sequence[bool],
    path: Path,
    columns: int = 12,
) -> None:
    """Writes the images over grey, each framed in green where it obeyed and in red where not."""
    tiles: list[np.ndarray] = []
    for question, image, obeyed in zip(questions, images, found, strict=True):
        small = cv2.resize(flatten(image, "#8c8c8c"), (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
        small[:3] = small[-3:] = (40, 200, 60) if obeyed else (220, 40, 40)
        cv2.putText(small, question.prompt[:26], (2, 124), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (255, 255, 255), 1)
        tiles.append(small)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[at : at + columns], axis=1) for at in range(0, len(tiles), columns)]
    Image.fromarray(np.concatenate(rows)).save(path)


def main() -> None:
    """Asks all questions and writes scores and sheets."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="mini", help="folder in diffusers' layout")
    parser.add_argument("--output", type=Path, required=True, help="JSON")
    parser.add_argument("--sheets", type=Path, help="folder for a PNG of each kind")
    parser.add_argument("--kind", action="append", help="only these kinds")
    parser.add_argument("--paraphrases", type=int, default=300)
    options = parser.parse_args()
    pipe, known = pellucid.load(options.model), Known()
    results: dict[str, object] = {"model": Path(options.model).name, "seed": SEED}
    for kind, questions in make_questions(known, options.paraphrases).items():
        if options.kind and kind not in options.kind:
            continue
        images = answers(pipe, questions)
        found = [question.obeyed(image) for question, image in zip(questions, images, strict=True)]
        results[kind] = scores(questions, found)
        print(kind, json.dumps({k: v for k, v in results[kind].items() if k != "failed"}), flush=True)  # type: ignore[attr-defined]
        if options.sheets:
            options.sheets.mkdir(parents=True, exist_ok=True)
            sheet(questions, images, found, options.sheets / f"{kind}.png")
    options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
