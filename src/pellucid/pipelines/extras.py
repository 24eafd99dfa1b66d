"""What users put into a full-size pipeline by its own means: another VAE, LoRAs, a ControlNet, an IP-Adapter.

Every one may come from a folder, a file in safetensors, or a hub.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from torch import nn

from pellucid.errors import InputError, WeightsError, first_line
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.weights.diffusers_names import dtype_option
from pellucid.weights.store import vae_class

if TYPE_CHECKING:
    import torch
    from diffusers.models.modeling_utils import ModelMixin

FAULTS = (
    OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, ImportError,
    SafetensorError,
)  # fmt: skip
"""What diffusers raises for files that are absent, damaged, or of another kind of model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """A community LoRA, and how strongly it counts."""

    source: str
    """A .safetensors file, a folder, or a hub id."""
    weight: float = 1.0

    def __str__(self) -> str:
        """Writes what `parse` reads; of a path its last part, since files travel."""
        return f"{Path(self.source).name if Path(self.source).exists() else self.source}:{self.weight:g}"

    @classmethod
    def parse(cls, text: str) -> "Lora":
        """Reads FILE or FILE:WEIGHT; a colon that no number follows belongs to the name."""
        source, _, weight = text.rpartition(":")
        try:
            return cls(source=source, weight=float(weight)) if source else cls(source=text)
        except ValueError:
            return cls(source=text)


def load_vae(source: str | Path, dtype: "torch.dtype") -> "ModelMixin":
    """Loads another VAE of the model's kind, such as one whose half precision does not overflow, or TAESD.

    Raises:
        WeightsError: it cannot be found, or is none.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    _check_place("a VAE", source)
    try:
        if Path(source).is_file():
            return AutoencoderKL.from_single_file(str(source), **dtype_option(dtype))
        folder = {"subfolder": "vae"} if (Path(source) / "vae").is_dir() else {}
        cls = vae_class(AutoencoderKL.load_config(source, subfolder=folder.get("subfolder")))
        return cls.from_pretrained(source, **dtype_option(dtype), use_safetensors=True, **folder)
    except FAULTS as error:
        raise _wrong("a VAE", source, error) from None


def add_loras(pipe: TransparentPipeline, loras: tuple[Lora, ...]) -> None:
    """Loads LoRAs into the stock pipeline, beside the transparent adapter, each with its weight.

    Raises:
        InputError: a family whose pipelines take none.
        WeightsError: a file is absent or fits another model.
    """
    stock = pipe.pipeline
    if not hasattr(stock, "load_lora_weights"):
        raise InputError(f"Expected a pipeline that takes LoRAs, found {type(stock).__name__}. Take another.")
    names = [f"lora{number}" for number in range(1, len(loras) + 1)]
    for name, lora in zip(names, loras, strict=True):
        path = Path(lora.source)
        place = {"weight_name": path.name} if path.is_file() else {}
        _check_place("a LoRA", lora.source)
        try:
            with warnings.catch_warnings():
                # of several LoRAs on one model, which are meant
                warnings.filterwarnings("ignore", "Already found a `peft_config`")
                stock.load_lora_weights(
                    str(path.parent) if place else lora.source, adapter_name=name, **place
                )
        except FAULTS as error:
            raise _wrong("a LoRA for this model", lora.source, error) from None
    stock.set_adapters(names, adapter_weights=[lora.weight for lora in loras])
    pipe.model.additions["loras"] = ", ".join(map(str, loras))


def add_controlnet(pipe: TransparentPipeline, source: str | Path) -> TransparentPipeline:
    """Returns the same model over a pipeline with a ControlNet, whose image goes into `pipeline_inputs`.

    Raises:
        InputError: a family without ControlNet pipelines.
        WeightsError: it is absent or fits another model.
    """
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.pipelines.auto_pipeline import AutoPipelineForText2Image

    stock = pipe.model.stock
    _check_place("a ControlNet", source)
    try:
        network = ControlNetModel.from_pretrained(source, **dtype_option(stock.dtype), use_safetensors=True)
        nn.Module.to(network, stock.device)
    except FAULTS as error:
        raise _wrong("a ControlNet", source, error) from None
    try:
        pipeline = AutoPipelineForText2Image.from_pipe(pipe.pipeline, controlnet=network)
    except FAULTS as error:
        raise InputError(
            f"Expected a model that takes a ControlNet, found {stock.family.title}: {first_line(error)}. "
            "Take Stable Diffusion 1.5, 2.1 or XL."
        ) from None
    made = TransparentPipeline(
        pipeline,  # pyright: ignore[reportUnknownArgumentType] - diffusers gives it no type
        pipe.autoencoder,
        adapters=pipe.adapters,
        tasks=pipe.tasks,
        attached=pipe.model.attached,
        control=pipe.model.control,
        model=pipe.model.name,
    )
    made.model.reader, made.model.additions = pipe.model.reader, pipe.model.additions
    return made


def add_ip_adapter(pipe: TransparentPipeline, source: str, scale: float) -> None:
    """Loads an IP-Adapter, whose image goes into `pipeline_inputs` as `ip_adapter_image`.

    Args:
        pipe: whose stock pipeline takes it.
        source: a file, or owner/name/folder/file on a hub; the image encoder is in `image_encoder` beside it.
        scale: how strongly it counts.

    Raises:
        InputError: a family that takes none.
        WeightsError: it is absent or fits another model.
    """
    stock, path = pipe.pipeline, Path(source)
    if not hasattr(stock, "load_ip_adapter"):
        raise InputError(
            f"Expected a pipeline that takes an IP-Adapter, found {type(stock).__name__}. Take another."
        )
    if path.is_file():
        repository, folder = str(path.parent), ""
        encoder = "image_encoder" if (path.parent / "image_encoder").is_dir() else None
    else:
        parts = source.split("/")
        if len(parts) < 3 or path.is_absolute():
            raise WeightsError(
                f"Expected an IP-Adapter's file, found no {source!r}. Give a file, or owner/name/folder/file."
            )
        repository, folder, encoder = "/".join(parts[:2]), "/".join(parts[2:-1]), "image_encoder"
    try:
        stock.load_ip_adapter(repository, folder, path.name, image_encoder_folder=encoder)
        stock.set_ip_adapter_scale(scale)
    except FAULTS as error:
        raise _wrong("an IP-Adapter for this model", source, error) from None


def _check_place(what: str, source: str | Path) -> None:
    """Refuses what is neither here nor a hub's id, before a hub is asked for it."""
    if not Path(source).exists() and (isinstance(source, Path) or source.count("/") != 1):
        raise WeightsError(f"Expected {what} at {source}, found nothing. Give a path, or owner/name.")


def _wrong(what: str, source: str | Path, error: Exception) -> WeightsError:
    return WeightsError(
        f"Expected {what} at {source}, found {first_line(error)}. Check the name and the kind."
    )
