"""Text conditions and one prediction of any family, computed by its stock pipeline itself.

Between a text and its conditions, and between latents and a prediction, families differ by a hundred details
(positions, masks, the sign and scale of time). So the pipeline is called as for one step, with three things
exchanged: its text encoders answer from memory, its noise is the training's noisy latents, and its scheduler
hands out the prediction. Gradients flow. Rows of one timestep may be called together, their texts' answers
joined as the pipeline itself joins them.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional

from pellucid.pipelines.family_words import set_size
from pellucid.pipelines.stock import StockPipeline
from pellucid.pipelines.variants import takes_means

SHAPE = ".shape"
LONGER = "one, two and three"
"""A text that no encoder reads as so few tokens as the empty one, unless it makes all texts as long."""
_templates: WeakKeyDictionary[Any, dict[int, list[Any]]] = WeakKeyDictionary()
"""Of a pipeline: what its text encoders answer to one text or to two, whose form every answer has."""


class _Told(Exception):
    """Ends a call of a pipeline as soon as it has computed what was asked for."""

    def __init__(self, value: Tensor | None = None) -> None:
        super().__init__("told")
        self.value = value


class OneStep:
    """Stands where a pipeline has its scheduler: one given timestep, and the prediction is what comes out."""

    order = 1
    init_noise_sigma = 1.0

    def __init__(self, config: Mapping[str, object], timestep: Tensor) -> None:
        self.config, self.timesteps = config, timestep.reshape(1)
        self.sigmas = torch.stack([self.timesteps[0] / 1000, self.timesteps.new_zeros(())])

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: object = None,
        timesteps: object = None,
        sigmas: object = None,
        mu: float | None = None,
        **_: object,
    ) -> None:
        """Keeps the one timestep, whatever is asked for."""

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Does nothing, since there is one."""

    def scale_model_input(self, sample: Tensor, timestep: object = None) -> Tensor:
        """Returns latents as they are: training noises them as denoisers see them."""
        return sample

    def scale_noise(self, sample: Tensor, timestep: object, noise: Tensor) -> Tensor:
        """Returns the noise, in whose place the training's latents are put."""
        return noise

    def step(self, model_output: Tensor, timestep: object, sample: Tensor, **_: object) -> None:
        """Hands out the prediction."""
        raise _Told(model_output)


@torch.no_grad()
def encode_texts(stock: StockPipeline, texts: Sequence[str]) -> dict[str, Tensor]:
    """Returns what the pipeline's text encoders say to each text: a row a text, floats in 16 bits.

    Rows of different lengths are filled up with zeros; those with the ending `SHAPE` tell their own.
    """
    answers = [list(_tensors(_answers(stock, [text]))) for text in texts]
    found: dict[str, Tensor] = {}
    for number, name in enumerate(condition_names(stock)[::2]):
        parts = [answer[number] for answer in answers]
        largest = [max(sides) for sides in zip(*(part.shape for part in parts), strict=True)]
        # half precision, since the states of all captions stay in memory for the whole run
        rows = [_filled_up(_halved(part), largest) for part in parts]
        found[name] = torch.stack(rows)
        shapes = [list(part.shape) for part in parts]
        found[name + SHAPE] = torch.tensor(shapes, device=found[name].device)
    return found


def condition_names(stock: StockPipeline) -> tuple[str, ...]:
    """Returns the names of what `encode_texts` returns, each with its shape after it."""
    count = len(list(_tensors(_template(stock, 1))))
    return tuple(f"text{number}{ending}" for number in range(count) for ending in ("", SHAPE))


def predict(
    stock: StockPipeline, noisy: Tensor, timestep: Tensor, conditions: Mapping[str, Tensor]
) -> Tensor:
    """Returns what the denoiser predicts of latents (b, c, h, w), as its scheduler would be told.

    Args:
        stock: its pipeline is called, once for all rows.
        noisy: scaled latents, noised.
        timestep: of all rows, 0 to 1000.
        conditions: rows of `encode_texts`.
    """
    stock = stock.text_to_image()
    rows = [_row(stock, conditions, row) for row in range(len(noisy))]
    if not _has_encoders(stock):
        texts = [bytes(row[0].tolist()).decode() for row in rows]
        return _predict_together(stock, noisy, timestep, texts, [])
    several = len(rows) > 1
    answers = _joined(_template(stock, 1), _template(stock, 2), rows) if several else rows[0]
    return _predict_together(stock, noisy, timestep, [""] * len(rows), answers)


