"""Rendered effects: each kind's form, softness and colour, captions, what is held out, and the command."""

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pellucid.apps.commands.data import data_command
from pellucid.data.recolouring import COLOURS
from pellucid.data.records import Record, captions
from pellucid.data.rendering import rendering
from pellucid.data.rendering.effects import EFFECTS
from pellucid.data.rendering.kinds import Effect, Scene
from pellucid.data.rendering.noise import tables
from pellucid.data.rendering.rendering import Renderer, held_out, render_all, worded
from pellucid.data.rendering.scene_table import SCENES
from pellucid.data.rendering.sketch import Sketch, finished
from pellucid.data.shards import Sample, read_shard, write_shard
from pellucid.rgba.compositing import premultiply
from pellucid.rgba.oklab import to_oklab
from pellucid.rgba.quantization import to_float
from pellucid.rgba.types import RGBA8

SIDE = 64
# crystals: at this side their edges, which are a pixel wide at least, fill them
MOSTLY_SOLID = {
    "crystals",
    "cloud",
    "candle",
    "candle flame",
    "wave",
    "crystal ball",
    "light bulb",
    "magnifying glass",
    "window",
}
OPAQUE_LIQUIDS = {"glass of milk", "glass of orange juice", "glass of cola"}
REACHES_THE_BORDER = {"fog", "beam", "rays"}


