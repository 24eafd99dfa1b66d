"""The images API field by field: what is asked for and what is answered.

Names, types and defaults are those of OpenAI's API, with extensions of our own at the end of each message. A
field is honoured or refused with its name; nothing is left out in silence.
"""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pellucid.apps.server.errors import refuse
from pellucid.pipelines.arguments import MAX_SEED, MAX_STEPS
from pellucid.serving.encoding import LOSSLESS, Encoding, ImageFormat
from pellucid.serving.requests import MAX_COUNT, MAX_PROMPT
from pellucid.serving.results import Background

Quality = Literal["low", "medium", "high"]
QUALITIES: dict[str, Quality] = {"auto": "medium", "standard": "medium", "hd": "high"}
"""Words of the API that mean another."""
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
LayersFormat = Literal["psd", "ora", "zip"]


class LayersOptions(BaseModel):
    """Asks for layers beside the flat image."""

    model_config = ConfigDict(extra="forbid")

    foreground: Annotated[str, Field(max_length=MAX_PROMPT)] | None = None
    """What the transparent layer shows; None takes `prompt`. Not with given images."""
    background: Annotated[str, Field(max_length=MAX_PROMPT)] | None = None
    """What the layer below shows; needed without given images."""
    composite: Annotated[str, Field(max_length=MAX_PROMPT)] | None = None
    """What both together show."""
    box: Annotated[list[int], Field(min_length=4, max_length=4)] | None = None
    """(top, left, height, width) in pixels that a new layer on given images is made for."""
    format: LayersFormat | None = None
    """Of a document with all layers, which the answer then holds."""


class CommonFields(BaseModel):
    """What generations and edits have in common."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT)]
    model: Annotated[str, Field(max_length=400)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    """transparent: an image that turns out opaque is made again or refused. opaque: laid on white. auto: as
    it was made, but a JPEG is laid on white."""
    output_format: ImageFormat | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | None = None
    """Steps of sampling: medium is the model's own number, low half of it, high twice as many."""
    response_format: Literal["b64_json", "url"] | None = None
    size: Annotated[str, Field(max_length=11)] | None = None
    """WIDTHxHEIGHT in pixels, any; "auto" is the model's own size, or that of the given image."""
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None
    """Among callers without a token, whose turn it is."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    negative_prompt: Annotated[str, Field(max_length=MAX_PROMPT)] | None = None
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    guidance: Annotated[float, Field(ge=0, le=100)] | None = None
    layers: LayersOptions | None = None

    def encoding(self) -> Encoding:
        """Returns how images are handed out.

        Raises:
            ApiError: fields that contradict each other.
        """
        file_format = self.output_format or "png"
        if file_format == "jpeg" and self.background == "transparent":
            raise refuse(
                "Expected png or webp with a transparent background, found jpeg, which has no alpha. "
                "Choose another output_format.",
                "output_format",
            )
        if file_format == "png" and self.output_compression not in (None, LOSSLESS):
            raise refuse(
                "Expected output_compression with webp or jpeg, found png, which is lossless. Leave it out.",
                "output_compression",
            )
        compression = LOSSLESS if self.output_compression is None else self.output_compression
        return Encoding(format=file_format, compression=compression, opaque=self.background == "opaque")

    def height_and_width(self, max_pixels: int) -> tuple[int, int] | None:
        """Returns the size that is asked for, (height, width) in pixels; None for "auto".

        Raises:
            ApiError: not a size, or too large.
        """
        if self.size in (None, "auto"):
            return None
        found = SIZE.fullmatch(self.size)
        width, height = (int(side) for side in found.groups()) if found else (0, 0)
        if min(width, height) < 1 or width * height > max_pixels:
            raise refuse(
                f"Expected size as WIDTHxHEIGHT of at most {max_pixels} pixels, or auto, "
                f"found {self.size!r}. Write for instance 1024x1024.",
                "size",
            )
        return height, width

    def check_stream(self) -> None:
        """Raises ApiError for unfinished images where none can be sent."""
        if not self.partial_images:
            return
        if not self.stream:
            raise refuse(
                "Expected stream with partial_images, found none. Set stream to true.", "partial_images"
            )
        if self.layers is not None:
            raise refuse(
                "Expected no partial_images with layers, which are made in several passes. Leave one out.",
                "partial_images",
            )

    @property
    def sampling(self) -> dict[str, object]:
        """Returns the keywords of the pipeline's methods that these fields mean."""
        asked = "auto" if self.quality is None else self.quality
        found: dict[str, object] = {
            "count": self.n,
            "seed": self.seed,
            "negative_prompt": self.negative_prompt,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "quality": QUALITIES.get(asked, asked),
        }
        return {name: value for name, value in found.items() if value is not None}