def _predict_together(
    stock: StockPipeline, noisy: Tensor, timestep: Tensor, texts: list[str], answers: list[Any]
) -> Tensor:
    height, width = (side * stock.vae_scale_factor for side in noisy.shape[-2:])
    pipeline, left = copy.copy(stock.pipeline), iter(answers)
    original = getattr(pipeline, "prepare_latents", None)

    def encode_prompt(*_: object, **__: object) -> object:
        return next(left)

    def prepare_latents(*args: object, **options: object) -> object:
        assert original is not None
        made = original(*args, **options)
        if isinstance(made, Tensor):
            return stock.pack(noisy).to(made)
        # some return positions or other images beside the latents, which come first
        latents, *others = made
        return (stock.pack(noisy).to(latents), *others)

    pipeline.encode_prompt, pipeline.prepare_latents = encode_prompt, prepare_latents
    pipeline.scheduler = OneStep(pipeline.scheduler.config, timestep)
    latents = {} if original else {"latents": stock.pack(noisy).to(stock.dtype)}
    prediction = _told(stock, pipeline, texts, height, width, **latents)
    assert prediction is not None
    return stock.unpack(prediction, height, width)


def _answers(stock: StockPipeline, texts: list[str]) -> list[Any]:
    """Returns what `encode_prompt` returns in one call of the pipeline, call by call.

    Of a denoiser that reads the text itself, the bytes of the one text.
    """
    stock = stock.text_to_image()
    if not _has_encoders(stock):
        return [torch.tensor(list(texts[0].encode()), dtype=torch.uint8)]
    pipeline, answers = copy.copy(stock.pipeline), list[Any]()
    original = pipeline.encode_prompt

    def encode_prompt(*args: object, **options: object) -> object:
        answers.append(original(*args, **options))
        return answers[-1]

    def stop(*args: object, **options: object) -> object:
        if answers:
            raise _Told
        return begin(*args, **options)

    # some make noise before they read the text
    begin = getattr(pipeline, "prepare_latents", stop)
    pipeline.encode_prompt, pipeline.prepare_latents = encode_prompt, stop
    pipeline.scheduler = OneStep(pipeline.scheduler.config, torch.tensor(500.0, device=stock.device))
    side = stock.vae_scale_factor * max(stock.latents_multiple, 2)
    # where latents are made elsewhere or before: at the denoiser, which may have units of layers
    hook = stock.denoiser.register_forward_pre_hook(stop)
    try:
        _told(stock, pipeline, texts, side, side)
    finally:
        hook.remove()
    return answers


def _has_encoders(stock: StockPipeline) -> bool:
    """Tells whether something beside the denoiser reads the text."""
    return hasattr(stock.pipeline, "encode_prompt")


def _told(
    stock: StockPipeline,
    pipeline: Any,  # noqa: ANN401 - diffusers has no common protocol
    texts: list[str],
    height: int,
    width: int,
    **more: Tensor,
) -> Tensor | None:
    """Calls a pipeline for one step of a single prediction, until it tells what was asked for."""
    family = stock.family
    # FLUX takes guidance as an input, and so does any denoiser that embeds it beside time, as LCM's
    embedded = family.distilled_guidance or stock.denoiser.config.get("time_cond_proj_dim")
    call_kwargs = {
        "prompt": texts,
        "negative_prompt": [""] * len(texts),
        "num_inference_steps": 1,
        # where it is no input of the model, the prediction is that of the text alone
        "guidance_scale": family.sampling.guidance_scale if embedded else family.off_guidance,
        "generator": [torch.Generator("cpu").manual_seed(0) for _ in texts],
        "height": height,
        "width": width,
        **more,
    }
    if "pag_scale" in inspect.signature(pipeline.__call__).parameters:
        call_kwargs["pag_scale"] = 0.0
    caller = copy.copy(stock)
    caller.pipeline = pipeline
    kwargs = caller.arguments(call_kwargs)
    set_size(pipeline, family, kwargs)
    takes_means(pipeline, stock.variants)
    if family.guidance == "guider":
        pipeline.guider = pipeline.guider.new(enabled=False)
    # without the `no_grad` that decorates it
    call: Callable[..., object] = inspect.unwrap(type(pipeline).__call__)
    try:
        call(pipeline, **kwargs, output_type="latent")
    except _Told as told:
        return told.value
    raise AssertionError("the pipeline ended without a step")


