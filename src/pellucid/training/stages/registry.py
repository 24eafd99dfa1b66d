"""Stages by name, alone or one after the other."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from pellucid.errors import ConfigError
from pellucid.pipelines.model_folders import FILE, base_model, whole_name, write_base_model
from pellucid.training import checkpoints
from pellucid.training.data.in_memory import InMemoryDataset, load_images, load_samples
from pellucid.training.data.streaming import open_stream
from pellucid.training.distributed import Processes
from pellucid.training.recipe import Recipe, check_stages_of, read_recipe, recipe_stages
from pellucid.training.stages.layer_options import ConditionalLayersOptions, JointLayersOptions
from pellucid.training.stages.options import AutoencoderOptions, TransparentOptions
from pellucid.training.stages.protocol import Stage
from pellucid.training.trainer import Trainer

PARTS = {
    "vae": "vae",
    "autoencoder": "rgba",
    "base": "unet",
    "transparent": "adapter/transparent.safetensors",
    "layers": "adapter/joint.safetensors",
    "control": "control",
}
"""What each stage adds to a model: a folder, or a file."""
MODEL = "model"


def usable_device(name: str | None) -> torch.device:
    """Returns the device of that name; without one, a GPU if torch sees any, else the CPU.

    Raises:
        ConfigError: torch cannot compute there.
    """
    try:
        own_gpu = (
            f"cuda:{os.environ['LOCAL_RANK']}" if "LOCAL_RANK" in os.environ else "cuda"
        )  # one a process
        device = torch.device(name or (own_gpu if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"Expected a device that torch can use, found {name!r}: {reason}. Try cpu."
        ) from None
    return device


def make_stage(recipe: Recipe, device: torch.device, images: InMemoryDataset | None = None) -> Stage:
    """Returns the stage that a recipe trains, with its data loaded."""
    if recipe.stage == "layers":
        if isinstance(recipe.model, ConditionalLayersOptions):
            # imported when a stage is asked for: diffusers and peft take seconds, and no stage needs all
            from pellucid.training.stages.conditional_layers import ConditionalLayersStage

            return ConditionalLayersStage(recipe, load_samples(recipe), device)
        from pellucid.training.stages.joint_layers import JointLayersStage

        return JointLayersStage(recipe, load_samples(recipe), device)
    images = images or (open_stream(recipe) if recipe.stream else load_images(recipe))
    if recipe.stage == "vae":
        from pellucid.training.stages.vae import VAEStage

        return VAEStage(recipe, images, device)
    if recipe.stage == "autoencoder":
        return _autoencoder(recipe)(recipe, images, device)
    if recipe.stage == "control":
        from pellucid.training.stages.t2i_adapter import T2IAdapterStage

        return T2IAdapterStage(recipe, images, device)
    from pellucid.training.stages.text_to_image import TextToImageStage

    return TextToImageStage(recipe, images, device)


def _autoencoder(recipe: Recipe) -> Callable[[Recipe, InMemoryDataset, torch.device], Stage]:
    from pellucid.training.stages.autoencoder import AutoencoderStage
    from pellucid.training.stages.distillation import DistillationStage
    from pellucid.training.stages.rgba_vae import RGBAVAEStage

    options = recipe.options(AutoencoderOptions)
    if options.distill:
        return DistillationStage
    return RGBAVAEStage if options.alpha_encoding == "inflated" else AutoencoderStage


def train_all(
    config: Path,
    overrides: Mapping[str, str],
    folder: Path,
    device: torch.device,
    budget_s: float,
    processes: Processes | None = None,
) -> Path | None:
    """Trains every stage of a recipe in turn into one model; called again, goes on where it stopped.

    A recipe with a VAE of its own makes a whole model, from the text encoder and tokenizer of
    `init`. Any other adds to the model in `init`, which the new folder names and does not copy.

    Args:
        config: recipe with a table for every stage that is to be trained.
        overrides: values for all stages, or for one, see `read_recipe`.
        folder: each stage runs in a folder of its name in here; the model grows in `model`.
        device: where to train.
        budget_s: seconds after which to stop.
        processes: those that train it together. None is this one alone.

    Returns:
        The model's folder, or None if the time was up first.

    Raises:
        ConfigError: a recipe that is not right, see `read_recipe`, or not that of the folder.
    """
    processes = processes or Processes(device)
    started = processes.clock()
    stages = recipe_stages(config)
    check_stages_of(overrides, stages)
    recipes = [read_recipe(config, stage, overrides) for stage in stages]
    model = folder / MODEL
    if processes.main:
        _begin(recipes, model)
    processes.wait()
    datasets = Datasets()
    for stage_recipe in recipes:
        recipe = replace(stage_recipe, init=str(model))
        if (model / _part(recipe)).exists():
            # a finished stage is not trained again, so a changed recipe would go unnoticed
            checkpoints.check_recipe(folder / recipe.stage, recipe)
            if checkpoints.is_finished(folder / recipe.stage, recipe):
                continue
            _check_last(stage_recipe, recipes, model)
        stage = make_stage(recipe, processes.device, datasets.of(recipe))
        run = Trainer(recipe, stage, folder / recipe.stage, processes)
        # the time that earlier stages took is gone
        if not run.train(budget_s=budget_s - (processes.clock() - started)):
            return None
        if processes.main:
            _install(folder / recipe.stage / "export", model)
        processes.wait()
    return model


class Datasets:
    """Images of stages one after the other: read again only where a stage asks for other ones."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._images: InMemoryDataset | None = None

    def of(self, recipe: Recipe) -> InMemoryDataset | None:
        """Returns a stage's images; None for a stage that reads them itself, from a stream or as scenes."""
        if recipe.stage == "layers" or recipe.stream:
            return None
        # all that `load_images` reads of a recipe
        key = (recipe.data, recipe.groups, recipe.size_px, recipe.upscale, recipe.low_detail_fraction)
        if self._images is None or self._key != key:
            self._images = None  # so that two sets are not in memory at once
            self._key, self._images = key, load_images(recipe)
        return self._images


