"""Composed images: they show what their captions say, are the same for a seed, and none is held out."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from pellucid.apps.cli import cli
from pellucid.data.composing.composer import ALL_KINDS, Composer, compose_all
from pellucid.data.composing.holding_out import held_out, held_out_pair
from pellucid.data.composing.materials import MATERIALS, made_of
from pellucid.data.composing.subjects import vocabulary
from pellucid.data.composing.wordnet import WordNet
from pellucid.data.composing.words import NUMBERS, plural, with_article
from pellucid.data.recolouring import COLOURS, GREY_CHROMA
from pellucid.data.records import Record, captions
from pellucid.data.shards import Sample, read_packed, read_shard, write_shard
from pellucid.errors import InputError
from pellucid.rgba.oklab import to_oklab
from pellucid.rgba.types import RGBA8

PX = 64
THINGS = (
    "cat",
    "dog",
    "red apple",
    "old key",
    "package",
    "automobile",
    "hot beverage",
    "star",
    "owl",
    "drum",
    "fox",
)


def shaded(kind: int, rgb: tuple[int, int, int] = (220, 60, 40)) -> RGBA8:
    """A disc or a box, lit from the top left, with a darker spot."""
    y, x = np.mgrid[:PX, :PX] - PX / 2 + 0.5
    light = (0.8 - (x + y) / (3 * PX)).clip(0.3, 1)[..., None]
    colour = np.array(rgb) * light
    colour[np.hypot(x + 8, y + 4) < 5] *= 0.4
    far = np.hypot(x, y) if kind % 2 else np.maximum(np.abs(x), np.abs(y) * 1.4)
    alpha = (255 * (PX * 0.42 - far).clip(0, 1))[..., None]
    return np.concatenate([colour, alpha], axis=2).astype(np.uint8)


def record(label: str, style: str) -> Record:
    licence = "MIT" if style == "3D icon" else "Apache-2.0"
    return Record(
        name=f"{style}-{label}",
        label=label,
        keywords=("round",),
        style=style,
        group="objects",
        licence=licence,
    )


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [
        (record(label, style), shaded(number))
        for style in ("3D icon", "flat icon")
        for number, label in enumerate(THINGS)
    ]


def made(samples: list[Sample], count: int, *kinds: str, seed: int = 0) -> list[Sample]:
    return list(compose_all(samples, count, PX, seed, kinds=kinds))


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_kind_makes_images_of_several_captions(samples: list[Sample], kind: str) -> None:
    for each, rgba in made(samples, 20, kind):
        assert (rgba.shape, rgba.dtype) == ((PX, PX, 4), np.uint8)
        assert (rgba[..., 3] > 0).any()
        assert not rgba[rgba[..., 3] == 0].any() or kind in ("plain", "colours")
        assert len(set(each.captions)) == len(each.captions) >= 2
        assert each.label in (each.captions[0], each.captions[0].partition(",")[0])
        assert (each.group, each.style, each.source) == ("objects", "", "pellucid compose")
        assert each.licence in ("MIT", "Apache-2.0")
        endings = {caption.endswith(", flat icon") for caption in each.captions}
        assert endings == {each.licence == "Apache-2.0"}


def test_a_seed_gives_the_same_and_another_one_others(samples: list[Sample]) -> None:
    first, again, other = (made(samples, 40, seed=seed) for seed in (1, 1, 2))
    assert [each for each, _ in first] == [each for each, _ in again]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, again, strict=True))
    assert [each.captions for each, _ in first] != [each.captions for each, _ in other]


def test_an_unknown_kind_and_an_empty_set_are_refused(samples: list[Sample]) -> None:
    with pytest.raises(InputError, match="sculptures"):
        made(samples, 1, "sculptures")
    with pytest.raises(InputError, match="too few"):
        made([], 1, "counts")


def parts(rgba: RGBA8) -> int:
    count, _, areas, _ = cv2.connectedComponentsWithStats((rgba[..., 3] > 64).astype(np.uint8))
    return sum(area > 4 for area in areas[1:, cv2.CC_STAT_AREA]) if count > 1 else 0


def test_counts_have_as_many_parts_unless_they_may_touch(samples: list[Sample]) -> None:
    right = total = 0
    for each, rgba in made(samples, 200, "counts"):
        number = next(n for n, word in NUMBERS.items() if each.captions[0].startswith(word))
        # outlines of neon and stripes of ghosts fall apart
        if not re.search("neon|ghost|spectral", each.captions[0]):
            total += 1
            right += parts(rgba) == number
    assert right / total > 0.8


def test_colours_are_obeyed(samples: list[Sample]) -> None:
    for each, rgba in made(samples, 60, "colours"):
        name = next(word for word in COLOURS if word in each.captions[0].split())
        lab = to_oklab(rgba[rgba[..., 3] > 250][:, :3] / 255)
        a, b = np.median(lab[:, 1]), np.median(lab[:, 2])
        if COLOURS[name].chroma == 0:
            assert np.hypot(a, b) < GREY_CHROMA
        else:
            assert abs((np.degrees(np.arctan2(b, a)) - COLOURS[name].hue + 180) % 360 - 180) < 15
        assert abs(np.median(lab[:, 0]) - COLOURS[name].lightness) < 0.1


def test_things_lie_as_the_sentence_says() -> None:
    # of this group, so that they keep their colours, by which they are told apart
    pair = [
        (Record(name="a", label="cat", style="icon", group="people"), shaded(1, (230, 20, 20))),
        (Record(name="b", label="dog", style="icon", group="people"), shaded(2, (20, 20, 230))),
    ]
    assert not held_out_pair("cat", "dog")
    seen: set[str] = set()
    for each, rgba in compose_all(pair, 200, PX, 0, kinds=("pairs",)):
        said = re.fullmatch(r"(?:an? )?(cat|dog) (.*?) (?:an? )?(cat|dog)", each.captions[0])
        if not said or said[1] == said[3]:
            continue
        solid = rgba[..., 3] > 250
        red, blue = (solid & (rgba[..., a].astype(int) - rgba[..., b] > 40) for a, b in ((0, 2), (2, 0)))
        (y0, x0), (y1, x1) = (np.argwhere(part).mean(axis=0) for part in (red, blue))
        right, down = (x1 - x0, y1 - y0) if said[1] == "cat" else (x0 - x1, y0 - y1)
        seen.add(said[2])
        if "left of" in said[2]:
            assert right > PX / 4
        if "right of" in said[2]:
            assert right < -PX / 4
        if said[2] in ("above", "on", "on top of", "standing on", "over"):
            assert down > PX / 5
        if said[2] in ("below", "under", "underneath"):
            assert down < -PX / 5
    assert {"and", "left of", "above", "behind"} <= seen


@pytest.mark.parametrize("name", MATERIALS)
def test_materials_keep_the_outline_and_only_some_are_translucent(name: str) -> None:
    before = shaded(1)
    after = made_of(before, name, np.random.default_rng(0))
    inside = cv2.erode((before[..., 3] == 255).astype(np.uint8), np.ones((9, 9))) > 0
    mean = after[inside][:, 3].mean()
    if not MATERIALS[name].translucent:
        assert np.array_equal(after[..., 3], before[..., 3])
        return
    assert 20 < mean < 160
    assert (after[inside][:, 3] < 200).mean() > 0.8


def test_glass_takes_a_tint() -> None:
    blue = made_of(shaded(1), "glass", np.random.default_rng(0), "blue")[20:44, 20:44].astype(int)
    assert np.median(blue[..., 2] - blue[..., 0]) > 40


def test_nothing_that_is_held_out_is_made(samples: list[Sample]) -> None:
    nouns = [vocabulary().words.get(label, (label,))[0] for label in THINGS]
    words = {word: name for name, row in MATERIALS.items() for word in (*row.adjectives, *row.phrases)}
    seen = 0
    for each, _ in made(samples, 600, *ALL_KINDS[1:]):
        said = each.captions[0]
        those = [noun for noun in nouns if re.search(rf"\b(?:{noun}|{plural(noun)})\b", said)]
        assert those
        if len(those) == 2:
            seen += 1
            assert not held_out_pair(*those)
            continue
        for number in NUMBERS.values():
            assert not (said.startswith(f"{number} ") and held_out(those[0], number))
        for word, name in words.items():
            assert not (word in said and held_out(those[0], name))
        for colour in COLOURS:
            assert not (colour in said.split() and held_out(those[0], colour))
    assert seen > 20
    # measured on the set itself: what a codec is scored on is never composed of
    flagged = [label for label in THINGS if record(label, "").held_out]
    assert not [
        each for each, _ in made(samples, 200, "pairs") if any(label in each.label for label in flagged)
    ]


def test_a_tenth_of_pairs_is_held_out_in_either_order_and_by_either_name() -> None:
    words = [f"thing {number}" for number in range(40)]
    flags = [held_out_pair(a, b) for a in words for b in words if a != b]
    assert 0.06 < np.mean(flags) < 0.14
    assert all(held_out_pair(a, b) == held_out_pair(b, a) for a in words[:9] for b in words[:9])
    assert held_out_pair("automobile", "cat") == held_out_pair("car", "cat")
    for colour in COLOURS:
        assert held_out("automobile", colour) >= held_out("car", colour)


@pytest.mark.parametrize(
    ("noun", "several"),
    [
        ("cat", "cats"), ("polar bear", "polar bears"), ("cup of coffee", "cups of coffee"),
        ("mouse", "mice"), ("wolf", "wolves"), ("cherry", "cherries"), ("fox", "foxes"), ("fish", "fish"),
        ("bus from the front", "buses from the front"), ("key", "keys"),
        ("kitchen knife", "kitchen knives"), ("policeman", "policemen"), ("bus", "buses"), ("grapes", None),
        ("face blowing a kiss", None), ("cloud with rain", None), ("person in suit", None), ("8 ball", None),
    ],
)  # fmt: skip
def test_plurals(noun: str, several: str | None) -> None:
    assert plural(noun) == several


@pytest.mark.parametrize(
    ("phrase", "asked"),
    [
        ("apple", "an apple"), ("cat", "a cat"), ("unicorn", "a unicorn"), ("hourglass", "an hourglass"),
        ("scissors", "scissors"), ("umbrella", "an umbrella"), ("ufo", "a ufo"), ("butter", "butter"),
        ("orange cat made of glass", "an orange cat made of glass"), ("cup of coffee", "a cup of coffee"),
    ],
)  # fmt: skip
def test_articles(phrase: str, asked: str) -> None:
    assert with_article(phrase) == asked


def test_plain_images_come_once_each_with_everyday_words(samples: list[Sample]) -> None:
    plain = {each.captions[0]: each for each, _ in made(samples, 900, "plain")}
    assert len(plain) == len(samples)
    cup = plain["hot beverage"]
    assert {"a cup of coffee", "a hot cup of coffee", "coffee", "a hot beverage"} <= set(cup.captions)
    assert cup.label == "hot beverage"
    assert len(cup.captions) <= 24
    assert plain["hot beverage, flat icon"].label == "hot beverage"


def test_plain_images_leave_room_for_others(samples: list[Sample]) -> None:
    own = sum(each.label in THINGS for each, _ in made(samples, 40))
    assert own == 10


def test_wordnet_gives_synonyms_kinds_and_short_definitions() -> None:
    index = (
        "  1 licence\nviolin n 1 2 @ ~ 1 1 00000002\nfiddle n 1 1 @ 1 0 00000002\n"
        "string_thing n 1 0 1 0 00000001\n"
    )
    data = (
        '  1 licence\n00000001 06 n 01 string_thing 0 000 | a thing with strings; "of music"\n'
        "00000002 06 n 02 violin 0 fiddle 0 001 @ 00000001 n 0000 | bowed "
        "instrument (of four strings) held by the chin\n"
    )
    wordnet = WordNet(index, data)
    meaning = wordnet.meaning("violin", "objects")
    assert meaning
    assert meaning.words == ("violin", "fiddle")
    assert meaning.definition == "bowed instrument held by the chin"
    assert wordnet.names("string thing", "violin", "objects")
    assert not wordnet.names("smallest", "violin", "objects")
    assert wordnet.meaning("violin", "animals") is None
    sample = (Record(name="v", label="violin", style="icon", group="objects"), shaded(1))
    [(each, _)] = compose_all([sample], 1, PX, 0, kinds=("plain",), wordnet=wordnet)
    assert {"a violin", "a fiddle", meaning.definition} <= set(each.captions)
    assert "WordNet" in each.attribution


def test_captions_round_trip_and_old_records_keep_their_bytes(tmp_path: Path) -> None:
    old = record("cat", "icon")
    assert "captions" not in old.to_json()
    new = Record(name="two", label="two cats", captions=("two cats", "a pair of cats"))
    write_shard([(new, shaded(1))], tmp_path / "one.tar")
    [(read, _)] = read_shard(tmp_path / "one.tar")
    assert read == new
    assert captions(read, plain=False) == captions(read, plain=True) == ["two cats", "a pair of cats"]


def test_workers_write_what_one_writes(samples: list[Sample], tmp_path: Path) -> None:
    write_shard(samples, tmp_path / "set.tar")
    command = [
        "data",
        "compose",
        str(tmp_path / "set.tar"),
        "--count",
        "9",
        "--size-px",
        str(PX),
        "--seed",
        "3",
    ]
    for workers in ("1", "2"):
        run = CliRunner().invoke(
            cli, [*command, "-o", str(tmp_path / f"by{workers}.tar"), "--workers", workers]
        )
        assert run.exit_code == 0, run.output
        assert "9 images" in run.output
    alone = list(read_packed(tmp_path / "by1.tar"))
    together = [each for part in (0, 1) for each in read_packed(tmp_path / f"by2-00000{part}.tar")]
    assert alone == together


def test_groups_and_kinds_can_be_chosen(samples: list[Sample], tmp_path: Path) -> None:
    person = (
        Record(name="elf", label="elf", style="3D icon", group="people"),
        shaded(0),
    )
    write_shard([*samples, person], tmp_path / "set.tar")
    command = ["data", "compose", str(tmp_path / "set.tar"), "--size-px", str(PX), "--kind", "plain"]
    run = CliRunner().invoke(cli, [*command, "--without", "people", "-o", str(tmp_path / "plain.tar")])
    assert run.exit_code == 0, run.output
    assert {each.label for each, _ in read_packed(tmp_path / "plain.tar")} == set(THINGS)


def test_people_are_counted_but_never_made_of_glass() -> None:
    people = [
        (Record(name=label, label=label, style="icon", group="people"), shaded(1))
        for label in ("elf", "fairy", "troll")
    ]
    composer = Composer(people, [0, 1, 2], 30, PX, 0, kinds=("counts",))
    assert all(re.match("two|three|four|five|six", composer.make(i)[0].label) for i in range(30))
    with pytest.raises(InputError, match="too few"):
        Composer(people, [0, 1, 2], 1, PX, 0, kinds=("materials",)).make(0)
