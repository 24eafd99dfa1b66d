"""How much memory full-size models take, part by part, computed without a GPU and without weights.

    python benchmarks/memory.py

Every part runs once at its real size on tensors that have shapes and no numbers (torch's FakeTensorMode), and
a counter follows the storages that are alive: weights, and the most that a call needs beside them. From that
follows what a card must hold by each way of offloading. Writes benchmarks/results/memory.json and the table
of docs/how-to/memory.md. Computed, not measured: a real card adds the driver's context, the allocator's
rounding and workspaces of cuDNN; `benchmarks/gpu.py` measures where there is a GPU.
"""

import json
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from full_size_adapters import SD15, SDXL
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from pellucid.models import alpha_decoder, blocks
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.offset_encoder import OffsetEncoder

RESULTS = Path(__file__).parent / "results" / "memory.json"
PAGE = Path(__file__).parents[1] / "docs/how-to/memory.md"
CONTEXT_GB = 0.6
"""What CUDA itself takes on a card, about; cards are told in 2**30 bytes."""
CARDS = (6, 8, 12, 16, 24, 48)
GIB = 2**30
TILE = {AlphaDecoder: 1024, AutoencoderKL: 512}
"""Side of the tiles that `enable_tiling` makes, px; the VAE's is diffusers' own."""
OURS = ("alpha decoder", "offset encoder")


class Alive(TorchDispatchMode):
    """Counts the bytes of all storages that are alive, and the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204 - torch's own
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._freed, key)

    def _freed(self, key: int) -> None:
        self.now -= self.sizes.pop(key, 0)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One network of a pipeline."""

    make: Callable[[], nn.Module]
    call: Callable[[nn.Module, int], object]
    """Runs it for one image with guidance at a side in pixels."""
    codec: bool = False
    """Whether it is one of ours, which stay on the card and are single precision."""


def _zeros(*shape: int) -> Tensor:
    return torch.empty(shape)


def _clip(width: int, layers: int, heads: int) -> CLIPTextModelWithProjection:
    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads,
        projection_dim=width,
    )  # fmt: skip
    return CLIPTextModelWithProjection(config)


