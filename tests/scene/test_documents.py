"""What a scene keeps in each format."""

import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psd_tools import PSDImage
from psd_tools.constants import BlendMode, Resource

from pellucid.errors import FileError, InputError
from pellucid.files.images import read_rgba
from pellucid.rgba.compositing import over
from pellucid.scene.formats.xmp import xml_text
from pellucid.scene.layer import Group, GroupNode, Layer, layer_tree
from pellucid.scene.scene import Scene
from scene.scenes import noise, scenes, stack

some = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outline(nodes: tuple[Layer | GroupNode, ...], step: float | None) -> list[object]:
    """Everything about a tree but its images; opacities in whole steps, if any."""
    rows: list[object] = []
    for node in nodes:
        entry = node.group if isinstance(node, GroupNode) else node
        opacity = entry.opacity if step is None else round(entry.opacity * step)
        if isinstance(node, GroupNode):
            rows.append(
                (xml_text(node.group.name)[:20], opacity, entry.visible, outline(node.children, step))
            )
        else:
            rows.append((node.name, opacity, node.visible, node.offset, node.provenance))
    return rows


@pytest.mark.parametrize(("ending", "step"), [("psd", 255), ("ora", None), ("zip", None)])
@some
@given(scene=scenes())
def test_layers_come_back(scene: Scene, ending: str, step: float | None, tmp_path: Path) -> None:
    found = Scene.open(scene.save(tmp_path / f"x.{ending}"))
    assert (found.height, found.width, found.provenance) == (scene.height, scene.width, scene.provenance)
    for before, after in zip(scene.layers, found.layers, strict=True):
        assert np.array_equal(before.image, after.image)
    if ending == "psd":
        assert [layer.name for layer in found.layers] == [layer.name for layer in scene.layers]
    assert outline(layer_tree(found.layers), step) == outline(layer_tree(scene.layers), step)


@some
@given(scene=scenes())
def test_a_tiff_shows_what_the_scene_shows(scene: Scene, tmp_path: Path) -> None:
    found = Scene.open(scene.save(tmp_path / "x.tiff"))
    assert (found.height, found.width) == (scene.height, scene.width)
    want, have = (premultiplied(each.composite()) for each in (scene, found))
    assert np.abs(want - have).max() <= 0.5 * (len(scene.layers) + 1) + 1e-9  # a rounding a page, and one


def premultiplied(rgba: np.ndarray) -> np.ndarray:
    wide = rgba.astype(float)
    return np.dstack([wide[..., :3] * wide[..., 3:] / 255, wide[..., 3:]])


def test_pages_of_a_tiff_are_the_visible_layers_with_their_names(tmp_path: Path) -> None:
    scene = stack(group_opacity=1)
    found = Scene.open(scene.save(tmp_path / "x.tiff"))
    assert [layer.name for layer in found.layers] == ["base", "edge", "🦊" * 9, "clear"]
    assert found.provenance == scene.provenance
    assert found.layers[0].provenance == scene.layers[0].provenance
    merged = Scene.open(stack().save(tmp_path / "y.tiff"))
    assert [layer.name for layer in merged.layers] == ["base", "grüp 🦊", "clear"]
    flat = Scene.open(scene.save(tmp_path / "z.tiff", background="#fff"))
    assert len(flat.layers) == 1
    assert (flat.composite()[..., 3] == 255).all()


def test_an_open_raster_file_is_as_the_specification_says(tmp_path: Path) -> None:
    scene = stack()
    with zipfile.ZipFile(scene.save(tmp_path / "x.ora")) as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert archive.read("mimetype") == b"image/openraster"
        assert np.array_equal(read_rgba(archive.read("mergedimage.png")), scene.composite())
        assert max(read_rgba(archive.read("Thumbnails/thumbnail.png")).shape) == 40
        assert b'version="0.0.6"' in archive.read("stack.xml")
    wide = Scene.of(noise(3, 1000))
    with zipfile.ZipFile(wide.save(tmp_path / "y.ora")) as archive:
        assert read_rgba(archive.read("Thumbnails/thumbnail.png")).shape == (1, 256, 4)


def test_a_psd_has_a_preview_a_thumbnail_and_the_prompt(tmp_path: Path) -> None:
    scene = stack()
    path = scene.save(tmp_path / "x.psd")
    document = PSDImage.open(path)
    found = document.numpy() * 255  # its topil drops fractions
    want = Scene.open(path).composite()
    assert np.abs(premultiplied(found) - premultiplied(want)).max() <= 1 + 1e-4
    small = document.thumbnail()
    assert small is not None
    assert small.size == (40, 30)
    assert "a 🦊" in document.image_resources.get_data(Resource.XMP_METADATA).decode()
    group = document[1]
    assert (group.blend_mode, group.name) == (BlendMode.NORMAL, "grüp 🦊")


@pytest.mark.parametrize("ending", ["psd", "ora", "zip", "tiff"])
def test_the_same_scene_gives_the_same_bytes(ending: str, tmp_path: Path) -> None:
    first, second = (stack().save(tmp_path / f"{name}.{ending}").read_bytes() for name in "ab")
    assert first == second


@pytest.mark.parametrize("ending", ["psd", "ora", "zip"])
def test_what_cannot_be_written_leaves_nothing(ending: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="Cannot write"):
        stack().save(tmp_path / f"no/x.{ending}")
    with pytest.raises(InputError, match="keeps layers"):
        stack().save(tmp_path / f"x.{ending}", background="#fff")
    assert list(tmp_path.iterdir()) == []


