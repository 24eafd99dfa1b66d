"""Models by name, loaded when they are first asked for; the least recently used make room."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from pellucid.errors import InputError
from pellucid.pipelines.loading import load
from pellucid.pipelines.model_folders import MINI, model_folder
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.placement import choose_device, main_memory_gib
from pellucid.weights.hub import is_path

log = logging.getLogger(__name__)
SHARE = 0.7
"""Of a device's memory that weights may take by default; the rest is for images on their way."""


@dataclass(kw_only=True)
class ModelPool:
    """The models of a server. One thread takes them, others may ask which there are."""

    models: Mapping[str, str]
    """Name -> what `pellucid.load` takes. The first is the default."""
    device: str = "auto"
    dtype: str | None = None
    offload: str = "none"
    memory_gib: float | None = None
    """That the weights of all loaded models may take; None is `SHARE` of the device's. One always may."""
    load: Callable[..., TransparentPipeline] = load
    _loaded: "OrderedDict[str, TransparentPipeline]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of_names(cls, names: list[str], **options: object) -> "ModelPool":
        """Makes a pool of "NAME=MODEL" or models alone, which are called by their last part.

        Raises:
            InputError: two of one name.
        """
        models: dict[str, str] = {}
        for each in names or [MINI]:
            name, _, source = each.rpartition("=")
            name = name or Path(source).name
            if name in models:
                raise InputError(f"Two models are called {name!r}. Write NAME=MODEL to name one otherwise.")
            models[name] = source
        for each in models.values():
            if is_path(each) and model_folder(each) is None:
                raise InputError(f"Expected a model's folder, found no {each}. Correct the path.")
        return cls(models=models, **options)  # pyright: ignore - the fields' own types

    @property
    def default(self) -> str:
        """Returns the name of the model that is meant where none is named."""
        return next(iter(self.models))

    @property
    def loaded(self) -> list[str]:
        """Returns the names of the models in memory, the least recently used first."""
        with self._lock:
            return list(self._loaded)

    def resolve(self, name: str | None) -> str | None:
        """Returns the model that a name means: one of OpenAI's is the default; None if there is none."""
        if name in self.models:
            return name
        if name in (None, "") or name.startswith(ALIASES):
            return self.default
        return None

    def get(self, name: str) -> TransparentPipeline:
        """Returns a model, loaded; others go where there is no room for it.

        Raises:
            WeightsError: it cannot be loaded.
        """
        with self._lock:
            if name in self._loaded:
                self._loaded.move_to_end(name)
                return self._loaded[name]
        self._make_room(weights_gib(self.models[name]))
        log.info("loading %s", name)
        pipeline = self.load(self.models[name], device=self.device, dtype=self.dtype, offload=self.offload)
        # written into results, which should not tell where this server keeps its models
        pipeline.model.name = name
        with self._lock:
            self._loaded[name] = pipeline
        return pipeline

    def _make_room(self, wanted: float) -> None:
        budget = self.memory_gib if self.memory_gib is not None else SHARE * device_gib(self.device)
        while True:
            with self._lock:
                taken = sum(weights_gib(self.models[name]) for name in self._loaded)
                if not self._loaded or taken + wanted <= budget:
                    return
                name, pipeline = self._loaded.popitem(last=False)
            log.info("unloading %s", name)
            del pipeline
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


ALIASES = ("gpt-image", "chatgpt-image", "dall-e")
"""Beginnings of names that programs written for OpenAI's images send."""


def weights_gib(model: str) -> float:
    """Returns the GiB of a model's weights, by its files; 0 for what is no folder, as the embedded one."""
    folder = Path(model)
    sizes = [path.stat().st_size for path in folder.rglob("*.safetensors")] if folder.is_dir() else [0]
    return sum(sizes) / 2**30


def device_gib(name: str) -> float:
    """Returns the GiB of memory that a device has."""
    device = choose_device(name)
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory / 2**30
    return main_memory_gib() or 8.0
