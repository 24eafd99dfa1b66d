"""Prompts on their way to the text encoder, and what a user should be told of them."""

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pellucid.pipelines.arguments import Request
from pellucid.vocabulary.names import known
from pellucid.vocabulary.reading import read_prompt

NEAREST = 5
"""Names that are told of a prompt that has none."""
AT_ONCE = 128
LONG = 80
"""Characters; of a longer prompt only what is read otherwise is told."""
NO_LIMIT = 100_000
"""Tokenizers without a limit have an astronomical one."""
log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True, eq=False)
class PromptReader:
    """Reads the prompts of one model, and tells of each once."""

    translates: bool = False
    """Whether words are read as names of the embedded model; attached pipelines get prompts untouched."""
    tell: Callable[[str], None] = log.info
    """Gets a line for each thing to know: what was read as what, what is unknown, what was cut off."""
    stated: Mapping[str, str] = field(default_factory=dict[str, str])
    """What prompts were read as when a file was made, which a later table of words does not change."""
    _told: set[str] = field(default_factory=set[str])
    _names: "NearestNames | None" = None

    def text_of(self, prompt: str) -> str:
        """Returns what the text encoder gets for a prompt."""
        if not self.translates:
            return prompt
        return self.stated[prompt] if prompt in self.stated else read_prompt(prompt).text

    @contextmanager
    def reading_as(self, stated: Mapping[str, str]) -> Generator[None]:
        """Reads prompts as a file states that they were read, as long as the block lasts."""
        before, self.stated = self.stated, stated
        try:
            yield
        finally:
            self.stated = before

    def read(self, pipeline: Any, requests: Sequence[Request]) -> list[Request]:  # noqa: ANN401 - diffusers'
        """Returns the requests as the stock pipeline gets them."""
        for prompt in dict.fromkeys(request.prompt for request in requests):
            if prompt not in self._told:
                self._told.add(prompt)
                for line in self._lines(pipeline, prompt):
                    self.tell(line)
        return [
            replace(
                request,
                prompt=self.text_of(request.prompt),
                negative_prompt=self.text_of(request.negative_prompt),
            )
            for request in requests
        ]

    def extra_of(self, request: Request) -> dict[str, object]:
        """Returns what metadata say beside the user's own prompts: what was read in their place."""
        prompt, negative = self.text_of(request.prompt), self.text_of(request.negative_prompt)
        read: dict[str, object] = {"prompt_read_as": prompt} if prompt != request.prompt else {}
        return read | ({"negative_read_as": negative} if negative != request.negative_prompt else {})

    def _lines(self, pipeline: Any, prompt: str) -> list[str]:  # noqa: ANN401
        lines: list[str] = []
        text = self.text_of(prompt)
        reading = read_prompt(prompt) if self.translates else None
        # one that a file states otherwise was not read anew
        if reading is not None and reading.text == text:
            whole = [(prompt, text)] if len(prompt) <= LONG and reading.read else reading.read
            lines += [f'"{words}" is read as "{meaning}".' for words, meaning in whole]
            unknown = ", ".join(f'"{word}"' for word in reading.unknown)
            if reading.far:
                self._names = self._names or NearestNames(pipeline.tokenizer, pipeline.text_encoder)
                found = ", ".join(self._names.nearest(text, NEAREST))
                what = f"Unknown: {unknown}" if unknown else f'"{text:.{LONG}}" names nothing that is known'
                lines.append(f"{what}; nearest known: {found}.")
            elif unknown:
                lines.append(f"Unknown: {unknown}.")
        cut = cut_off(pipeline, text)
        return (
            [*lines, f'The prompt is too long for the model, which does not see its end: "{cut}".']
            if cut
            else lines
        )


class NearestNames:
    """Finds names by meaning, with the text encoder of the embedded model."""

    def __init__(self, tokenizer: Any, text_encoder: Any) -> None:  # noqa: ANN401 - transformers'
        """Encodes all names, which takes about a second."""
        self._tokenizer, self._encoder = tokenizer, text_encoder
        table = known()
        self._names = [*(subject.name for subject in table.subjects), *table.scenes]
        # by length, since a batch is as long as its longest
        self._names.sort(key=len)
        parts = [self._names[at : at + AT_ONCE] for at in range(0, len(self._names), AT_ONCE)]
        self._vectors = torch.cat([self._encode(part) for part in parts])

    def nearest(self, text: str, count: int) -> list[str]:
        """Returns the names whose meaning is nearest to that of a text, the nearest first."""
        likeness = self._vectors @ self._encode([text])[0]
        return [self._names[place] for place in likeness.topk(min(count, len(self._names))).indices.tolist()]

    @torch.no_grad()
    def _encode(self, texts: Sequence[str]) -> Tensor:
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        mask = tokens["attention_mask"].to(self._encoder.device)
        hidden = self._encoder(tokens["input_ids"].to(self._encoder.device), attention_mask=mask)[0].float()
        # mean over words, as sentence-transformers pools this encoder
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return torch.nn.functional.normalize(mean, dim=-1).cpu()


def cut_off(pipeline: Any, text: str) -> str:  # noqa: ANN401
    """Returns the end of a text that no tokenizer of a pipeline has room for; "" where all of it is seen."""
    names = ("tokenizer", "tokenizer_2", "tokenizer_3")
    found: list[Any] = [getattr(pipeline, name, None) for name in names]
    tokenizers = {int(each.model_max_length): each for each in found if getattr(each, "is_fast", False)}
    if not tokenizers:
        return ""
    # the longest decides, since each sees the whole prompt
    limit = max(tokenizers)
    # no token is shorter than a letter
    if limit > NO_LIMIT or len(text) < limit - 2:
        return ""
    spans = tokenizers[limit](text, return_offsets_mapping=True, truncation=False, verbose=False)[
        "offset_mapping"
    ]
    # the last place is taken by the end's own token
    return text[spans[limit - 1][0] :] if len(spans) > limit else ""
