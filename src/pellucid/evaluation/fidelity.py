"""Whether an image shows what its prompt says: CLIP's cosine of both (Radford et al. 2021)."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float

from pellucid.errors import WeightsError, first_line
from pellucid.evaluation.blending import on_white
from pellucid.rgba.types import RGBA8

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""CLIP's own normalisation of values in [0, 1]."""


class ClipFidelity:
    """Compares images on white with their prompts by a CLIP model of transformers.

    Figures of two CLIP models cannot be compared; reports name the model.
    """

    def __init__(self, source: str) -> None:
        """Loads a model.

        Args:
            source: folder, or name on the hub, with the model's and the tokenizer's files.

        Raises:
            WeightsError: there is no such model.
        """
        from transformers import CLIPModel, CLIPTokenizer

        try:
            self._model = CLIPModel.from_pretrained(source, use_safetensors=True).eval()
            self._tokenizer = CLIPTokenizer.from_pretrained(source)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise WeightsError(
                f"Expected a CLIP model with tokenizer in {source}, found {first_line(error)}. Name another."
            ) from error
        config = self._model.config.to_dict()
        self._side_px = int(config["vision_config"]["image_size"])
        self._most_tokens = int(config["text_config"]["max_position_embeddings"])
        self.name = f"{source.rstrip('/').rpartition('/')[2]} (CLIP)"

    @torch.no_grad()
    def scores(self, images: Sequence[RGBA8], prompts: Sequence[str]) -> list[float]:
        """Returns 100 times the cosine of each image, laid over white, with its prompt."""
        found: list[float] = []
        for image, prompt in zip(images, prompts, strict=True):
            pixels = torch.from_numpy(self._pixels(image, self._side_px))
            tokens = self._tokenizer(
                prompt,
                truncation=True,
                max_length=self._most_tokens,
                return_tensors="pt",
            )
            output = self._model(pixel_values=pixels, **tokens)
            cosine = torch.nn.functional.cosine_similarity(output.image_embeds, output.text_embeds)
            found.append(100 * float(cosine))
        return found

    @staticmethod
    def _pixels(image: RGBA8, side: int) -> Float[np.ndarray, "1 3 p q"]:
        """Scales the shorter side and cuts the middle out, as CLIP's own preprocessing does."""
        rgb = on_white(image).astype(np.float32)
        height, width = rgb.shape[:2]
        scale = side / min(height, width)
        size = max(side, round(width * scale)), max(side, round(height * scale))
        scaled = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        top, left = (scaled.shape[0] - side) // 2, (scaled.shape[1] - side) // 2
        middle = np.clip(scaled[top : top + side, left : left + side], 0, 1)
        normal = (middle - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], dtype=np.float32)
