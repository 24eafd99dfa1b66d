"""Features of PSD layers: what changes nothing is read, everything else is refused by name."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from psd_tools import PSDImage
from psd_tools.constants import EffectOSType, Tag
from psd_tools.psd.descriptor import Bool, Descriptor, DescriptorBlock2, List
from psd_tools.psd.effects_layer import CommonStateInfo, EffectsLayer, SolidFillInfo
from psd_tools.psd.tagged_blocks import TaggedBlock

from pellucid.apps.cli import cli
from pellucid.errors import FileError
from pellucid.scene.formats.psd_effects import EFFECT_KEYS
from pellucid.scene.formats.psd_features import ADJUSTMENTS, HARMLESS, SWITCHES
from pellucid.scene.scene import Scene
from scene.scenes import noise

CASES = Path(__file__).parent / "cases"
RED = noise(6, 8, 1)


def with_block(path: Path, key: bytes, data: object) -> Path:
    """Writes a document of one layer that carries one more tagged block."""
    document = PSDImage.new("RGBA", (8, 6))  # pyright: ignore
    from PIL import Image

    layer = document.create_pixel_layer(Image.fromarray(RED), name="it")  # pyright: ignore
    known = {tag.value: tag for tag in Tag}
    tag = known.get(key, key)
    layer.tagged_blocks[tag] = TaggedBlock(b"8BIM", tag, data)  # pyright: ignore
    document.save(path)
    return path


@pytest.mark.parametrize("key", sorted({tag.value for tag in Tag} | {b"xYz1"}), ids=repr)
def test_every_feature_of_a_layer_is_harmless_by_name_or_refused(tmp_path: Path, key: bytes) -> None:
    if key in (
        b"lsct",
        b"lsdk",
        b"luni",
        b"lyid",
        b"iOpa",
        b"Lr16",
        b"Lr32",
        b"vmsk",
        b"vsms",
        b"artb",
        b"artd",
        b"abdd",
    ):
        pytest.skip("what it holds decides, and others test it")
    path = with_block(tmp_path / "x.psd", key, b"\1\0\0\0" * 4)
    if key in HARMLESS:
        assert np.array_equal(Scene.open(path).layers[0].image, RED)
        return
    with pytest.raises(FileError, match="'it'") as caught:
        Scene.open(path)
    words = (
        "has effects" if key in EFFECT_KEYS else SWITCHES.get(key) or ADJUSTMENTS.get(key, "not known here")
    )
    assert words in str(caught.value) or "fill" in str(caught.value)


def effect(**switches: bool) -> Descriptor:
    found = Descriptor(classID=b"SoFi")
    for name, value in switches.items():
        found[name.encode()] = Bool(value)
    return found


def effects(*found: Descriptor, master: bool | None = True, as_list: bool = False) -> DescriptorBlock2:
    block = DescriptorBlock2(version=0, classID=b"null")
    if master is not None:
        block[b"masterFXSwitch"] = Bool(master)
    if as_list:
        block[b"solidFillMulti"] = List(items=list(found))  # pyright: ignore
    else:
        for number, each in enumerate(found):
            block[f"fx{number:02d}".encode()] = each
    return block


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize(
    ("switches", "master", "drawn"),
    [
        ({"enab": True}, True, True),  # as older programs write: nothing says that it is present
        ({"enab": True, "present": True}, True, True),
        ({"enab": True, "present": True}, None, True),
        ({"enab": True, "present": True}, False, False),
        ({"enab": True, "present": False}, True, False),
        ({"enab": False, "present": True}, True, False),
        ({}, True, False),
    ],
)
def test_effects_are_refused_when_they_are_drawn(
    tmp_path: Path, switches: dict[str, bool], master: bool | None, drawn: bool, as_list: bool
) -> None:
    block = effects(effect(**switches), master=master, as_list=as_list)
    path = with_block(tmp_path / "x.psd", b"lfx2", block)
    if drawn:
        with pytest.raises(FileError, match="has effects"):
            Scene.open(path)
    else:
        assert np.array_equal(Scene.open(path).layers[0].image, RED)


@pytest.mark.parametrize(("visible", "enabled"), [(1, 1), (1, 0), (0, 1)])
def test_effects_of_photoshop_5_are_refused_when_they_are_drawn(
    tmp_path: Path, visible: int, enabled: int
) -> None:
    block = EffectsLayer(
        version=0,
        items=[  # pyright: ignore
            (EffectOSType.COMMON_STATE, CommonStateInfo(visible=visible)),
            (EffectOSType.SOLID_FILL, SolidFillInfo(enabled=enabled)),
        ],
    )
    path = with_block(tmp_path / "x.psd", b"lrFX", block)
    if visible and enabled:
        with pytest.raises(FileError, match="has effects"):
            Scene.open(path)
    else:
        assert np.array_equal(Scene.open(path).layers[0].image, RED)


@pytest.mark.parametrize("path", sorted(CASES.glob("f_*.psd")), ids=lambda path: path.stem)
def test_cases_of_strangers_are_refused_by_layer_and_feature(path: Path) -> None:
    if path.stem in ("f_esc", "f_groupclip"):
        return
    with pytest.raises(FileError, match=r"Cannot read .*: '.*' (has|is|leaves|knocks)"):
        Scene.open(path)


def test_a_group_of_the_users_that_is_called_references_keeps_its_place() -> None:
    scene = Scene.open(CASES / "hidden-group-named-references.psd")
    assert [layer.name for layer in scene.layers] == ["bottom", "photo", "top"]
    assert scene.layers[1].groups[0].name == "references"
    assert not scene.layers[1].groups[0].visible
    assert scene.references == ()


def test_names_of_layers_move_no_cursor() -> None:
    result = CliRunner().invoke(cli, ["show", str(CASES / "f_esc.psd")])
    assert result.exit_code == 0
    assert "\\x1b[31mRED" in result.stdout
    assert not set(result.stdout) & {"\x1b", "\x07", "\r"}
    assert "prompt: fake" not in result.stdout.splitlines()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("compression", [0, 1, 2])
def test_a_flat_document_that_ends_early_is_refused_wherever_it_ends(
    tmp_path: Path, mode: str, compression: int
) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (9, 11, {"RGB": 3, "RGBA": 4, "L": 1}[mode]), np.uint8)
    from PIL import Image
    from psd_tools.constants import Compression

    document = PSDImage.frompil(Image.fromarray(whole.squeeze()), Compression(compression))
    document.save(tmp_path / "x.psd")
    content = (tmp_path / "x.psd").read_bytes()
    first = Scene.open(tmp_path / "x.psd").layers[0].image
    for end in range(len(content)):
        (tmp_path / "y.psd").write_bytes(content[:end])
        with pytest.raises(FileError):
            Scene.open(tmp_path / "y.psd")
    assert first.shape == (9, 11, 4)
    with pytest.raises(FileError, match="damaged"):
        Scene.open(CASES / "flat-rle-truncated-half-opens.psd")
