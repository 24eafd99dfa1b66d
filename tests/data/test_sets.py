"""Sets of packages: small archives in each set's own form, and what becomes of them."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.loose_images import encode, subject
from pellucid.data.animations import FRAMES, frame_samples
from pellucid.data.clip_art import clip_art_samples
from pellucid.data.datasets import SOURCES, shards_of
from pellucid.data.icon_sets import icons_by_label, weather_icons
from pellucid.data.package_archives import Archive, LazyArchives, fetch, read_archive
from pellucid.data.records import Record
from pellucid.data.sprites import sprite_samples
from pellucid.errors import FileError

COMMON = Record(name="", label="", source="s", licence="MIT", attribution="a", style="icon")
NAMES = {
    "package/en/data.json": json.dumps(
        [
            {"hexcode": "1F34E", "label": "red apple", "tags": ["fruit"], "group": 4, "emoji": "x"},
            {"hexcode": "1F600", "label": "flag", "tags": [], "group": 9, "emoji": "y"},
        ]
    ).encode()
}
KEYWORDS = {"package/dist/emoji-en-US.json": json.dumps({"x": ["red_apple", "healthy_food"]}).encode()}
DISC = '<circle cx="16" cy="16" r="12" fill="red"/>'


def icons(*names: str, **sizes: int) -> dict[str, bytes]:
    document = {"icons": {name: {"body": DISC, **sizes} for name in names}, "width": 32, "height": 32}
    return {"package/icons.json": json.dumps(document).encode()}


def test_icons_are_named_by_unicode_and_variants_left_out() -> None:
    files = [icons("red-apple", "red-apple-dark", "flag"), NAMES, KEYWORDS]
    ((record, rgba),) = list(icons_by_label(COMMON, "set", files))
    assert (record.name, record.label, record.group) == ("set-red-apple", "red apple", "food")
    assert record.keywords == ("fruit", "healthy food")
    assert rgba.shape == (256, 256, 4)
    assert rgba[128, 128].tolist() == [255, 0, 0, 255]
    assert rgba[0, 0, 3] == 0
    ((record, _),) = list(icons_by_label(COMMON, "set", [icons("redapple"), NAMES, KEYWORDS]))
    assert record.label == "red apple"


def test_icons_that_are_not_square_keep_their_proportions() -> None:
    ((_, rgba),) = list(icons_by_label(COMMON, "set", [icons("red-apple", width=64), NAMES, KEYWORDS]))
    rows, columns = np.nonzero(rgba[..., 3] > 127)
    assert rgba.shape == (256, 256, 4)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 2


def test_weather_icons_are_the_filled_ones() -> None:
    labels = [
        record.label
        for record, _ in weather_icons(
            COMMON, "set", [icons("clear-day", "clear-day-fill", "uv-index-1-fill")]
        )
    ]
    assert labels == ["clear day"]


def test_frames_of_an_animation_leave_out_the_still_one() -> None:
    file = io.BytesIO()
    first, *others = [Image.fromarray(subject(number, 32)) for number in range(12)]
    first.save(file, "WEBP", save_all=True, append_images=others, lossless=True, duration=40)
    archive = {"package/assets/1f34e.webp": file.getvalue(), "package/assets/0000.webp": file.getvalue()}
    still = {"package/assets/1f34e.webp": encode(subject(1, 32), "WEBP", lossless=True)}
    samples = list(frame_samples(COMMON, "set", [archive, still, NAMES, KEYWORDS]))
    assert len(samples) == FRAMES
    assert {record.label for record, _ in samples} == {"red apple"}
    assert not any(np.array_equal(rgba, subject(0, 32)) for _, rgba in samples)
    assert samples[0][0].name == "set-1f34e-002"


def drawing(title: str, licence: str = "http://web.resource.org/cc/PublicDomain", body: str = DISC) -> bytes:
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><metadata>
        <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
        xmlns:cc="http://web.resource.org/cc/"><cc:Work rdf:about=""><dc:title>{title}</dc:title>
        <dc:subject><rdf:Bag><rdf:li>fruit</rdf:li></rdf:Bag></dc:subject>
        <dc:creator><cc:Agent><dc:title>Ann</dc:title></cc:Agent></dc:creator>
        <cc:license rdf:resource="{licence}"/></cc:Work></rdf:RDF></metadata>{body}</svg>""".encode()