def _t5() -> T5EncoderModel:
    config = T5Config(
        d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, vocab_size=32128,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return T5EncoderModel(config)


def _vae(channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=2, latent_channels=channels,
    )  # fmt: skip


def _read(encoder: nn.Module, side: int, tokens: int = 77) -> object:
    return encoder(torch.zeros(1, tokens, dtype=torch.long))


def _step(unet: nn.Module, side: int, width: int) -> object:
    added = {"text_embeds": _zeros(2, 1280), "time_ids": _zeros(2, 6)} if width == 2048 else None
    latents = _zeros(2, 4, side // 8, side // 8)
    return unet(latents, torch.tensor(10), _zeros(2, 77, width), added_cond_kwargs=added)


def _step_flux(transformer: nn.Module, side: int) -> object:
    tokens = (side // 16) ** 2
    return transformer(
        hidden_states=_zeros(1, tokens, 64), encoder_hidden_states=_zeros(1, 512, 4096),
        pooled_projections=_zeros(1, 768), timestep=_zeros(1), img_ids=_zeros(tokens, 3),
        txt_ids=_zeros(512, 3), guidance=_zeros(1),
    )  # fmt: skip


def _show(decoder: nn.Module, side: int, channels: int) -> object:
    return decoder.decode(_zeros(1, channels, side // 8, side // 8))


def _hide(encoder: nn.Module, side: int) -> object:
    return encoder(_zeros(1, 4, side, side))


def _find(decoder: nn.Module, side: int, channels: int, tile: int | None = None) -> object:
    side = min(side, tile or side)
    return decoder(_zeros(1, 3, side, side), _zeros(1, channels, side // 8, side // 8))


def _codec(channels: int) -> dict[str, Part]:
    return {
        "VAE": Part(make=partial(_vae, channels), call=partial(_show, channels=channels)),
        "alpha decoder": Part(
            make=partial(AlphaDecoder, latent_channels=channels),
            call=partial(_find, channels=channels),
            codec=True,
        ),
        "offset encoder": Part(make=partial(OffsetEncoder, latent_channels=channels), call=_hide, codec=True),
    }


MODELS: dict[str, dict[str, Part]] = {
    "Stable Diffusion 1.5": {
        "text encoder": Part(make=partial(_clip, 768, 12, 12), call=_read),
        "UNet": Part(make=lambda: UNet2DConditionModel(**SD15), call=partial(_step, width=768)),
        **_codec(4),
    },
    "Stable Diffusion XL": {
        "text encoder": Part(make=partial(_clip, 768, 12, 12), call=_read),
        "text encoder 2": Part(make=partial(_clip, 1280, 32, 20), call=_read),
        "UNet": Part(make=lambda: UNet2DConditionModel(**SDXL), call=partial(_step, width=2048)),
        **_codec(4),
    },
    "FLUX.1": {
        "text encoder": Part(make=partial(_clip, 768, 12, 12), call=_read),
        "text encoder 2": Part(make=_t5, call=partial(_read, tokens=512)),
        "transformer": Part(make=lambda: FluxTransformer2DModel(guidance_embeds=True), call=_step_flux),
        **_codec(16),
    },
}  # fmt: skip
SIDES = {"Stable Diffusion 1.5": (512, 1024), "Stable Diffusion XL": (1024, 2048), "FLUX.1": (1024, 2048)}


@contextmanager
def half_precision(on: bool):  # noqa: ANN201 - of nothing
    """Makes new tensors half precision for a while, as a pipeline's parts are."""
    torch.set_default_dtype(torch.float16 if on else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def measure(part: Part, sides: Sequence[int]) -> dict[str, object]:
    """Returns bytes of a part's weights, of its largest layer, and of what a call needs beside them."""
    beside: dict[str, int] = {}
    # a GPU has no row tiles, which save memory on CPUs
    alpha_decoder.use_row_tiles = blocks.use_row_tiles = lambda x: False
    with FakeTensorMode(), torch.no_grad(), Alive() as alive, half_precision(not part.codec):
        network = part.make().eval()
        weights = sum(value.nbytes for value in network.parameters())
        leaf = max(
            sum(value.nbytes for value in module.parameters(recurse=False)) for module in network.modules()
        )
        for side in sides:
            start = alive.peak = alive.now
            part.call(network, side)
            beside[str(side)] = alive.peak - start
        if isinstance(network, AlphaDecoder | AutoencoderKL):
            start = alive.peak = alive.now
            part.call(network, TILE[type(network)])
            beside["tile"] = alive.peak - start
    return {"weights": weights, "largest_layer": leaf, "beside": beside}


def whole(
    parts: dict[str, dict[str, object]], side: int, how: str, *, eight_bits: bool, tiled: bool
) -> float:
    """Returns GiB that a card must hold at once, without CUDA's own."""

    def held(name: str, part: dict[str, object]) -> int:
        return int(part["weights"]) // (2 if eight_bits and name in ("UNet", "transformer") else 1)

    ours = sum(held(name, part) for name, part in parts.items() if name in OURS)
    peaks: list[int] = []
    for name, part in parts.items():
        mine = name in OURS
        active = int(part["beside"][str(side)])
        if tiled:  # what is no larger than a tile is not cut
            active = min(active, int(part["beside"].get("tile", active)))
        if how == "none":
            resident = sum(held(other, each) for other, each in parts.items())
        elif how == "model":
            resident = ours + (0 if mine else held(name, part))
        else:
            resident = ours + (0 if mine else int(part["largest_layer"]))
        peaks.append(resident + active)
    return max(peaks) / GIB


def _table(report: dict[str, dict[str, dict[str, object]]]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for model, parts in report.items():
        for side in SIDES[model]:
            for how, eight, tiled in (
                ("none", False, False), ("none", True, True), ("model", False, False), ("model", True, True),
                ("group", False, True),
            ):  # fmt: skip
                gib = whole(parts, side, how, eight_bits=eight, tiled=tiled)
                card = next((size for size in CARDS if size >= gib + CONTEXT_GB), None)
                rows.append(
                    {
                        "model": model, "side": side, "offload": how, "denoiser_in_8_bits": eight,
                        "decoder_in_tiles": tiled, "gib": round(gib, 2), "card": card,
                    }
                )  # fmt: skip
    return rows


BEGIN, END = "<!-- made by benchmarks/memory.py -->\n", "<!-- end -->"


def as_markdown(rows: list[dict[str, object]]) -> str:
    """Returns the table of the page: a line for each model and size, a column for each way."""
    ways = list(
        dict.fromkeys((row["offload"], row["denoiser_in_8_bits"], row["decoder_in_tiles"]) for row in rows)
    )
    heads = [
        f"offload {how}" + (", 8 bits" if eight else "") + (", tiles" if tiled else "")
        for how, eight, tiled in ways
    ]
    lines = [f"| model | px | {' | '.join(heads)} |", "|---" * (len(ways) + 2) + "|"]
    for model, side in dict.fromkeys((row["model"], row["side"]) for row in rows):
        cells = [
            f"{row['gib']} ({row['card'] or 'more'})"
            for row in rows
            if (row["model"], row["side"]) == (model, side)
        ]
        lines.append(f"| {model} | {side} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Computes everything and writes it down."""
    report: dict[str, dict[str, dict[str, object]]] = {}
    for model, parts in MODELS.items():
        report[model] = {name: measure(part, SIDES[model]) for name, part in parts.items()}
        print(model, report[model], flush=True)
    rows = _table(report)
    found = {
        "command": "python benchmarks/memory.py",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "torch": torch.__version__,
        "computed": "on tensors without numbers; not measured on a card",
        "parts": report,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    page = PAGE.read_text()
    before, after = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(page[:before] + as_markdown(rows) + page[after:])


if __name__ == "__main__":
    main()