def disc() -> RGBA8:
    """A red disc, lit from above, of the size that emoji have in their images."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    shade = (0.8 - y / 90)[..., None]
    alpha = (255 * (0.42 * SIDE - np.hypot(x, y)).clip(0, 1))[..., None]
    return np.concatenate([shade * (220, 60, 50), alpha], axis=2).astype(np.uint8)


def subject(label: str) -> Sample:
    record = Record(
        name=label, label=label, style="icon", group="things", licence="MIT", attribution="A. Uthor"
    )
    return record, disc()


def painted(kind: Effect | Scene, index: int, colour: str = "") -> RGBA8:
    sketch = Sketch(np.random.default_rng([5, index]), SIDE, colour)
    if isinstance(kind, Scene):
        return finished(kind.paint(sketch, premultiply(to_float(disc()))))
    return finished(kind.paint(sketch))


def test_tables_of_noise_repeat_without_a_seam() -> None:
    for table in tables().values():
        inside = np.abs(np.diff(table, axis=0)).max()
        assert np.abs(table[0] - table[-1]).max() <= inside


@pytest.mark.parametrize("kind", [*EFFECTS, *SCENES], ids=lambda kind: kind.name)
def test_a_kind_is_rgba_that_shows_something_and_hides_no_colour(kind: Effect | Scene) -> None:
    for index in range(2):
        rgba = painted(kind, index)
        assert rgba.shape == (SIDE, SIDE, 4)
        assert rgba.dtype == np.uint8
        assert (rgba[..., 3] > 12).mean() > 0.01
        assert not rgba[rgba[..., 3] == 0].any()
    assert np.array_equal(painted(kind, 0), painted(kind, 0))
    assert not np.array_equal(painted(kind, 0), painted(kind, 1))


@pytest.mark.parametrize("kind", EFFECTS, ids=lambda kind: kind.name)
def test_an_effect_is_mostly_soft_and_ends_inside_the_image(kind: Effect) -> None:
    images = np.stack([painted(kind, index) for index in range(4)])
    alpha = images[..., 3]
    soft = (alpha[alpha > 0] < 200).mean()
    assert soft > (0.25 if kind.name in MOSTLY_SOLID | OPAQUE_LIQUIDS else 0.5)
    if kind.name not in REACHES_THE_BORDER:
        edges = alpha[:, [0, -1]], alpha[:, :, [0, -1]]
        assert max(int(edge.max()) for edge in edges) < 24


@pytest.mark.parametrize(
    "kind", [kind for kind in EFFECTS if kind.colours and not kind.coloured], ids=lambda kind: kind.name
)
@pytest.mark.parametrize("colour", ["red", "green", "blue"])
def test_a_named_colour_is_the_median_one(kind: Effect, colour: str) -> None:
    if colour not in kind.colours:
        return
    rgba = painted(kind, 3, colour)
    lab = to_oklab(rgba[rgba[..., 3] > 25][:, :3] / 255)
    coloured = lab[np.hypot(lab[:, 1], lab[:, 2]) > 0.03]  # highlights and cores are white
    assert len(coloured) > 0.3 * len(lab)
    hue = np.degrees(np.arctan2(np.median(coloured[:, 2]), np.median(coloured[:, 1])))
    assert abs((hue - COLOURS[colour].hue + 180) % 360 - 180) < 25


def test_density_makes_an_effect_thicker() -> None:
    for kind in EFFECTS:
        if kind.thin:
            thin, thick = (
                finished(kind.paint(Sketch(np.random.default_rng(1), SIDE, density=density)))[..., 3].mean()
                for density in (rendering.THIN, rendering.THICK)
            )
            assert thin < thick, kind.name


def test_the_same_number_gives_the_same_image_and_record() -> None:
    subjects = (subject("apple"), subject("old lamp"))
    made = list(render_all(12, 32, 4, subjects))
    renderer = Renderer(12, 32, 4, subjects)
    for index in (11, 0, 7):
        record, rgba = renderer.make(index)
        assert record == made[index][0]
        assert np.array_equal(rgba, made[index][1])
    assert len({record.name for record, _ in made}) == 12


def test_records_say_whose_image_it_is() -> None:
    for record, _ in render_all(60, 16, 2, [subject("apple")]):
        about_apple = "apple" in record.label  # no effect is called so
        assert record.group == ("things" if about_apple else "effects")
        assert record.licence == ("MIT" if about_apple else "CC0-1.0")
        assert record.attribution == ("A. Uthor" if about_apple else "")
        assert record.source == "pellucid render"
        assert captions(record, plain=True) == list(record.captions)
        assert record.label == record.captions[0]


def test_held_out_pairs_are_never_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, str]] = []

    def spy(name: str, effect: str) -> bool:
        drawn.append((name, effect))
        return effect != "ice" or held_out(name, effect)

    monkeypatch.setattr(rendering, "held_out", spy)
    for record, _ in render_all(30, 16, 0, [subject("apple"), subject("lamp")]):
        if record.group == "things":
            assert all(re.search(r"\b(ice|frozen)\b", words) for words in record.captions)
    assert len(drawn) > 30
    pairs = [(f"thing {number}", scene.name) for number in range(200) for scene in SCENES]
    assert 0.08 < np.mean([held_out(*pair) for pair in pairs]) < 0.12


def test_things_burn_and_glow_in_plain_words() -> None:
    made = [record for record, _ in render_all(400, 16, 0, [subject("lamp")])]
    sentences = {words for record in made for words in record.captions}
    assert sentences >= {"a glowing lamp", "a burning lamp", "a smoking lamp", "foggy"}


def test_people_are_not_set_on_fire() -> None:
    person = Record(name="person", label="person", group="people"), disc()
    made = [record for record, _ in render_all(150, 16, 0, [person]) if record.group == "people"]
    assert len(made) > 50
    assert not any(
        re.search(r"fire|flame|burning|smoke rising", words) for record in made for words in record.captions
    )


@pytest.mark.parametrize(
    ("phrase", "adjectives", "name", "expected"),
    [
        ("[a ]{}flame", "orange ", "", {"an orange flame", "orange flame"}),
        ("[an ]{}ice cube", "blue ", "", {"a blue ice cube", "blue ice cube"}),
        ("[an ]{}ice cube", "", "", {"an ice cube", "ice cube"}),
        ("{s} in {}fog", "thick ", "cat", {"a cat in thick fog", "cat in thick fog", "the cat in thick fog"}),
        ("{s} in {}fog", "", "unicorn", {"a unicorn in fog", "unicorn in fog", "the unicorn in fog"}),
        ("{s} in {}fog", "", "eyes", {"eyes in fog", "the eyes in fog"}),
        ("[a ]burning {l}", "", "grapes", {"burning grapes"}),
        ("[a ]burning {l}", "", "cup of coffee", {"a burning cup of coffee", "burning cup of coffee"}),
        ("[a ]glowing {}orb", "orange ", "", {"a glowing orange orb", "glowing orange orb"}),
        ("{s} with a {}aura", "", "glass", {f"{a}glass with an aura" for a in ("", "a ", "the ")}),
    ],
)
def test_articles_fit(phrase: str, adjectives: str, name: str, expected: set[str]) -> None:
    rng = np.random.default_rng(0)
    assert {worded(rng, [phrase], adjectives, name) for _ in range(60)} == expected


def test_every_phrase_is_whole() -> None:
    rng = np.random.default_rng(0)
    for kind in (*EFFECTS, *SCENES):
        for phrase in (*kind.phrases, *kind.coloured, *kind.plain):
            text = worded(rng, [phrase], "faint blue ", "cat")
            assert not set(text) & set("{}[]|")
            assert text == " ".join(text.split())
            assert ("cat" in text) == isinstance(kind, Scene)
        assert not kind.colours or all("{}" in phrase for phrase in kind.coloured or kind.phrases)


def test_workers_write_what_one_process_writes(tmp_path: Path) -> None:
    shard = tmp_path / "things.tar"
    write_shard([subject("apple"), subject("lamp")], shard)
    runner = CliRunner()
    common = ["render", str(shard), "--count", "7", "--size-px", "32", "--seed", "3"]
    for output, workers in (("one.tar", "1"), ("two.tar", "2")):
        result = runner.invoke(
            data_command,
            [*common, "-o", str(tmp_path / output), "--workers", workers],
            catch_exceptions=False,
        )
        assert result.exit_code == 0
        assert "7 images" in result.output
    one = list(read_shard(tmp_path / "one.tar"))
    two = [sample for part in sorted(tmp_path.glob("two-*.tar")) for sample in read_shard(part)]
    assert [record for record, _ in one] == [record for record, _ in two]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(one, two, strict=True))


def test_no_sets_give_effects_alone(tmp_path: Path) -> None:
    output = tmp_path / "effects.tar"
    arguments = ["render", "--count", "5", "--size-px", "16", "-o", str(output)]
    assert CliRunner().invoke(data_command, arguments, catch_exceptions=False).exit_code == 0
    assert {record.group for record, _ in read_shard(output)} == {"effects"}
