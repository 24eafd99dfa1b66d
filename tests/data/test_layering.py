"""Layer triples: exact composites, things on the ground, shadows in their layer, and the same for a seed."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from building import present
from pellucid.apps.cli import cli
from pellucid.data.land_photos import calmest, land_samples
from pellucid.data.layer_composition import Arrangement, Triple, layer_triples, lit
from pellucid.data.records import Record
from pellucid.data.shards import Sample, write_shard
from pellucid.errors import ConfigError
from pellucid.rgba.compositing import over


def record(label: str, group: str, soft: float = 0.0) -> Record:
    return Record(
        name=label, label=label, keywords=("k",), group=group, source="s", style="icon", licence="MIT",
        attribution="a", soft=soft,
    )  # fmt: skip


def ball(soft: float = 0.0) -> Sample:
    rows, columns = np.mgrid[:64, :64] - 31.5
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[np.hypot(rows, columns) < 28] = (200, 40, 40, 255)
    return record("ball", "objects", soft), rgba


def land(label: str = "beach") -> Sample:
    rgba = np.full((64, 64, 4), 255, np.uint8)
    rgba[..., 0] = np.arange(64)
    return record(label, "background"), rgba


def triples(count: int = 40, *, soft: float = 0.0, seed: int = 0) -> list[Triple]:
    return list(layer_triples([ball(soft)], [land()], count, size_px=48, seed=seed))


def test_composites_are_over_of_the_layers_to_the_byte() -> None:
    for triple in triples():
        assert triple.composite.tobytes() == over(triple.foreground, triple.background).tobytes()
        assert (triple.background[..., 3] == 255).all()
        assert triple.foreground.shape == triple.composite.shape == (48, 48, 4)
        assert 0.02 < (triple.foreground[..., 3] > 127).mean() < 0.7


def test_the_same_seed_makes_the_same_and_another_does_not() -> None:
    first, again, other = (b"".join(t.composite.tobytes() for t in triples(5, seed=s)) for s in (1, 1, 2))
    assert first == again != other


def test_solid_things_throw_shadows_about_half_the_time_and_soft_ones_never() -> None:
    def shadows(found: list[Triple]) -> int:
        dark = [(t.foreground[..., :3].max(axis=-1) < 9) & (t.foreground[..., 3] > 9) for t in found]
        return sum(bool(mask.sum() > 5) for mask in dark)

    assert 8 <= shadows(triples()) <= 32
    assert shadows(triples(soft=0.5)) == 0


def test_nothing_is_cut_off_without_overhang_and_nothing_floats_over_land() -> None:
    how = Arrangement(scale=(0.5, 1.0), stands_at=(0.9, 0.95), overhang=0.0, shadow_share=0.0)
    whole = np.count_nonzero(ball()[1][..., 3]) / 64**2
    for scene, stands in (("beach", True), ("sky", False)):
        found = list(layer_triples([ball()], [land(scene)], 30, size_px=48, arrangement=how))
        lowest = [np.flatnonzero(t.foreground[..., 3].max(axis=1))[-1] + 1 for t in found]
        assert all(0.2 < (t.foreground[..., 3] > 127).mean() / whole < 1.1 for t in found)
        assert all(row > 0.85 * 48 for row in lowest) == stands
        sides = [np.ptp(np.argwhere(t.foreground[..., 3] > 127), axis=0) for t in found]
        assert all(abs(int(height) - int(width)) <= 1 for height, width in sides)  # a ball, whole


def test_light_is_that_of_what_lies_behind() -> None:
    grey, blue, dark = (np.full((8, 8, 4), value, np.uint8) for value in ((115,), (60,), (20,)))
    for ground in (grey, blue, dark):
        ground[..., 3] = 255
    blue[..., 2] = 200
    layer = np.full((8, 8, 4), 200, np.uint8)
    assert np.abs(lit(layer, grey, 0.5)[..., :3].astype(int) - 200).max() <= 1
    red, _, more_blue = lit(layer, blue, 0.5)[0, 0, :3]
    assert red < 160 < 230 < more_blue
    assert (lit(layer, dark, 1.0)[..., :3] == 100).all()  # no darker than half
    for ground in (grey, blue, dark):
        assert (lit(layer, ground, 0.5)[..., 3] == 200).all()
        assert lit(layer, ground, 0.0).tobytes() == layer.tobytes()


def test_backgrounds_come_by_their_chances() -> None:
    chances = np.array([[0.0, 3.0, 1.0]])
    grounds = [land("beach"), land("hills"), land("city")]
    found = [t.back.label for t in layer_triples([ball()], grounds, 200, size_px=8, chances=chances)]
    assert "beach" not in found
    assert 120 < found.count("hills") < 180


def test_images_of_scenes_come_by_their_weights() -> None:
    record, rgba = land("hills")
    fronts = [ball(), (replace(ball()[0], name="kept", weight=3.0), ball()[1])]
    grounds = [land("beach"), (replace(record, weight=3.0), rgba)]
    plain = list(layer_triples([ball()], [land("beach"), land("hills")], 20, size_px=8))
    assert {triple.back.label for triple in plain} == {"beach", "hills"}
    for chances in (None, np.array([[1.0, 1.0], [1.0, 1.0]])):
        found = list(layer_triples(fronts, grounds, 200, size_px=8, chances=chances))
        assert 120 < sum(triple.front.name == "kept" for triple in found) < 180
        assert 120 < sum(triple.back.label == "hills" for triple in found) < 180
    with pytest.raises(ConfigError, match="weights above 0"):
        next(layer_triples([(replace(record, weight=0.0), rgba)], grounds, 1, size_px=8))


@pytest.mark.parametrize(
    "wrong", [{"scale": (0.9, 0.5)}, {"stands_at": (0.5, 1.5)}, {"light": 1.5}, {"overhang": -0.1}]
)
def test_an_arrangement_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        Arrangement(**wrong)  # type: ignore[arg-type]


def test_captions_name_what_each_image_shows() -> None:
    (triple,) = layer_triples([ball()], [land("hills")], 1, size_px=16)
    texts = triple.texts(np.random.default_rng(0), plain=True)
    assert "ball" in texts["foreground"]
    assert texts["background"] == "hills"
    assert "ball" in texts["composite"]
    assert "hills" in texts["composite"]


def test_the_calmest_of_each_scene_are_kept() -> None:
    rng = np.random.default_rng(0)
    samples = [
        (
            record(label, "background"),
            np.full((64, 64, 4), 99, np.uint8) + rng.integers(0, noise, (64, 64, 4), np.uint8),
        )
        for label in ("beach", "hills")
        for noise in (90, 1, 60, 30)
    ]
    places = {id(sample): place for place, sample in enumerate(samples)}
    assert [places[id(each)] for each in calmest(samples, 1.0)] == list(range(8))
    assert [places[id(each)] for each in calmest(samples, 0.4)] == [1, 3, 5, 7]
    assert len(calmest(samples, 0.1)) == 2


def test_photographs_of_others_are_left_out() -> None:
    from io import BytesIO

    from PIL import Image

    content = BytesIO()
    Image.new("RGB", (72, 36), "green").save(content, "JPEG")
    names = ("beach0", "beach7-sfiera", "bwerner1", "station2", "fog10")
    files = {f"./x/images/land/{name}.jpg": content.getvalue() for name in names}
    common = Record(
        name="", label="", source="s", style="photograph", licence="public domain", attribution="a"
    )
    found = list(land_samples(common, "land", [files]))
    assert [each.name for each, _ in found] == [
        "land-beach0-left", "land-beach0-right", "land-fog10-left", "land-fog10-right",
    ]  # fmt: skip
    assert {rgba.shape for _, rgba in found} == {(256, 256, 4)}


def test_the_command_packs_triples(tmp_path: Path) -> None:
    for name, sample in (("fronts", ball()), ("lands", land())):
        write_shard([sample], tmp_path / f"{name}.tar")
    target = tmp_path / "triples.tar"
    sets = [str(tmp_path / "fronts.tar"), "--backgrounds", str(tmp_path / "lands.tar")]
    result = CliRunner().invoke(cli, ["data", "layers", *sets, "--count", "3", "-o", str(target)])
    assert result.exit_code == 0, result.output
    with tarfile.open(target) as tar:
        names = tar.getnames()
        told = json.loads(present(tar.extractfile("scene-00000.json")).read())
    assert len(names) == 3 * 4
    assert told["texts"].keys() == {"foreground", "background", "composite"}
    assert told["licences"] == ["MIT", "MIT"]


@pytest.mark.parametrize("size", [1, 9])
def test_tiny_canvases_work(size: int) -> None:
    (triple,) = layer_triples([ball()], [land()], 1, size_px=size)
    assert triple.composite.shape == (size, size, 4)
