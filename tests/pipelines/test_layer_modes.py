"""Every layer mode on small models of the true architectures: the right frames change, and only those."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack, cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import pellucid
import tiny
from building import QuickDDIM, build, present
from goldens.loading import Golden
from pellucid.errors import InputError, PellucidError
from pellucid.pipelines.keywords import AdapterKeywords, LayerKeywords, SamplingKeywords
from pellucid.pipelines.modes import MODES, TASKS, Family, Mode, Task
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.compositing import over
from pellucid.rgba.snapping import fit_snapped
from pellucid.scene.boxes import crop
from pellucid.weights.adapter_manager import last_timestep

SHARING = ("sd15-joint", "sd15-fg2bg", "sd15-bg2fg")
CONCAT = ("sdxl-fg2ble", "sdxl-bg2ble", "sdxl-fgble2bg", "sdxl-bgble2fg")
BATCH_LATENTS = 1e-4
FAST: QuickDDIM = {"num_inference_steps": 2, "passes": 1, "scheduler": "ddim"}
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (64, 64, 4), np.uint8)
OTHER = RNG.integers(0, 256, (64, 64, 4), np.uint8)

Change = Callable[[dict[str, torch.Tensor]], None]


class Bench:
    """A pipeline with adapter files of its own, which a test may damage.

    `whole` has every block and attention of the family's UNet, and takes three times as long.
    """

    def __init__(self, folder: Path, family: Family, *, whole: bool = False) -> None:
        self.folder = folder
        self.family: Family = family
        if family == "sd15":
            self.stock = tiny.sd15(tiny.sd15_unet() if whole else None)
        else:
            self.stock = tiny.sdxl(tiny.sdxl_unet() if whole else None)
        self.codec = tiny.codec(cast("torch.nn.Module", self.stock.vae))
        self._usual: dict[tuple[str, bool], dict[str, bytes]] = {}
        for name in SHARING if family == "sd15" else CONCAT:
            mode, path, net = MODES[name], folder / f"{name}.safetensors", self.stock.unet
            if family == "sd15":
                tiny.sharing_file(path, net, len(mode.outputs), control=bool(mode.conditions))
            else:
                tiny.delta_file(path, net, 4 + 4 * len(mode.conditions))

    def pipe(self, **changes: Change) -> TransparentPipeline:
        """`changes`: file -> what is done to its tensors first; dashes are underscores."""
        layers: dict[Task, tuple[Mode, ...]] = {}
        for task, names in TASKS[self.family].items():
            layers[task] = tuple(self._mode(name, changes.get(name.replace("-", "_"))) for name in names)
        return pellucid.attach(self.stock, None, autoencoder=self.codec, layers=layers)

    def usual(self, name: str, *, shared: bool = True) -> dict[str, bytes]:
        """The frames of a mode whose file is whole, or only lacks what frames share; made once."""
        if (name, shared) not in self._usual:
            changes = {} if shared else {name.replace("-", "_"): zero("temporal_")}
            self._usual[name, shared] = made(self.pipe(**changes), name)
        return self._usual[name, shared]

    def _mode(self, name: str, change: Change | None) -> Mode:
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            return replace(MODES[name], adapter=None)
        if change is not None:
            state = load_file(path)
            change(state)
            path = self.folder / f"{name}-changed-{RNG.integers(1 << 62)}.safetensors"
            save_file(state, path)
        return replace(MODES[name], adapter=path, adapter_end=1.0)


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("sd15"), "sd15")


@pytest.fixture(scope="module")
def whole_sd15(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("whole_sd15"), "sd15", whole=True)


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("sdxl"), "sdxl")


@pytest.fixture(scope="module")
def whole_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("whole_sdxl"), "sdxl", whole=True)


def frames_of(scene: pellucid.Scene) -> dict[str, bytes]:
    named = (*scene.layers, *scene.references)
    # foregrounds are called after their prompts
    roles = {layer.name: layer.name for layer in named} | {"a cat": "foreground", "a dog": "foreground"}
    return {roles[layer.name]: layer.image.tobytes() for layer in named if layer.provenance}


def made(
    pipe: TransparentPipeline, name: str, given: np.ndarray = PICTURE, **options: Unpack[LayerKeywords]
) -> dict[str, bytes]:
    """The frames that a sharing mode makes."""
    settings: LayerKeywords = {"seed": 3, **FAST}
    settings.update(options)
    if name == "sd15-joint":
        return frames_of(pipe.joint("a cat", "a sea", "both", **settings))
    if name == "sd15-bg2fg":
        return frames_of(pipe.foreground_on(given, "a cat", composite="both", **settings))
    return frames_of(pipe.background_for(given, "a sea", composite="both", **settings))


def zero(*parts: str) -> Change:
    def change(state: dict[str, torch.Tensor]) -> None:
        for name in state:
            if any(part in name for part in parts):
                state[name] = torch.zeros_like(state[name])

    return change


def both(*changes: Change) -> Change:
    def change(state: dict[str, torch.Tensor]) -> None:
        for each in changes:
            each(state)

    return change


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def roles(name: str) -> list[str]:
    return [output.role for output in MODES[name].outputs]


@pytest.mark.parametrize("name", SHARING)
def test_a_layers_lora_changes_that_frame_alone_and_all_through_sharing(whole_sd15: Bench, name: str) -> None:
    key, alone = name.replace("-", "_"), zero("temporal_")
    unshared, shared = whole_sd15.usual(name, shared=False), whole_sd15.usual(name)
    for i, role in enumerate(roles(name)):
        lora = zero(*(f"to_{part}_lora.{i}.up" for part in ("q", "k", "v", "out")))
        assert changed(unshared, made(whole_sd15.pipe(**{key: both(alone, lora)}), name)) == {role}
        assert changed(shared, made(whole_sd15.pipe(**{key: lora}), name)) == set(roles(name))


@pytest.mark.parametrize("name", SHARING)
def test_sharing_changes_every_frame(whole_sd15: Bench, name: str) -> None:
    assert changed(whole_sd15.usual(name), whole_sd15.usual(name, shared=False)) == set(roles(name))


@pytest.mark.parametrize("name", ["sd15-fg2bg", "sd15-bg2fg"])
def test_a_hint_changes_the_frames_that_read_it(whole_sd15: Bench, name: str) -> None:
    key, alone = name.replace("-", "_"), zero("temporal_")
    with_hint = whole_sd15.usual(name, shared=False)
    for i, role in enumerate(roles(name)):
        deaf = both(alone, zero(f"control_convs.{i}."))
        assert changed(with_hint, made(whole_sd15.pipe(**{key: deaf}), name)) == {role}
    assert changed(whole_sd15.usual(name), made(whole_sd15.pipe(), name, OTHER)) == set(roles(name))


@pytest.mark.parametrize("guidance_scale", [7.0, 1.0])
def test_a_layers_prompt_reaches_that_frame_alone_without_sharing(sd15: Bench, guidance_scale: float) -> None:
    pipe = sd15.pipe(sd15_joint=zero("temporal_"))
    settings: SamplingKeywords = {"seed": 3, "guidance_scale": guidance_scale, **FAST}
    before = frames_of(pipe.joint("a cat", "a sea", "both", **settings))
    after = frames_of(pipe.joint("a cat", "a dune", "both", **settings))
    assert changed(before, after) == {"background"}


def test_the_negative_prompt_and_guidance_reach_every_frame(sd15: Bench) -> None:
    pipe, plain = sd15.pipe(), sd15.usual("sd15-joint")
    assert changed(plain, made(pipe, "sd15-joint", negative_prompt="fog")) == set(plain)
    assert changed(plain, made(pipe, "sd15-joint", guidance_scale=1.0)) == set(plain)


def latents_of(call: Callable[..., object], **options: object) -> torch.Tensor:
    """What the stock pipeline holds after its last step, all batches one after another."""
    found: list[torch.Tensor] = []

    def keep(stock: object, step: int, _: object, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if step == FAST["num_inference_steps"] - 1:
            found.append(values["latents"].clone())
        return values

    call(seed=3, count=3, pipeline_inputs={"callback_on_step_end": keep}, **FAST, **options)
    return torch.cat(found)


@pytest.mark.parametrize("guidance_scale", [7.0, 1.0])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("task", ["joint", "foreground_on", "background_for"])
def test_three_scenes_together_equal_three_alone(
    request: pytest.FixtureRequest, family: str, task: str, guidance_scale: float
) -> None:
    pipe: TransparentPipeline = request.getfixturevalue(family).pipe()
    arguments = ("a cat", "a sea") if task == "joint" else (PICTURE, "a cat")

    def call(**options: object) -> object:
        return getattr(pipe, task)(*arguments, guidance_scale=guidance_scale, **options)

    alone, together = latents_of(call), latents_of(call, batch_size=3)
    assert alone.shape == together.shape
    assert alone.std() > 0.1
    torch.testing.assert_close(together, alone, rtol=0, atol=BATCH_LATENTS * float(alone.abs().max()))


def layer_made(pipe: TransparentPipeline, task: str, given: Sequence[np.ndarray]) -> bytes:
    settings: SamplingKeywords = {"seed": 3, **FAST, "num_inference_steps": 1}
    if task == "split_foreground":
        return frames_of(pipe.split(given[1], "a cat", background=given[0], **settings))["foreground"]
    if task == "split_background":
        return frames_of(pipe.split(given[1], "a sea", foreground=given[0], **settings))["background"]
    return frames_of(getattr(pipe, task)(given[0], "a cat", **settings))["composite"]


@pytest.mark.parametrize(
    ("task", "name", "n_given"),
    [
        ("foreground_on", "sdxl-bg2ble", 1),
        ("background_for", "sdxl-fg2ble", 1),
        ("split_foreground", "sdxl-bgble2fg", 2),
        ("split_background", "sdxl-fgble2bg", 2),
    ],
)
def test_each_concatenated_image_changes_what_is_made(
    whole_sdxl: Bench, task: str, name: str, n_given: int
) -> None:
    pipe = whole_sdxl.pipe()
    whole = layer_made(pipe, task, (PICTURE, PICTURE))
    for i in range(n_given):
        given = [PICTURE, PICTURE]
        given[i] = OTHER
        assert layer_made(pipe, task, given) != whole

        def deaf(state: dict[str, torch.Tensor], first: int = 4 + 4 * i) -> None:
            state["conv_in.weight"][:, first : first + 4] = 0

        muted = whole_sdxl.pipe(**{name.replace("-", "_"): deaf})
        assert layer_made(muted, task, given) == layer_made(muted, task, (PICTURE, PICTURE))


def test_the_second_step_sees_the_first_ones_composite(sdxl: Bench) -> None:
    def call(pipe: TransparentPipeline) -> dict[str, bytes]:
        return frames_of(pipe.foreground_on(PICTURE, "a cat", seed=3, **FAST))

    def other_middle(state: dict[str, torch.Tensor]) -> None:
        state["mid_block.resnets.0.conv1.weight"] *= 2

    def deaf(state: dict[str, torch.Tensor]) -> None:
        state["conv_in.weight"][:, 8:] = 0

    whole = call(sdxl.pipe())
    assert changed(whole, call(sdxl.pipe(sdxl_bg2ble=other_middle))) == {"composite", "foreground"}
    without = call(sdxl.pipe(sdxl_bgble2fg=deaf))
    assert changed(whole, without) == {"foreground"}
    assert changed(without, call(sdxl.pipe(sdxl_bg2ble=other_middle, sdxl_bgble2fg=deaf))) == {"composite"}


def test_the_adapter_ends_at_the_released_noise_level() -> None:
    golden = Golden("cond_image")
    kept = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
    logs = (((1 - kept) / kept) ** 0.5).log().numpy()  # of Stable Diffusion 1.5's and XL's noise levels
    for share, wanted in zip(golden.arrays["percent"], golden.arrays["percent_to_sigma"], strict=True):
        if 0 < share < 1:
            sigma = np.exp(np.interp(last_timestep(float(share)), range(1000), logs))
            assert sigma == pytest.approx(float(wanted), rel=1e-5)
    assert last_timestep(0.0) == float("inf")
    assert last_timestep(1.0) == 0


def test_stop_at_and_strength_can_be_asked_for(sdxl: Bench) -> None:
    pipe = sdxl.pipe()

    def split(**options: Unpack[AdapterKeywords]) -> bytes:
        settings: AdapterKeywords = {"seed": 3, "num_inference_steps": 6, "passes": 1, "scheduler": "ddim"}
        settings.update(options)
        return frames_of(pipe.split(OTHER, "a sea", foreground=PICTURE, **settings))["background"]

    assert len({split(), split(adapter_end=0.4), split(adapter_strength=0.5), split(adapter_end=0.0)}) == 4
    assert split(adapter_end=1.0) == split(adapter_strength=1.0) == split()
    with pytest.raises(InputError, match="adapter_end of 0 to 1"):
        split(adapter_end=1.5)
    with pytest.raises(InputError, match="strength of 0 to 2"):
        split(adapter_strength=3)
    assert split(adapter_end=0.4, adapter_strength=1.0) == split(adapter_end=0.4)


def test_after_stop_at_the_plain_unet_goes_on_alone(sdxl: Bench) -> None:
    pipe = sdxl.pipe()

    def split(**changes: object) -> dict[str, bytes]:
        mode = replace(pipe.tasks["split_background"][0], **changes)
        tasks: dict[Task, tuple[Mode, ...]] = {"split_background": (mode,)}
        other = TransparentPipeline(pipe.pipeline, pipe.autoencoder, tasks=tasks, adapters=pipe.adapters)
        settings: SamplingKeywords = {"seed": 3, **FAST, "num_inference_steps": 6}
        return frames_of(other.split(OTHER, "a sea", foreground=PICTURE, **settings))

    plain = split(adapter=None, conditions=())
    assert split(adapter_end=0.0) == plain
    assert len({split(adapter_end=share)["background"] for share in (0.0, 0.3, 0.7, 1.0)}) == 4
    assert split(adapter=None, conditions=()) == plain


def test_a_mode_that_fails_leaves_the_unet_as_it_was(sdxl: Bench) -> None:
    pipe = sdxl.pipe()
    before = pipe.generate("a cat", seed=3, **FAST).layers[0].image.tobytes()

    def interrupt(*_: object) -> dict[str, torch.Tensor]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipe.foreground_on(PICTURE, "a cat", pipeline_inputs={"callback_on_step_end": interrupt}, **FAST)
    assert pipe.generate("a cat", seed=3, **FAST).layers[0].image.tobytes() == before
    assert pipe.detach().unet.conv_in.weight.shape[1] == 4


def test_the_composite_is_over_of_the_layers_and_the_models_own_is_apart(sd15: Bench, tmp_path: Path) -> None:
    scene = sd15.pipe().joint("a cat", "a sea", seed=3, **FAST)
    below, front = scene.layers
    assert (below.name, front.name) == ("background", "a cat")
    assert (below.image[..., 3] == 255).all()
    assert (scene.composite() == over(front.image, below.image)).all()
    assert [layer.name for layer in scene.references] == ["composite"]
    assert (scene.references[0].image != scene.composite()).any()
    assert [present(layer.provenance).prompt for layer in (below, front)] == ["a sea", "a cat"]
    told = present(scene.provenance)
    assert (told.prompt, told.mode) == (
        "a cat, a sea",
        "sd15-joint",
    )
    for ending in ("psd", "ora", "zip"):
        found = pellucid.Scene.open(scene.save(tmp_path / f"x.{ending}"))
        assert (found.composite() == scene.composite()).all()
        assert [layer.name for layer in found.layers] == ["background", "a cat"]
        assert (found.references[0].image == scene.references[0].image).all()
        assert found.references[0].groups == ()


@pytest.mark.parametrize("fit", ["crop", "fit", "stretch"])
@pytest.mark.parametrize("size", [None, (40, 72)])
def test_images_of_any_size_mode_and_orientation_are_taken(
    sd15: Bench, fit: str, size: tuple[int, int] | None
) -> None:
    pipe = sd15.pipe()
    turned = Image.new("RGB", (30, 90), "red")
    turned.getexif()[0x0112] = 6  # a camera held upright: 90 wide and 30 high
    height, width = size or (None, None)
    given: list[tuple[object, tuple[int, int]]] = [
        (turned, (30, 90)),
        (np.zeros((300, 75), np.uint16), (300, 75)),
    ]
    if fit == "crop":  # modes are converted before anything is fitted
        given += [(Image.new("P", (40, 40)), (40, 40)), (np.ones((7, 7, 4), np.float32), (7, 7))]
    for image, own in given:
        scene = pipe.foreground_on(image, "a cat", fit=fit, seed=3, height=height, width=width, **FAST)
        assert (scene.height, scene.width) == (size or own)
        layers = (*scene.layers, *scene.references)
        assert {layer.image.shape for layer in layers} == {(scene.height, scene.width, 4)}


def test_an_image_without_a_size_stays_to_the_byte_and_what_is_made_is_enlarged(sd15: Bench) -> None:
    pipe = sd15.pipe()
    image = np.repeat(np.repeat(PICTURE, 3, axis=0), 2, axis=1)  # 192 x 128
    scene = pipe.foreground_on(image, "a cat", seed=3, **FAST)
    small = pipe.foreground_on(image, "a cat", seed=3, height=78, width=52, **FAST)
    assert (scene.layers[0].image == image).all()
    assert (scene.layers[1].image == fit_snapped(small.layers[1].image, 192, 128, "stretch")).all()
    split = pipe.split(image, background=PICTURE, fit="stretch")
    assert (split.height, split.width) == (192, 128)


def test_a_given_image_of_the_canvas_size_is_a_layer_to_the_byte(sd15: Bench) -> None:
    pipe = sd15.pipe()
    on = pipe.foreground_on(PICTURE, "a cat", seed=3, **FAST)
    behind = pipe.background_for(PICTURE, "a sea", seed=3, **FAST)
    assert (on.layers[0].image == PICTURE).all()
    assert (behind.layers[1].image == PICTURE).all()
    assert on.layers[0].provenance is None


def test_a_stack_grows_to_any_depth_and_each_layer_sees_what_is_below(sd15: Bench) -> None:
    pipe = sd15.pipe()
    first = scene = pipe.joint("a cat", "a sea", seed=3, height=50, width=41, **FAST)
    for number in range(4):
        scene = pipe.add_layer(scene, f"thing {'abcd'[number]}", seed=number, **FAST)
    assert len(scene.layers) == 6
    assert all(new is old for new, old in zip(scene.layers, first.layers, strict=False))
    assert {layer.image.shape for layer in scene.layers} == {(50, 41, 4)}
    assert scene.layers[-1].name == "thing d"
    other = pipe.joint("a dog", "a dune", seed=9, height=50, width=41, **FAST)
    below_other = pipe.add_layer(other, "thing a", seed=0, **FAST).layers[-1].image
    assert (below_other != scene.layers[2].image).any()


def test_a_layer_is_made_for_its_box_alone_and_lies_there(sd15: Bench) -> None:
    """The same as on an image of that part, and nothing outside matters."""
    pipe, box = sd15.pipe(), (10, 20, 48, 40)
    part = PICTURE[10:58, 20:60]
    alone = pipe.foreground_on(part, "a cat", seed=3, **FAST)
    on = pipe.foreground_on(PICTURE, "a cat", seed=3, box=box, **FAST)
    assert (on.height, on.width) == PICTURE.shape[:2]
    assert (on.layers[0].image == PICTURE).all()
    assert (on.layers[1].image == alone.layers[1].image).all()
    assert on.layers[1].offset == (10, 20)
    below = pipe.joint("a cat", "a sea", seed=3, height=60, width=80, **FAST)
    grown = pipe.add_layer(below, ["a ball", "a hat"], seed=5, box=box, name="top", **FAST)
    assert isinstance(grown, list)
    assert [(len(each.layers), each.layers[-1].offset, each.layers[-1].name) for each in grown] == [
        (3, (10, 20), "top")
    ] * 2
    seen, shown = below.composite(), grown[0].composite()
    outside = np.ones(seen.shape[:2], bool)
    outside[10:58, 20:60] = False
    assert (seen[outside] == shown[outside]).all()


@pytest.mark.parametrize("box", [(0, 0, 10, 0), (-1, 0, 5, 5), (0, 70, 10, 60)])
def test_a_box_that_is_not_on_the_canvas_is_refused(sd15: Bench, box: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="Expected a box"):
        build(sd15.pipe().foreground_on, background=PICTURE, prompt="a cat", box=box, **FAST)
    with pytest.raises(InputError, match="Give four whole numbers"):
        crop(PICTURE, box[:3])
    with pytest.raises(InputError, match="no height or width with a box"):
        sd15.pipe().foreground_on(PICTURE, "a cat", box=(0, 0, 9, 9), height=64, **FAST)


def test_counts_and_lists_make_lists_in_the_order_of_the_prompts(sd15: Bench) -> None:
    pipe = sd15.pipe()
    found = pipe.joint(["a cat", "a dog"], "a sea", count=2, seed=[4, 7], **FAST)
    assert isinstance(found, list)
    told = [(present(each.layers[1].provenance).prompt, present(each.provenance).seed) for each in found]
    assert told == [("a cat", 4), ("a cat", 5), ("a dog", 7), ("a dog", 8)]
    alone = pipe.joint("a dog", "a sea", seed=8, **FAST)
    assert frames_of(alone) == frames_of(found[3])


def test_a_model_without_layer_adapters_still_makes_scenes(tmp_path: Path) -> None:
    pipe = pellucid.load(tiny.save_mini(tmp_path))
    scene = pipe.joint(foreground="a cat", background="a sea", seed=1, **FAST)
    assert [layer.name for layer in scene.layers] == ["background", "a cat"]
    same = pipe.generate("a cat", seed=1, **FAST)
    assert (scene.layers[1].image == same.layers[0].image).all()
    assert pipe.background_for(same.layers[0].image, "a sea", **FAST).layers[0].name == "background"
    whole, below = scene.composite(), scene.layers[0].image
    for found in (pipe.split(whole, background=below), pipe.split(whole, foreground=scene.layers[1].image)):
        assert np.abs(found.composite().astype(int) - whole).max() <= 1
        assert (found.references[0].image == whole).all()


def bare(pipe: TransparentPipeline) -> TransparentPipeline:
    return TransparentPipeline(pipe.pipeline, pipe.autoencoder)


def test_wrong_arguments_are_explained(sd15: Bench) -> None:
    pipe = sd15.pipe()
    for call, words in [
        (lambda: pipe.joint([], "a"), "at least one foreground prompt"),
        (lambda: pipe.joint(["a", "b"], ["c", "d", "e"]), "one prompt a layer or 3"),
        (lambda: pipe.foreground_on(PICTURE, "a", fit="cover"), "No way of fitting"),
        (lambda: pipe.foreground_on("no.png", "a"), "no.png"),
        (lambda: pipe.split(PICTURE, "a"), "found neither"),
        (lambda: pipe.split(PICTURE, "a", background=PICTURE, foreground=PICTURE), "found both"),
        (lambda: pipe.joint("a", "b", batch_size=0), "batch size of 1"),
        (lambda: bare(pipe).joint("a", "b"), "adapter for joint, found one for none"),
    ]:
        with pytest.raises(PellucidError, match=words):
            call()
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'guidance'"):
        build(pipe.joint, foreground="a", background="b", guidance=3)
