"""The public pipeline: any pipeline of `pipelines.families` with our adapter before and our decoder after.

Images are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width); latents are scaled, as pipelines
hold them.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from pellucid._deprecation import renamed_arguments
from pellucid.errors import InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.families import custom_mode
from pellucid.pipelines.given_images import to_image
from pellucid.pipelines.latents import check_autoencoder
from pellucid.pipelines.layer_methods import LayerMethods
from pellucid.pipelines.model import TransparentModel
from pellucid.pipelines.modes import Mode, Task
from pellucid.pipelines.single_layer_methods import SingleLayerMethods
from pellucid.pipelines.stock import StockPipeline
from pellucid.rgba.types import RGBA8
from pellucid.weights.adapter_manager import AdapterManager, AdapterSource

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline


class TransparentPipeline(SingleLayerMethods, LayerMethods):
    """A stock pipeline and the codec that reads transparency out of its latents.

    Threads may share one object: calls take turns, and each gives what it gives alone. `exclusive` holds the
    turn for calls of the stock pipeline.

    Example:
        pipe = pellucid.load()
        pipe.generate("a glass bottle of honey", seed=7).save("honey.png")
    """

    def __init__(
        self,
        pipeline: "DiffusionPipeline",
        autoencoder: RGBAAutoencoder,
        *,
        adapters: AdapterManager | None = None,
        tasks: Mapping[Task, tuple[Mode, ...]] | None = None,
        attached: AdapterSource = None,
        control: Path | None = None,
        model: str | None = None,
    ) -> None:
        """Joins the two; `attach` and `pellucid.load` are the usual ways here.

        Args:
            pipeline: the stock pipeline, used as it is.
            autoencoder: codec over the pipeline's VAE.
            adapters: the adapters of its denoiser.
            tasks: the modes of each task, one after another; "foreground" is the single transparent layer.
            attached: the adapter that the denoiser has between calls.
            control: folder of the network for `generate(control=…)`.
            model: name written into results; None takes the pipeline's own.
        """
        stock = StockPipeline(pipeline)
        stock.check()
        check_autoencoder(stock, autoencoder)
        self.model = TransparentModel(
            stock=stock,
            autoencoder=autoencoder,
            adapters=adapters or AdapterManager(stock.denoiser),
            # the caller's own last, so that theirs win
            tasks={"foreground": (custom_mode(stock.family, None),), **(tasks or {})},
            # a pipeline that was built from parts knows no path
            name=model or str(pipeline.config.get("_name_or_path") or type(pipeline).__name__),
            control=control,
            attached=attached,
        )
        # each by name: the halves' constructors do not call one another, so super() would reach one of them
        SingleLayerMethods.__init__(self, self.model)
        LayerMethods.__init__(self, self.model)

    @property
    def pipeline(self) -> "DiffusionPipeline":
        """Returns the stock pipeline that was given. Called directly it takes no lock, see `exclusive`."""
        return self.model.stock.pipeline

    @contextmanager
    def exclusive(self) -> "Generator[DiffusionPipeline]":
        """Yields the stock pipeline and keeps the calls of other threads waiting until the block ends.

        Methods of this object take turns by themselves. The stock pipeline does not: called while another
        thread samples, it would see that call's adapter in the denoiser. The block may call this object too.

        Example:
            with pipe.exclusive() as stock:
                stock("a glass bottle of honey", output_type="latent")
        """
        with self.model.stock.lock:
            yield self.pipeline

    @property
    def autoencoder(self) -> RGBAAutoencoder:
        """Returns the codec over the pipeline's VAE."""
        return self.model.autoencoder

    @property
    def adapters(self) -> AdapterManager:
        """Returns the adapters of the denoiser."""
        return self.model.adapters

    @property
    def tasks(self) -> Mapping[Task, tuple[Mode, ...]]:
        """Returns the modes of each task, one after another."""
        return self.model.tasks

    @property
    def denoiser(self) -> nn.Module:
        """Returns the pipeline's part that samples, into which adapters go."""
        return self.model.stock.denoiser

    @property
    def native_size(self) -> tuple[int, int]:
        """Returns the (height, width) that `generate` makes by default, px: the size the model learned."""
        return self.model.native_size

    def to(self, *args: object, **kwargs: object) -> "TransparentPipeline":
        """Moves or casts the stock pipeline, its codec and its adapters; arguments of `DiffusionPipeline.to`.

        The codec's two networks keep their own precision, which decides how exact alpha is.
        """
        with self.model.stock.lock:
            self.pipeline.to(*args, **kwargs)
            self.move_codec()
        return self

    def move_codec(self) -> None:
        """Moves the codec's networks to where the stock pipeline computes, which offloading may change."""
        for network in (self.autoencoder.offset_encoder, self.autoencoder.alpha_decoder):
            if network is not None:
                # moved but not cast, and not by diffusers' own `to`, which warns of half precision
                nn.Module.to(network, self.model.stock.device)

    def enable_tiling(self, tile_px: int = 1024) -> None:
        """Runs the VAE and the alpha decoder tile by tile, which needs less memory for large images.

        Images of up to one tile stay as they are. Larger ones differ a little, since norms and attention then
        see one tile at a time; tiles are blended where they overlap (`docs/how-to/memory.md` has figures).

        Args:
            tile_px: side of the alpha decoder's tiles; the VAE keeps its own. A multiple of 64.

        Raises:
            InputError: another number.
        """
        if tile_px < 128 or tile_px % 64:
            raise InputError(
                f"Expected a tile of 128 pixels or more in steps of 64, found {tile_px}. Try 1024."
            )
        with self.model.stock.lock:
            self.autoencoder.tile_px = tile_px
            if (enable := getattr(self.model.stock.vae, "enable_tiling", None)) is not None:
                enable()

    def disable_tiling(self) -> None:
        """Undoes `enable_tiling`."""
        with self.model.stock.lock:
            self.autoencoder.tile_px = None
            if (disable := getattr(self.model.stock.vae, "disable_tiling", None)) is not None:
                disable()

    def detach(self) -> "DiffusionPipeline":
        """Takes the adapter out and returns the stock pipeline, its weights as before, bit for bit.

        This object still works: each call puts its adapter in and takes it out again.
        """
        with self.model.stock.lock:
            self.adapters.unload()
            # else the end of the next call would put the adapter back, as `one_call` does
            self.model.attached = None
        return self.pipeline

    @renamed_arguments(picture="image")
    def encode(self, image: object) -> Tensor:
        """Encodes an image to its adjusted, scaled latent (1, c, h, w); padded with transparency."""
        with self.model.stock.lock:
            return self.model.encode(to_image(image))

    def decode(
        self, latents: Tensor, *, passes: int | None = None, crop: tuple[int, int] | None = None
    ) -> RGBA8:
        """Decodes one adjusted, scaled latent (1, c, h, w) to an image.

        Args:
            latents: what `encode` or the stock pipeline returns.
            passes: see `generate`.
            crop: (height, width) cut from the middle, as `encode` padded; None keeps all.

        Raises:
            InputError: not one latent of the model's channels, or another number of passes.
        """
        with self.model.stock.lock:
            return self.model.decode(latents, passes=passes, crop=crop)
