"""Writes the tables of docs/files-by-strangers.md: `python benchmarks/corpus_page.py`.

Figures are those of `python benchmarks/corpus.py`, and with `--programs`.
"""

import json
import re
from pathlib import Path

RESULTS, PAGE = Path("benchmarks/results"), Path("docs/files-by-strangers.md")
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
NEAR = 3.0
"""Levels within which a program that counts in 8 bits is right."""
KINDS = {
    "opacity": r"(subject|folder) opacity",
    "fill opacity": r"(subject|folder) fill",
    "hidden layers and groups": r"(subject|folder) hidden",
    "masks of layers": r"subject mask",
    "masks of groups": r"folder mask",
    "clipping": r".*clipped",
    "empty layers, empty and nested groups": r"nested|layer without|group without",
    "places": r"layer (before|beyond|off|larger)",
    "modes of layers": r"layer ",
    "isolated groups with a mode, and passing ones": r"group ",
    "names": r"name ",
    "isolation, masking layers": r"masking|hidden masking|half transparent|no word",
    "depths, packing, order and other liberties": r"",
}
"""In the order in which they are tried: the first that fits a feature is its kind."""
PROGRAMS = ("Krita", "GIMP", "ImageMagick", "psd-tools")


def kind_of(feature: str) -> str:
    """Returns the kind of a feature."""
    return next(kind for kind, pattern in KINDS.items() if re.match(pattern, feature))


def most(values: list[float | None]) -> str:
    """Returns the largest of some differences; a document that is refused has none."""
    known = [value for value in values if value is not None]
    return f"{max(known):.2f}" if known else "refused"


def rows(ending: str, ours: dict, programs: dict) -> list[str]:
    """Returns the rows of one format."""
    alone, both, theirs = ours["alone"][ending], ours["pairs"][ending], programs["off"][ending]
    pairs = [(first, second, far) for first, others in both.items() for second, far in others.items()]
    found: list[str] = []
    for kind in KINDS:
        features = [feature for feature in alone if kind_of(feature) == kind]
        if not features:
            continue
        far = [far for first, second, far in pairs if kind in (kind_of(first), kind_of(second))]
        cells = [kind, str(len(features)), most([alone[feature] for feature in features])]
        cells += [str(len(far)), most(far)]
        cells += [agreement([theirs[feature].get(name, "") for feature in features]) for name in PROGRAMS]
        found.append("| " + " | ".join(cells) + " |")
    return found


def agreement(values: list) -> str:
    """Returns in how many features a program is right; empty for one that does not read the format."""
    known = [value for value in values if value != ""]
    right = sum(value is not None and value[0] <= NEAR for value in known)
    return f"{right} of {len(known)}" if known else ""


def deviations(name: str, programs: dict) -> str:
    """Returns the kinds in which a program is off, each with its worst feature and how far that is off."""
    worst: dict[str, tuple[list[float], str]] = {}
    for ending, features in programs["off"].items():
        for feature, values in features.items():
            value = values.get(name) or [0, 0]
            kind = f"{kind_of(feature)}, {ending}"
            if value[0] > NEAR and [value[1], value[0]] > worst.get(kind, ([0, 0], ""))[0]:
                worst[kind] = [value[1], value[0]], feature
    found = [f"{kind} {far[1]:.0f} ({far[0]:.0f}, {feature})" for kind, (far, feature) in worst.items()]
    return f"- **{name}**: {'; '.join(found)}."


def main() -> None:
    """Puts the tables between the marks of the page."""
    ours = json.loads((RESULTS / "corpus.json").read_text())
    programs = json.loads((RESULTS / "corpus-programs.json").read_text())
    lines: list[str] = []
    for ending, title in (("psd", "PSD and PSB"), ("ora", "OpenRaster")):
        lines += [f"**{title}**", ""]
        lines += [
            f"| feature | kinds | alone | pairs | in pairs | {' | '.join(PROGRAMS)} |",
            "|---" * 9 + "|",
        ]
        lines += [*rows(ending, ours, programs), ""]
    images = [far for name, far in ours["images"].items() if not name.startswith("avif")]
    lossy = [far for name, far in ours["images"].items() if name.startswith("avif")]
    drawn = list(ours["drawn"].values())
    lines += [
        f"Of {len(drawn)} documents with a layer that is told and not stored "
        f"{sum(far is None for far in drawn)} are refused, and the furthest is {most(drawn)} levels off.",
        "",
        f"Of {len(images)} images (PNG, TIFF, lossless WebP, flat PSD) the furthest is "
        f"{max(images):.2f} levels off, "
        f"of {len(lossy)} AVIFs at the best quality {max(lossy):.1f}.",
        "",
        "Where others deviate, by the worst feature of a kind (largest difference, 99th percentile):",
        "",
        *(deviations(name, programs) for name in PROGRAMS),
    ]
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