class GenerationRequest(CommonFields):
    """Images from text."""

    moderation: Literal["low", "auto"] | None = None
    """Accepted, and nothing is moderated: this server has no classifier."""
    style: str | None = None
    """Refused: no model here has such a switch."""

    def check(self) -> None:
        """Raises ApiError for what cannot be honoured."""
        self.check_stream()
        if self.style is not None:
            raise refuse(
                "Expected no style, which no model here has. Say it in the prompt.",
                "style",
                "unsupported_parameter",
            )
        if self.layers is not None and self.layers.background is None:
            raise refuse(
                "Expected layers.background, what the layer below shows, found none. Add it.",
                "layers.background", "missing_required_parameter",
            )  # fmt: skip
        if self.layers is not None and self.layers.box is not None:
            raise refuse("Expected layers.box with given images only. Leave it out.", "layers.box")


class EditRequest(CommonFields):
    """One image repainted, inside a mask or as a whole, or a layer that is added to one or several."""

    input_fidelity: Literal["high", "low"] | None = None
    """How much of an image without a mask stays: strength 0.4 for high, 0.7 for low."""

    def check(self) -> None:
        """Raises ApiError for what cannot be honoured."""
        self.check_stream()
        if self.layers is not None and (self.layers.background or self.layers.foreground):
            raise refuse(
                "Expected no other prompts with given images than `prompt`, the new layer's. Leave them out.",
                "layers",
            )


class VariationRequest(BaseModel):
    """Another image like the one that is given."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(max_length=400)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_COUNT)] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    size: Annotated[str, Field(max_length=11)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None


class LayerAnswer(BaseModel):
    """A layer of an image."""

    name: str
    b64_json: str
    box: list[int]
    """(top, left, height, width) in pixels of the canvas."""
    z: int
    """Place in the stack, 0 at the bottom."""
    blend_mode: str
    opacity: float


class ImageAnswer(BaseModel):
    """One image."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None
    seed: int | None = None
    background: Background | None = None
    """Measured in this image."""
    layers: list[LayerAnswer] | None = None
    document: str | None = None
    """The file with all layers, base64, where `layers.format` asked for one."""


class TokenDetails(BaseModel):
    """Tokens by kind."""

    text_tokens: int
    image_tokens: int


class Usage(BaseModel):
    """Sizes of what came and went: text in the model's tokens, images in squares of 16 pixels a side."""

    input_tokens: int
    input_tokens_details: TokenDetails
    output_tokens: int
    total_tokens: int


class ImagesResponse(BaseModel):
    """The answer to generations, edits and variations."""

    created: int
    data: list[ImageAnswer]
    background: Background
    """opaque only where every image is."""
    output_format: ImageFormat
    quality: Quality
    size: str
    """Of the first image, WIDTHxHEIGHT."""
    usage: Usage
    model: str
    """The model that made them."""


class Model(BaseModel):
    """A model that requests may name."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "pellucid"


class ModelList(BaseModel):
    """All models of the server."""

    object: Literal["list"] = "list"
    data: list[Model]
