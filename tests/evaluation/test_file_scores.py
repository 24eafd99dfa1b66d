"""`pellucid eval composition | layers | compare` on files, and the laws of their scores."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from data.loose_images import subject
from pellucid.apps.cli import cli
from pellucid.errors import FileError, InputError
from pellucid.evaluation.blending import backgrounds, blend, blended_scores
from pellucid.evaluation.file_scores import cut_out
from pellucid.evaluation.layer_metrics import layer_scores, rgb_l1, soft_iou
from pellucid.evaluation.matting import NETWORKS, Matter, Refinement, trimap_of
from pellucid.evaluation.pair_scores import PairSettings, score_image, score_pair, unknown_region
from pellucid.evaluation.score_table import METRICS, ScoreTable, compare, document, read_table, write_document
from pellucid.evaluation.transparency import fringe_on, hidden_colour, partial_share, soft_distance
from pellucid.files.images import write_image
from pellucid.rgba import defects
from pellucid.rgba.compositing import over
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene

SETTINGS = PairSettings(photographs={})


def ball(*, alpha: int = 255, side: int = 64, soft_px: float = 1.0) -> RGBA8:
    """A red ball with an edge `soft_px` wide, colour extended under alpha 0."""
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[..., :3] = 200, 40, 30
    rgba[..., 3] = np.clip((side * 0.3 - np.hypot(x, y)) / soft_px + 0.5, 0, 1) * alpha
    return rgba


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["eval", *map(str, words)])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("found", "wanted"):
        (tmp_path / name).mkdir()
    for number in range(4):
        rgba = subject(number)
        write_image(rgba, tmp_path / "wanted" / f"{number}.png")
        rgba[..., 3] = cv2.GaussianBlur(rgba[..., 3], (0, 0), 1 + number)
        write_image(rgba, tmp_path / "found" / f"{number}.png")
    return tmp_path / "found", tmp_path / "wanted"


@pytest.mark.parametrize("engine", ["processes", pytest.param("ray", marks=pytest.mark.slow)])
def test_engines_give_the_same_scores(folders: tuple[Path, Path], tmp_path: Path, engine: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    found = {}
    for name in ("local", engine):
        words = ["--engine", name, "--workers", 2] if name != "local" else []
        result = run("composition", *folders, *words, "-o", tmp_path / f"{name}.json")
        assert result.exit_code == 0, result.exception
        found[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert found["local"]["scores"] == found[engine]["scores"]
    assert found["local"]["images"] == found[engine]["images"]


def test_an_image_against_itself_is_perfect() -> None:
    scores = score_pair(ball(), ball(), SETTINGS)
    assert scores["psnr"] == scores["worst_psnr"] == 120
    assert scores["ssim"] == pytest.approx(1, abs=1e-4)
    zero = ("sad", "mse", "mad", "grad", "conn", "sad_unknown", "soft_distance", "hidden")
    assert all(scores[name] == 0 for name in zero)
    assert scores.keys() <= METRICS.keys()


@pytest.mark.parametrize("damage", ["blur", "erosion", "halo", "quantisation", "fringe"])
def test_scores_grow_worse_with_damage(damage: str) -> None:
    rgba = ball(soft_px=3)

    def damaged(step: int) -> RGBA8:
        worse = rgba.copy()
        alpha = worse[..., 3]
        if damage == "blur":
            worse[..., 3] = cv2.GaussianBlur(alpha, (0, 0), 0.5 * step)
        elif damage == "erosion":
            worse[..., 3] = cv2.erode(alpha, np.ones((3, 3), np.uint8), iterations=step)
        elif damage == "halo":
            worse[..., 3] = np.maximum(alpha, (cv2.dilate(alpha, np.ones((9, 9))) > 0) * 16 * step)
        elif damage == "quantisation":
            levels = 2 ** (6 - step)
            worse[..., 3] = np.rint(alpha / 255 * levels) / levels * 255
        else:
            worse[alpha < 255, :3] = np.clip(worse[alpha < 255, :3].astype(int) + 30 * step, 0, 255)
        return worse

    found = [score_pair(damaged(step), rgba, SETTINGS) for step in (1, 2, 3, 4)]
    for name in ("psnr", "ssim") if damage == "fringe" else ("psnr", "mad", "sad", "mse"):
        values = [scores[name] for scores in found]
        assert values == sorted(values, reverse=METRICS[name].better == "higher"), name
    if damage == "fringe":
        assert all(scores["mad"] == 0 for scores in found)
        fringes = [scores["fringe"] for scores in found]
        assert fringes == sorted(fringes)
        assert fringes[0] > 0


def test_the_nine_colours_come_first_and_photographs_fill_the_canvas() -> None:
    photo = np.arange(40 * 20 * 3, dtype=np.uint8).reshape(40, 20, 3)
    behind = backgrounds(30, 50, {"photo": photo})
    assert list(behind)[:9] == list(defects.NINE_COLOURS)
    assert all(image.shape == (30, 50, 3) for image in behind.values())
    assert (behind["grey"] == 128).all()


def test_jpeg_is_another_protocol() -> None:
    noisy = ball()
    noisy[..., :3] = np.random.default_rng(0).integers(0, 256, (*noisy.shape[:2], 3))
    behind = backgrounds(64, 64)
    lossless = blended_scores(noisy, ball(), behind)
    assert blended_scores(noisy, ball(), behind, "jpeg") != lossless
    assert np.allclose(blend(noisy, behind["white"])[32, 32], noisy[32, 32, :3] / 255)


def test_fringe_over_one_colour_is_that_of_the_nine() -> None:
    rgba = ball(soft_px=4)
    rgba[(rgba[..., 3] < 255), :3] = 90, 90, 250
    by_colour = defects.score(rgba).fringe_by_colour
    for name, colour in defects.NINE_COLOURS.items():
        plain = np.broadcast_to(np.array(colour, np.uint8), (64, 64, 3))
        assert fringe_on(rgba, np.ascontiguousarray(plain)) == pytest.approx(by_colour[name])


def test_semi_transparency_is_told_apart_however_it_lies() -> None:
    glass, solid = ball(alpha=128), ball()
    assert soft_distance([glass], [glass]) == soft_distance([glass], [np.ascontiguousarray(glass[::-1])]) == 0
    assert soft_distance([glass, solid[:9, :20]], [glass]) > 0  # of any sizes
    near, far = soft_distance([ball(alpha=140)], [glass]), soft_distance([ball(alpha=220)], [glass])
    assert 0 < near < far <= 1
    assert soft_distance([solid], [glass]) > near
    assert partial_share(glass) == 1
    assert partial_share(solid) < 0.2
    assert partial_share(np.zeros((4, 4, 4), np.uint8)) == 0


def test_hidden_colour_counts_near_edges_alone() -> None:
    rgba = ball(soft_px=0.01)
    assert hidden_colour(rgba) == 0
    rgba[:8] = 0  # far from the ball
    assert hidden_colour(rgba) == 0
    rgba[rgba[..., 3] == 0] = 0
    assert hidden_colour(rgba) == 200
    for empty in (np.zeros_like(rgba), ball(soft_px=0.01)[30:34, 30:34]):
        assert hidden_colour(empty) == 0


def test_the_unknown_region_lies_around_the_edge() -> None:
    unknown = unknown_region(ball()[..., 3])
    assert 0 < unknown.mean() < 0.3
    assert not unknown[32, 32]
    assert not unknown[0, 0]
    assert not unknown_region(np.full((8, 8), 255, np.uint8)).any()
    solid = np.full((16, 16, 4), 255, np.uint8)
    assert "sad_unknown" not in score_pair(solid, solid, SETTINGS)
    assert "fringe_photo" not in score_image(ball(), SETTINGS)


def test_layers_are_aligned_in_order_and_may_be_merged() -> None:
    parts = [np.zeros((8, 8, 4), np.uint8) for _ in range(3)]
    for number, part in enumerate(parts):
        part[:, 2 * number : 2 * number + 2] = (80 * number, 10, 10, 255)
    (alone,) = layer_scores(parts, parts)
    assert (alone.rgb_l1, alone.soft_iou, alone.merges) == (0, 1, 0)
    merged = [over(parts[1], parts[0]), parts[2]]
    first, *_, last = layer_scores(parts, merged)
    assert first.soft_iou < 1
    assert (last.soft_iou, last.rgb_l1, last.merges) == (1, 0, 1)
    assert layer_scores(parts[::-1], parts)[0].soft_iou < 1  # order counts
    assert len(layer_scores(parts, [parts[0]], merges=0)) == 1
    assert rgb_l1(parts[0], np.zeros_like(parts[0])) == 0
    assert soft_iou(parts[0] * 0, parts[0] * 0) == 1
    for wrong in ([], [parts[0][:4]]):
        with pytest.raises(InputError, match="layers of one size"):
            layer_scores(wrong, parts)


def test_means_have_intervals_and_differences_are_paired(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    one, other = ScoreTable(), ScoreTable()
    for number in range(40):
        hard = float(rng.normal(30, 5))  # how hard an image is hides the difference unless it is paired
        one.add(f"i{number}", {"psnr": hard, "mad": 0.1})
        other.add(f"i{number}", {"psnr": hard + float(rng.normal(0.5, 0.2)), "mad": 0.1})
    alone = one.summary()["psnr"]
    assert alone.low < alone.value < alone.high
    assert alone.high - alone.low > 2
    found = compare(one, other)
    assert found["psnr"].better == "second"
    assert 0.4 < found["psnr"].difference.low < found["psnr"].difference.high < 0.6
    assert found["mad"].better == "neither"
    assert [name for name, _ in one.worst("psnr", 3)] == [
        one.names[index] for index in np.argsort(one.values["psnr"])[:3]
    ]
    write_document(tmp_path / "one.json", document(one, {"kind": "test"}))
    again = read_table(tmp_path / "one.json")
    assert again.names == one.names
    assert np.allclose(again.values["psnr"], one.values["psnr"], atol=1e-6)
    with pytest.raises(InputError, match="0 images"):
        compare(one, ScoreTable(["x"], {"psnr": [1.0]}))
    with pytest.raises(InputError, match="i0"):
        one.add("i0", {"psnr": 1})


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"format": "x"}', '{"format": "pellucid-scores-1", "images": ["a"], "scores": {"psnr": []}}'],
)
def test_other_files_are_no_results(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FileError, match=r"Expected scores of `pellucid eval`"):
        read_table(tmp_path / "x.json")


def test_folders_are_scored_written_shown_and_compared(folders: tuple[Path, Path], tmp_path: Path) -> None:
    found, wanted = folders
    result, page = tmp_path / "blurred.json", tmp_path / "page.html"
    done = run("composition", found, wanted, "-o", result, "--page", page, "--contamination", "none")
    assert done.exit_code == 0, done.output
    assert "PSNR on backgrounds" in done.stdout
    assert done.stdout.splitlines()[-2:] == [str(result), str(page)]
    values = json.loads(result.read_text())
    assert values["n"] == 4
    assert values["contamination"] == "none"
    assert (
        values["made"]["command"].split()[0] in ("pellucid", "pytest", "__main__.py")
        or values["made"]["command"]
    )
    assert values["metrics"]["psnr"]["low"] <= values["metrics"]["psnr"]["value"]
    text = page.read_text()
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert text.count("<figure>") == 4 * 5
    perfect = tmp_path / "perfect.json"
    assert run("composition", wanted, wanted, "-o", perfect).exit_code == 0
    compared = run("compare", result, perfect, "--json")
    rows = json.loads(compared.stdout)
    assert rows["psnr"]["better"] == rows["mad"]["better"] == "second"
    assert "not told apart" in run("compare", result, result, "--page", tmp_path / "c.html").stdout


def test_missing_and_odd_sized_images_are_told(folders: tuple[Path, Path]) -> None:
    found, wanted = folders
    write_image(ball(side=20), found / "0.png")
    assert "at one size in both folders" in str(run("composition", found, wanted).exception)
    (found / "1.png").unlink()
    assert "1 missing, such as 1" in str(run("composition", found, wanted).exception)


def test_documents_are_scored(tmp_path: Path) -> None:
    layers = tuple(Layer(image=subject(number)[:48, :48].copy(), name=f"l{number}") for number in range(2))
    scene = Scene(layers=layers, height=48, width=48)
    scene.save(tmp_path / "a.psd")
    scene.save(tmp_path / "b.ora")
    done = run("layers", tmp_path / "a.psd", tmp_path / "b.ora", "--json", "--page", tmp_path / "p.html")
    assert done.exit_code == 0, done.output
    metrics = json.loads(done.stdout)["metrics"]
    assert metrics["soft_iou"]["value"] == 1
    assert metrics["rgb_l1"]["value"] == metrics["layer_count_error"]["value"] == 0
    assert "two documents or two folders" in str(run("layers", tmp_path / "a.psd", tmp_path).exception)


class Named:
    name = "x"


class Disc:
    """Stands for a network of a package: finds a disc in the middle, within borders that blur."""

    def get_inputs(self) -> list[Named]:
        return [Named()]

    get_outputs = get_inputs

    def run(self, names: object, feed: dict[str, AnyArray]) -> list[AnyArray]:
        side = feed["x"].shape[-1]
        y, x = np.mgrid[:side, :side] / side - 0.5
        return [np.clip((0.3 - np.hypot(x, y)) * 40 + 0.5, 0, 1)[None, None].astype(np.float32)]


@pytest.mark.parametrize("refine", ["none", "closed-form", "knn"])
def test_a_subject_is_cut_out_again(refine: Refinement, tmp_path: Path) -> None:
    (tmp_path / "true").mkdir()
    write_image(ball(), tmp_path / "true" / "ball.png")
    matter = Matter(Disc(), NETWORKS["u2netp"], refine)  # type: ignore[arg-type] - the three methods used here
    pairs = cut_out(tmp_path / "true", tmp_path / "cut", matter, {})
    scores = pairs.scored(SETTINGS)
    assert scores.values["mad"][0] < 0.02
    assert scores.values["psnr"][0] > 20
    cut, _ = pairs.case("ball")
    assert cut[32, 32].tolist() == pytest.approx([200, 40, 30, 255], abs=3)
    assert cut[0, 0, 3] == 0
    assert ("matting" in matter.name) == (refine != "none")


def test_a_trimap_is_open_around_the_edge_alone() -> None:
    trimap = trimap_of(ball(soft_px=3)[..., 3] / 255)
    assert (trimap[32, 32], trimap[0, 0]) == (1, 0)
    assert 0 < (trimap == 0.5).mean() < 0.2
    assert (trimap_of(np.full((8, 8), 0.5)) == 0.5).all()


def test_photographs_are_backgrounds_too(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("door", "wall"):  # fewer than the usual four
        write_image(np.full((30, 40, 4), 255, np.uint8), tmp_path / "photos" / f"{name}.png")
    done = run("composition", *folders, "--photographs", tmp_path / "photos", "--json")
    values = json.loads(done.stdout)
    assert values["backgrounds"][-2:] == ["door", "wall"]
    assert "fringe_photo" in values["metrics"]