def _part(recipe: Recipe) -> str:
    """Returns what a stage adds to a model; adapters are named in the recipe."""
    if isinstance(recipe.model, TransparentOptions | JointLayersOptions):
        return f"adapter/{recipe.model.name}.safetensors"
    if isinstance(recipe.model, ConditionalLayersOptions):
        return f"adapter/{recipe.model.file_name}.safetensors"
    return PARTS[recipe.stage]


def _check_last(recipe: Recipe, recipes: Sequence[Recipe], model: Path) -> None:
    """Refuses to train a stage further over which a later one was trained already."""
    later = recipes[recipes.index(recipe) + 1 :]
    if found := next((other for other in later if (model / _part(other)).exists()), None):
        raise ConfigError(
            f"Expected {recipe.stage} as long as before, since {found.stage} was trained over it, found "
            f"{recipe.steps} steps. Set them back, or train into another folder."
        )


def _begin(recipes: Sequence[Recipe], model: Path) -> None:
    """Makes the folder of a model with what its stages start from, copied or named."""
    stages, init = [recipe.stage for recipe in recipes], recipes[0].init
    if "vae" in stages:
        _copy_untrained_parts(Path(recipes[0].init_folder), model)
        return
    if "base" in stages:
        raise ConfigError(
            "Expected [vae] beside [base], found none: a new base has a VAE of its own. Add it, or train the "
            "base alone with `pellucid train base`."
        )
    if not init:
        raise ConfigError("Expected init, the model that stages add to, found none. Set it in the recipe.")
    # a name that nothing was trained over yet may have been the mistake that ended the last call
    below = base_model(model) if _is_begun(model) else None
    if below is None:
        write_base_model(model, init)
    # stages see the folder alone, so another `init` would go unnoticed
    elif below != whole_name(init):
        raise ConfigError(
            f"Expected init to be {below}, over which {model} was begun, found {init}. Set it back, or train "
            "into another folder."
        )


def _is_begun(model: Path) -> bool:
    """Tells whether a stage has left a part in the model's folder, or a checkpoint beside it."""
    own = (path for path in model.glob("*") if path.name != FILE and not path.name.startswith("."))
    return any(own) or any(model.parent.glob(f"*/{checkpoints.NAME}"))


def _copy_untrained_parts(start: Path, model: Path) -> None:
    """Copies the parts that no stage trains."""
    for part in ("text_encoder", "tokenizer", "scheduler", "model_index.json", "licences"):
        source = start / part
        if source.is_dir():
            shutil.copytree(source, model / part, dirs_exist_ok=True)
        elif source.exists():
            shutil.copyfile(source, model / part)


def _install(export: Path, model: Path) -> None:
    """Copies what a stage made into the model, each folder whole or not at all."""
    for source in sorted(export.iterdir()):
        if source.name == "adapter":  # files of several stages
            for file in sorted(source.iterdir()):
                (model / "adapter").mkdir(exist_ok=True)
                shutil.copyfile(file, model / "adapter" / f".{file.name}.part")
                # renamed when complete, since a stage counts as done as soon as its part is there
                (model / "adapter" / f".{file.name}.part").rename(model / "adapter" / file.name)
            continue
        # likewise: copied beside its place first
        part = model / f".{source.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part)
        shutil.rmtree(model / source.name, ignore_errors=True)
        part.rename(model / source.name)
