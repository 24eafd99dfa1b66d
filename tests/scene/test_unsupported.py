"""Documents with layers that cannot be shown: refused, flattened, or shown without what is not known."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from psd_tools import PSDImage
from psd_tools.constants import Resource

from pellucid.apps.cli import cli
from pellucid.errors import FileError, FileWarning
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene
from scene.scenes import noise

LOW, HIGH = noise(6, 8, 1), noise(6, 8, 2)


@pytest.fixture
def dissolved(tmp_path: Path) -> Path:
    """A PSD whose upper layer dissolves, which no reader here knows; flattened as if it did not."""
    path = Scene(
        layers=(Layer(image=LOW, name="low"), Layer(image=HIGH, name="high")), height=6, width=8
    ).save(tmp_path / "x.psd")
    lower, upper, rest = path.read_bytes().split(b"8BIMnorm")
    path.write_bytes(lower + b"8BIMnorm" + upper + b"8BIMdiss" + rest)
    return path


def premultiplied(rgba: np.ndarray) -> np.ndarray:
    return np.dstack([rgba[..., :3] * (rgba[..., 3:] / 255), rgba[..., 3:]])


def test_it_is_refused_with_both_ways_out(dissolved: Path) -> None:
    with pytest.raises(FileError, match=r"'high' blends by dissolve.*--flatten .*--skip-unsupported"):
        Scene.open(dissolved)


def test_the_flattened_image_is_taken_instead(dissolved: Path, tmp_path: Path) -> None:
    with pytest.warns(FileWarning, match="'high' blends by dissolve.*flattened image is taken"):
        scene = Scene.open(dissolved, unsupported="flatten")
    assert [layer.name for layer in scene.layers] == ["Background"]
    wanted = Scene(layers=(Layer(image=LOW), Layer(image=HIGH)), height=6, width=8).composite()
    # colour on white, and taken off it again, in whole levels twice
    assert np.abs(premultiplied(scene.composite()) - premultiplied(wanted)).max() <= 1.5


def test_without_a_flattened_image_there_is_nothing_to_take(dissolved: Path) -> None:
    from psd_tools.psd.image_resources import ImageResource, VersionInfo

    document = PSDImage.open(dissolved)
    info = VersionInfo(version=1, has_composite=False, writer="x", reader="x", file_version=1)
    document.image_resources[Resource.VERSION_INFO] = ImageResource(
        key=Resource.VERSION_INFO, data=info.tobytes()
    )
    document.save(dissolved)
    with pytest.raises(FileError, match=r"'high' blends by dissolve.*holds no flattened image"):
        Scene.open(dissolved, unsupported="flatten")


def test_what_is_not_known_is_left_out(dissolved: Path) -> None:
    with pytest.warns(FileWarning, match="'high' blends by dissolve.*that is left out"):
        scene = Scene.open(dissolved, unsupported="skip")
    assert [layer.name for layer in scene.layers] == ["low", "high"]
    assert scene.layers[1].blend_mode == "normal"


def test_what_is_no_image_is_left_out_as_a_whole() -> None:
    case = Path(__file__).parent / "cases" / "f_brit.psd"
    with pytest.warns(FileWarning, match="is an adjustment.*it is left out"):
        left = Scene.open(case, unsupported="skip")
    everything = PSDImage.open(case)
    assert len(left.layers) == len(list(everything)) - 1


def test_open_raster_has_the_same_three_ways(tmp_path: Path) -> None:
    import zipfile

    whole = Scene(
        layers=(Layer(image=LOW, name="low"), Layer(image=HIGH, name="high")), height=6, width=8
    ).save(tmp_path / "x.ora")
    path = tmp_path / "y.ora"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "stack.xml":
                content = content.replace(b"svg:src-over", b"krita:dissolve", 1)
                content = content.replace(b"<stack>", b'<stack><filter type="x"/>')
            new.writestr(name, content)
    with pytest.raises(FileError, match="--skip-unsupported"):
        Scene.open(path)
    with pytest.warns(FileWarning, match="flattened image is taken"):
        flat = Scene.open(path, unsupported="flatten")
    assert np.array_equal(flat.composite(), Scene.open(whole).composite())
    with pytest.warns(FileWarning, match="left out") as caught:
        left = Scene.open(path, unsupported="skip")
    assert len(caught) == 2
    assert np.array_equal(left.composite(), Scene.open(whole).composite())


@pytest.mark.parametrize("option", ["--flatten", "--skip-unsupported"])
def test_the_command_line_says_what_it_did(option: str, dissolved: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "x.png")
    with pytest.warns(FileWarning, match="dissolve"):
        done = CliRunner().invoke(cli, ["convert", str(dissolved), target, option, "--json"])
    assert done.exit_code == 0, done.output
    assert "dissolve" in json.loads(done.stdout)["warnings"][0]
    both = CliRunner().invoke(cli, ["show", str(dissolved), "--flatten", "--skip-unsupported"])
    assert both.exit_code == 2
    assert "Choose one" in both.stderr
    Image.open(target).verify()