def test_a_psd_has_at_most_30000_pixels_a_side(tmp_path: Path) -> None:
    for scene in (
        Scene(layers=(), height=1, width=30001),
        Scene(layers=(Layer(image=noise(1, 1), offset=(0, -30001)),), height=1, width=1),
    ):
        with pytest.raises(InputError, match=r"at most 30000 .* Use \.ora"):
            scene.save(tmp_path / "x.psd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["psd", "ora", "zip", "tiff", "png"])
def test_a_scene_without_layers_is_clear(ending: str, tmp_path: Path) -> None:
    found = Scene.open(Scene(layers=(), height=3, width=2).save(tmp_path / f"x.{ending}"))
    assert found.composite().tolist() == np.zeros((3, 2, 4)).tolist()


def test_more_pixels_than_allowed_are_refused(tmp_path: Path) -> None:
    for ending in ("psd", "ora", "zip", "tiff"):
        scene = stack(hidden=False)
        path = scene.save(tmp_path / f"x.{ending}")
        with pytest.raises(FileError, match=r"limit|pixels in all"):
            Scene.open(path, max_pixels=scene.height * scene.width - 1)
        many = replace(scene, layers=6 * scene.layers).save(tmp_path / f"many.{ending}")
        with pytest.raises(FileError, match=r"pixels in all|more than the limit"):
            Scene.open(many, max_pixels=scene.height * scene.width)


def test_a_format_is_known_by_its_content(tmp_path: Path) -> None:
    for ending in ("psd", "ora", "zip", "tiff"):
        path = stack().save(tmp_path / f"x.{ending}").rename(tmp_path / "x.png")
        assert len(Scene.open(path).layers) > 1


# composite is over


@given(seed=st.integers(0, 999))
def test_two_layers_are_over_to_the_level(seed: int) -> None:
    front, back = noise(8, 8, seed), noise(8, 8, seed + 1000)
    assert np.array_equal(Scene.of([back, front]).composite(), over(front, back))


@settings(max_examples=20)
@given(seed=st.integers(0, 999), count=st.integers(2, 4))
def test_more_layers_are_over_in_exact_numbers(seed: int, count: int) -> None:
    images = [noise(2, 3, seed + number) for number in range(count)]
    found = Scene.of(images).composite()
    for place in np.ndindex(2, 3):
        colour, alpha = [Fraction(0)] * 3, Fraction(0)
        for image in images:
            *levels, top = (Fraction(int(level), 255) for level in image[place])
            colour = [new * top + old * (1 - top) for new, old in zip(levels, colour, strict=True)]
            alpha = top + alpha * (1 - top)
        exact = [*(each / alpha if alpha else Fraction(0) for each in colour), alpha]
        assert found[place].tolist() == [int(each * 255 + Fraction(1, 2)) for each in exact]


def test_a_group_at_full_opacity_changes_nothing() -> None:
    layers = [Layer(image=noise(5, 5, seed), name=str(seed)) for seed in range(4)]
    group = Group()
    grouped = [
        Layer(image=each.image, groups=(group,) if number in (1, 2) else ())
        for number, each in enumerate(layers)
    ]
    plain, held = (Scene(layers=tuple(each), height=5, width=5) for each in (layers, grouped))
    assert np.array_equal(plain.composite(), held.composite())


def test_a_group_is_laid_as_one_image() -> None:
    back, low, high = (noise(6, 6, seed) / 255 for seed in range(3))
    group = Group(opacity=0.5)
    layers = (
        Layer(image=noise(6, 6, 0)),
        Layer(image=noise(6, 6, 1), groups=(group,)),
        Layer(image=noise(6, 6, 2), groups=(group,)),
    )
    both = over(high, low) * [1, 1, 1, 0.5]
    exact = over(both, back) * 255
    found = Scene(layers=layers, height=6, width=6).composite()
    assert np.abs(found - exact).max() <= 0.5 + 1e-6
    away = Group(visible=False)
    gone = tuple(Layer(image=each.image, groups=(away, *each.groups)) for each in layers)
    assert not Scene(layers=gone, height=6, width=6).composite().any()


def test_names_and_depths_are_checked() -> None:
    with pytest.raises(InputError, match="whole characters"):
        Layer(image=noise(1, 1), name="\ud800")
    with pytest.raises(InputError, match="at most 64 groups"):
        Layer(image=noise(1, 1), groups=(Group(),) * 65)
    with pytest.raises(InputError, match="opacity of 0 to 1"):
        Group(opacity=2)


@pytest.mark.parametrize("ending", [".psd", ".ora", ".zip"])
@pytest.mark.parametrize("with_reference", [False, True])
def test_a_users_own_hidden_group_called_references_stays_a_group(
    tmp_path: Path, ending: str, with_reference: bool
) -> None:
    group = Group(name="references", visible=False, opacity=128 / 255)
    image = np.full((4, 4, 4), 200, np.uint8)
    layers = (Layer(image=image, name="a"), Layer(image=image, name="b", groups=(group,)))
    kept = (Layer(image=image, name="whole"),) if with_reference else ()
    path = Scene(layers=layers, references=kept, height=4, width=4).save(tmp_path / f"scene{ending}")
    found = Scene.open(path)
    assert [(layer.name, [each.name for each in layer.groups]) for layer in found.layers] == [
        ("a", []),
        ("b", ["references"]),
    ]
    assert found.layers[1].groups[0].opacity == pytest.approx(128 / 255)
    assert [layer.name for layer in found.references] == [layer.name for layer in kept]
