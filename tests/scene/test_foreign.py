"""Files as other programs make them: unusual, valid, and what is refused with a reason."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import BlendMode, Resource, Tag
from psd_tools.psd.image_resources import ImageResource

from building import icc_profile
from pellucid.errors import FileError, FileWarning
from pellucid.files.images import encode_image, read_rgba
from pellucid.rgba.compositing import over
from pellucid.scene.layer import GroupNode, layer_tree
from pellucid.scene.scene import Scene
from scene.scenes import noise

RED, DOT = noise(6, 8, 1), noise(2, 2, 2)


def ora(
    path: Path,
    stack: str,
    *,
    head: str = "",
    order: tuple[str, ...] = (),
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> Path:
    """A document by hand; `order` puts some members first."""
    members = {
        "mimetype": b"image/openraster\n",
        "stack.xml": f'{head}<image w="8" h="6" name="x">{stack}</image>'.encode(),
        "data/a.png": encode_image(RED),
        "data/b.png": encode_image(DOT),
    } | dict(files)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in [*order, *(name for name in members if name not in order)]:
            archive.writestr(name, members[name])
    return path


def test_a_sparse_open_raster_file(tmp_path: Path) -> None:
    stack = """<stack x="1" y="2"><!-- top --><stack name="g" x="1" y="-1">
        <layer src="data/b.png" x="2" y="3" selected="true"/></stack>
        <layer name="a" src="data/a.png" opacity="1" composite-op="svg:src-over"/></stack>"""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    scene = Scene.open(ora(tmp_path / "x.ora", stack, head=head, order=("stack.xml",)))
    bottom, top = scene.layers
    assert (bottom.name, bottom.offset, bottom.groups) == ("a", (0, 0), ())
    assert (top.name, top.offset, top.groups[0].name) == ("layer", (2, 3), "g")
    assert np.array_equal(bottom.image, RED)
    assert scene.provenance is None


@pytest.mark.parametrize(
    ("text", "place"), [("3.0", 3), ("2.5", 3), ("2.49", 2), ("-1.5", -1), ("-1.51", -2), ("1e1", 10)]
)
def test_places_between_pixels_are_rounded(tmp_path: Path, text: str, place: int) -> None:
    stack = f'<stack x="0.0"><layer name="a" src="data/a.png" x="{text}" y="{text}"/></stack>'
    assert Scene.open(ora(tmp_path / "x.ora", stack)).layers[0].offset == (place, place)


def test_xml_in_another_encoding_and_without_mimetype(tmp_path: Path) -> None:
    head = '<?xml version="1.0" encoding="utf-16"?><image w="8" h="6">'
    text = f'{head}<stack><layer name="é" src="data/a.png"/></stack></image>'
    path = ora(tmp_path / "x.ora", "", files={"stack.xml": text.encode("utf-16")})
    assert Scene.open(path).layers[0].name == "é"


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
FILE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("stack", "head", "message"),
    [
        (
            '<stack><layer src="data/a.png" composite-op="svg:burn"/></stack>',
            "",
            "blends by svg:burn",
        ),
        ('<stack><stack composite-op="krita:dissolve"/></stack>', "", "blends by krita:dissolve"),
        ('<stack><filter type="x"/></stack>', "", "'filter' in its stack"),
        ('<stack><layer src="data/absent.png"/></stack>', "", "KeyError"),
        ('<stack><layer src="../../etc/passwd"/></stack>', "", "KeyError"),
        ('<stack><layer src="stack.xml"/></stack>', "", "no PNG"),
        ('<stack><layer src="data/a.png" opacity="nan"/></stack>', "", "InputError"),
        ('<stack><layer src="data/a.png" opacity="2"/></stack>', "", "InputError"),
        ('<stack><layer src="data/a.png" x="1.5px"/></stack>', "", "ValueError"),
        ('<stack><layer src="data/a.png" x="nan"/></stack>', "", "ValueError"),
        ('<stack><layer src="data/a.png" y="1e30"/></stack>', "", "ValueError"),
        ("<stack>" * 70 + "</stack>" * 70, "", "nested more than 64"),
        ("<stack>" * 20000 + "</stack>" * 20000, "", "nested more than 64"),
        ("<stack>", "", "ParseError"),
        ("", "", "ValueError"),
        ('<stack><layer name="&c;" src="data/a.png"/></stack>', BOMB, "EntitiesForbidden"),
        ('<stack><layer name="&f;" src="data/a.png"/></stack>', FILE, "EntitiesForbidden"),
    ],
)
def test_open_raster_files_that_are_refused(stack: str, head: str, message: str, tmp_path: Path) -> None:
    path = ora(tmp_path / "x.ora", stack, head=head)
    with pytest.raises(FileError, match=message) as caught:
        Scene.open(path)
    assert str(path) in str(caught.value)


def psd(mode: str = "RGBA", depth: int = 8) -> PSDImage:
    return PSDImage.new(mode, (8, 6), depth=depth)  # pyright: ignore


def saved(document: PSDImage, path: Path) -> Path:
    document.save(path)
    return path


def test_a_psd_with_groups_by_another_hand(tmp_path: Path) -> None:
    document = psd()
    document.create_pixel_layer(Image.fromarray(RED), name="low")
    group = document.create_group(name="g", opacity=100, open_folder=False)
    inner = group.create_group(name="empty below")
    inner.create_group(name="empty")
    group.create_pixel_layer(Image.fromarray(DOT), name="dot", top=-1, left=7, opacity=51)
    document[1].visible = False
    scene = Scene.open(saved(document, tmp_path / "x.psd"))
    low, branch = layer_tree(scene.layers)
    assert isinstance(branch, GroupNode)
    assert (branch.group.name, round(branch.group.opacity * 255), branch.group.visible) == ("g", 100, False)
    dot = scene.layers[1]
    assert (dot.offset, round(dot.opacity * 255), low) == ((-1, 7), 51, scene.layers[0])
    assert np.array_equal(dot.image, DOT)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
@pytest.mark.parametrize("depth", [8, 16])
def test_depths_and_modes(mode: str, depth: int, tmp_path: Path) -> None:
    document = psd(mode, depth)
    image = Image.fromarray(RED).convert(mode)
    document.create_pixel_layer(image)
    scene = Scene.open(saved(document, tmp_path / "x.psd"))
    assert np.array_equal(scene.layers[0].image, np.asarray(image.convert("RGBA")))


def test_a_psd_without_layers_is_its_image(tmp_path: Path) -> None:
    image = Image.fromarray(RED).convert("RGB")
    scene = Scene.open(saved(PSDImage.frompil(image), tmp_path / "x.psd"))
    assert np.array_equal(scene.layers[0].image[..., :3], np.asarray(image))
    assert (scene.layers[0].image[..., 3] == 255).all()


def test_a_mask_hides_and_is_kept(tmp_path: Path) -> None:
    document = psd()
    layer = document.create_pixel_layer(Image.fromarray(RED), top=1, left=1)
    levels = np.arange(4, dtype=np.uint8).reshape(2, 2) * 80
    layer.create_mask(Image.fromarray(levels), top=0, left=2)
    scene = Scene.open(saved(document, tmp_path / "x.psd"))
    found, mask = scene.layers[0], scene.layers[0].mask
    assert np.array_equal(found.image, RED)
    assert mask is not None
    assert (mask.image.tolist(), mask.offset, mask.outside) == (levels.tolist(), (0, 2), 0)
    shown = np.zeros((6, 8))
    shown[0:2, 2:4] = levels / 255
    alpha = np.zeros((6, 8))
    alpha[1:, 1:] = RED[:5, :7, 3]
    assert np.array_equal(scene.composite()[..., 3], np.rint(alpha * shown))
    layer.mask.disabled = True  # pyright: ignore
    again = Scene.open(saved(document, tmp_path / "y.psd"))
    assert np.array_equal(again.composite()[1:, 1:, 3], RED[:5, :7, 3])
    assert np.array_equal(Scene.open(again.save(tmp_path / "z.psd")).layers[0].mask.image, levels)  # pyright: ignore


def test_an_empty_layer_is_kept(tmp_path: Path) -> None:
    document = psd()
    layer = document.create_pixel_layer(Image.fromarray(RED), name="nothing")
    record = layer._record  # pyright: ignore[reportPrivateUsage] - no other way to a damaged file
    record.bottom = record.right = 0
    for information, channel in zip(record.channel_info, layer._channels, strict=True):  # pyright: ignore[reportPrivateUsage]
        channel.data, information.length = b"", 2
    found = Scene.open(saved(document, tmp_path / "x.psd")).layers[0]
    assert (found.name, found.image.tolist()) == ("nothing", [[[0, 0, 0, 0]]])


def test_a_colour_profile_is_applied(tmp_path: Path) -> None:
    document = psd()
    document.create_pixel_layer(Image.fromarray(RED))
    profile = icc_profile("sRGB")
    for data in (profile, b"no profile"):
        document.image_resources[Resource.ICC_PROFILE] = ImageResource(key=Resource.ICC_PROFILE, data=data)
        path = saved(document, tmp_path / "x.psd")
        if data is profile:
            assert np.array_equal(Scene.open(path).layers[0].image, RED)
        else:
            with pytest.warns(FileWarning, match="profile cannot be read"):
                assert np.array_equal(Scene.open(path).layers[0].image, RED)


def test_psd_files_that_are_refused(tmp_path: Path) -> None:
    document = psd()
    layer = document.create_pixel_layer(Image.fromarray(RED), name="low")
    upper = document.create_pixel_layer(Image.fromarray(DOT), name="up")
    layer.blend_mode = BlendMode.DISSOLVE
    with pytest.raises(FileError, match="'low' blends by dissolve"):
        Scene.open(saved(document, tmp_path / "a.psd"))
    layer.blend_mode, layer.fill_opacity = BlendMode.COLOR_BURN, 100
    with pytest.raises(FileError, match="'low' blends by color_burn with a fill opacity"):
        Scene.open(saved(document, tmp_path / "a.psd"))
    layer.blend_mode, upper.clipping = BlendMode.NORMAL, True
    with pytest.raises(FileError, match="'up' is clipped to a layer with a fill opacity"):
        Scene.open(saved(document, tmp_path / "b.psd"))
    layer.fill_opacity = 255
    layer.tagged_blocks.set_data(Tag.BLEND_CLIPPING_ELEMENTS, False)
    with pytest.raises(FileError, match="'up' is clipped, and blended not with the layer below"):
        Scene.open(saved(document, tmp_path / "b.psd"))
    layer.tagged_blocks.set_data(Tag.BLEND_CLIPPING_ELEMENTS, True)
    layer.clipping = True
    with pytest.raises(FileError, match="'low' is clipped, with nothing below"):
        Scene.open(saved(document, tmp_path / "b.psd"))
    layer.clipping = False


def test_psd_documents_that_are_refused(tmp_path: Path) -> None:
    document = psd()
    upper = document.create_pixel_layer(Image.fromarray(DOT), name="up")
    record = upper._record  # pyright: ignore[reportPrivateUsage] - as above
    record.blending_ranges.composite_ranges = [(0, 65535), (256, 65535)]
    with pytest.raises(FileError, match="'up' blends only some levels"):
        Scene.open(saved(document, tmp_path / "c.psd"))
    with pytest.raises(FileError, match="CMYK without a colour profile"):
        Scene.open(saved(psd("CMYK"), tmp_path / "d.psd"))
    path = tmp_path / "e.psd"
    path.write_bytes(b"8BPS nothing of the kind")
    with pytest.raises(FileError, match="no PSD"):
        Scene.open(path)


def test_pages_of_other_sizes_with_places(tmp_path: Path) -> None:
    first, second = Image.fromarray(RED), Image.fromarray(DOT)
    second.encoderinfo = {"tiffinfo": {286: 3.0, 287: 5.0, 282: 1.0, 283: 1.0, 285: "höch".encode()}}
    first.save(tmp_path / "x.tif", save_all=True, append_images=[second])
    scene = Scene.open(tmp_path / "x.tif")
    assert [(layer.name, layer.offset) for layer in scene.layers] == [("page 1", (0, 0)), ("höch", (5, 3))]
    assert (scene.height, scene.width) == (7, 8)


def test_a_thumbnail_page_is_no_layer(tmp_path: Path) -> None:
    small = Image.fromarray(DOT)
    small.encoderinfo = {"tiffinfo": {254: 1}}
    Image.fromarray(RED).save(tmp_path / "x.tif", save_all=True, append_images=[small])
    assert len(Scene.open(tmp_path / "x.tif").layers) == 1


def test_pages_come_upright_and_composite_by_over(tmp_path: Path) -> None:
    turned = Image.fromarray(np.rot90(RED).copy())
    turned.encoderinfo = {"tiffinfo": {274: 6}}
    Image.fromarray(RED).save(tmp_path / "x.tif", save_all=True, append_images=[turned])
    scene = Scene.open(tmp_path / "x.tif")
    assert np.array_equal(scene.layers[1].image, RED)
    assert np.array_equal(scene.composite(), over(RED, RED))


def test_zip_bombs_are_refused_before_they_unpack(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.ora", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("stack.xml", b"\0" * (1 << 25))
    with pytest.raises(FileError, match="unpacks to 33554432 bytes"):
        Scene.open(tmp_path / "x.ora")
    with zipfile.ZipFile(tmp_path / "y.ora", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("stack.xml", b"\0" * 9999)
    with pytest.raises(FileError, match="packed in an unusual way"):
        Scene.open(tmp_path / "y.ora")
    clear = io.BytesIO()
    Image.new("L", (20000, 20000)).save(clear, "PNG")
    path = ora(
        tmp_path / "z.ora", '<stack><layer src="data/a.png"/></stack>', files={"data/a.png": clear.getvalue()}
    )
    with pytest.raises(FileError, match=r"far too large|more than the limit"):
        Scene.open(path)
    assert read_rgba(encode_image(RED)).shape == (6, 8, 4)