def test_drawings_are_public_whole_and_named() -> None:
    root = "./usr/share/openclipart/svg/"
    files = {
        f"{root}food/coffee_cup_nicu_bucu_01.svg": drawing("Various cliparts, Part of a collection"),
        f"{root}food/apple.svg": drawing("Red Apple"),
        f"{root}food/gpl.svg": drawing("GPL", "http://creativecommons.org/licenses/GPL/2.0/"),
        f"{root}food/damaged.svg": drawing("damaged")[:-20],
        f"{root}food/blank.svg": drawing("blank", body=""),
        f"{root}food/bomb.svg": b'<!DOCTYPE x [<!ENTITY a "aa">]><svg>&a;</svg>',
        f"{root}shapes/stars/star.svg": drawing("star"),
    }
    records = [record for record, _ in clip_art_samples(COMMON, "set", [files])]
    assert [(record.label, record.group) for record in records] == [
        ("red apple", "food"),
        ("coffee cup", "food"),
    ]
    assert records[0].attribution == "Open Clip Art Library: Ann"
    assert records[0].keywords == ("fruit",)


def test_a_title_of_many_drawings_names_none() -> None:
    files = {f"./usr/share/openclipart/svg/a/thing_ann_b_0{n}.svg": drawing("collection") for n in range(6)}
    labels = {record.label for record, _ in clip_art_samples(COMMON, "set", [files])}
    assert labels == {"thing"}


def test_sprites_are_words_of_their_names() -> None:
    root = "arcade/resources/assets/images/"
    files = {
        f"{root}space_shooter/playerShip1_orange.png": encode(subject(1, 64)),
        f"{root}space_shooter/tiny.png": encode(subject(1, 16)),
        f"{root}cards/cardBack.png": encode(subject(1, 64)),
    }
    ((record, rgba),) = list(sprite_samples(COMMON, "set", [files]))
    assert record.label == "player ship orange"
    assert np.array_equal(rgba, subject(1, 64))  # not enlarged


def test_wheels_are_read_and_archives_forgotten(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("a/b.txt", "text")
    assert read_archive(tmp_path / "a-1-py3-none-any.whl") == {"a/b.txt": b"text"}
    archives = LazyArchives([tmp_path / "a-1-py3-none-any.whl"] * 3)
    assert len(archives[1:]) == 2
    assert archives[0] is not archives[0]
    assert Archive("a", "1", "", "pypi").file == "a-1-py3-none-any.whl"
    assert Archive("a", "1:2", "", "deb").file == "a_1%3a2_all.deb"


@pytest.mark.parametrize("name", SOURCES)
def test_every_set_states_licence_and_author(name: str) -> None:
    source = SOURCES[name]
    assert source.licence in ("MIT", "Apache-2.0", "public domain", "CC0-1.0")
    assert source.attribution
    assert source.style
    assert all(len(archive.sha256) == 64 for archive in source.archives)


def test_a_folder_of_shards_is_a_set(tmp_path: Path) -> None:
    (tmp_path / "b.tar").touch()
    (tmp_path / "a.tar").touch()
    assert [Path(shard).name for shard in shards_of(str(tmp_path))] == ["a.tar", "b.tar"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match="found none"):
        shards_of(str(tmp_path / "empty"))


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    # as in a read-only home, but for root too, who may write everywhere
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="Cannot make the folder"):
        fetch(Archive("any", "1.0", "0" * 64), tmp_path / "file" / "archives")