def _template(stock: StockPipeline, count: int) -> list[Any]:
    """Returns what the text encoders answer to the empty text, or to that and a longer one."""
    templates = _templates.setdefault(stock.pipeline, {})
    if count not in templates:
        with torch.no_grad():
            templates[count] = _answers(stock, ["", LONGER][:count])
    return templates[count]


def _joined(one: Any, two: Any, rows: list[Any]) -> Any:  # noqa: ANN401 - each pipeline's own
    """Returns the answers to several texts as the answer to all of them.

    Args:
        one: the answer to one text.
        two: that to two, whose form tells where texts are told apart: what is longer than in `one`.
        rows: answers to one text each.
    """
    if isinstance(one, Tensor):
        axis = _text_axis(one, two)
        return rows[0] if axis is None else _side_by_side(rows, axis)
    if not isinstance(one, list | tuple):
        return rows[0]
    singles: list[Any] = [*one]
    pairs: list[Any] = [*two]
    if len(singles) != len(pairs):
        return [each for row in rows for each in row]
    parts = [
        _mask(pairs, rows, i)
        # some say which tokens are a text's only where texts differ in length
        if singles[i] is None and isinstance(pairs[i], Tensor)
        else _joined(singles[i], pairs[i], [row[i] for row in rows])
        for i in range(len(singles))
    ]
    return tuple(parts) if isinstance(one, tuple) else parts


def _text_axis(one: Tensor, two: Tensor) -> int | None:
    """Returns the axis along which texts are told apart, None for what all of them share."""
    axes = (axis for axis in range(one.ndim) if (one.shape[axis], two.shape[axis]) == (1, 2))
    return next(axes, None)


def _mask(pairs: list[Any], rows: list[Any], i: int) -> Tensor | None:
    """Returns which tokens are each text's, (texts, longest), or None where all texts are as long.

    Args:
        pairs: the parts of the answer to two texts, with a mask.
        rows: answers to one text each.
        i: number of the mask among the parts; states of the tokens come before it.
    """
    before = next(k for k in reversed(range(i)) if isinstance(pairs[k], Tensor))
    # the axis that is as long as the mask
    axis = list(pairs[before].shape).index(pairs[i].shape[1])
    lengths = torch.tensor([row[before].shape[axis] for row in rows], device=pairs[i].device)
    if bool((lengths == lengths[0]).all()):
        return None
    places = torch.arange(int(lengths.max()), device=lengths.device)
    return (places < lengths[:, None]).to(pairs[i])


def _side_by_side(parts: list[Tensor], axis: int) -> Tensor:
    """Joins tensors along an axis, filled up with zeros at the end of all others, as masks leave out."""
    largest = [max(sides) for sides in zip(*(part.shape for part in parts), strict=True)]
    filled = [_filled_up(part, [*largest[:axis], part.shape[axis], *largest[axis + 1 :]]) for part in parts]
    return torch.cat(filled, dim=axis)


def _row(stock: StockPipeline, conditions: Mapping[str, Tensor], row: int) -> list[Any]:
    """Returns the answers of one text, in the form and precision that the pipeline's own have."""
    tensors: list[Tensor] = []
    for name in condition_names(stock)[::2]:
        shape = [slice(int(side)) for side in conditions[name + SHAPE][row]]
        tensors.append(conditions[name][row][tuple(shape)])
    return _formed(_template(stock, 1), iter(tensors))


def _tensors(value: Any) -> Iterator[Tensor]:  # noqa: ANN401 - each pipeline's own
    """Yields the tensors in lists of lists, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _formed(form: Any, tensors: Iterator[Tensor]) -> Any:  # noqa: ANN401
    """Undoes `_tensors`: tensors in the place of the form's."""
    if isinstance(form, Tensor):
        return next(tensors).to(form)
    if isinstance(form, list | tuple):
        parts: list[Any] = [_formed(each, tensors) for each in form]
        return tuple(parts) if isinstance(form, tuple) else parts
    return form


def _halved(part: Tensor) -> Tensor:
    """Returns floats in half precision; bfloat16 stays, some of whose values float16 cannot hold."""
    return part.half() if part.is_floating_point() and part.dtype != torch.bfloat16 else part


def _filled_up(part: Tensor, sides: Sequence[int]) -> Tensor:
    """Adds zeros at the end of each axis."""
    lacking = [side - own for side, own in zip(sides, part.shape, strict=True)]
    # `pad` counts axes from the last one, each with what comes before and after
    return functional.pad(part, [count for after in reversed(lacking) for count in (0, after)])
