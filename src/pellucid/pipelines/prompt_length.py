"""Prompts that are longer than a model reads: what is cut off is said, and never in silence."""

import warnings
from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from pellucid.errors import PromptWarning

LONGEST = 100_000
"""Limits above are those of tokenizers that state none."""


@runtime_checkable
class Tokenizer(Protocol):
    """What is asked of a tokenizer of transformers here."""

    model_max_length: int

    def encode(self, text: str) -> list[int]: ...

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str: ...


def cut_off(text: str, tokenizers: Iterable[object]) -> str:
    """Returns the end of a text that no tokenizer reads; "" where one reads it all.

    Args:
        text: the prompt.
        tokenizers: of a pipeline; those without a limit are left out.
    """
    limited = [
        each for each in tokenizers if isinstance(each, Tokenizer) and 2 < each.model_max_length < LONGEST
    ]
    if not limited:
        return ""
    tokenizer = max(limited, key=lambda each: each.model_max_length)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tokens = tokenizer.encode(text)
    if len(tokens) <= tokenizer.model_max_length:
        return ""
    # the last place that is read belongs to the token that ends a text
    return tokenizer.decode(tokens[tokenizer.model_max_length - 1 :], skip_special_tokens=True).strip()


def warn_of_cut_prompts(texts: Iterable[str], pipeline: object) -> None:
    """Warns of each text of which a pipeline's encoders do not read all.

    Warns:
        PromptWarning: says what was cut off.
    """
    tokenizers = [getattr(pipeline, name, None) for name in ("tokenizer", "tokenizer_2", "tokenizer_3")]
    for text in dict.fromkeys(texts):
        if rest := cut_off(text, tokenizers):
            warnings.warn(
                PromptWarning(f"The prompt is longer than the model reads. Cut off: {rest[:300]!r}."),
                stacklevel=2,
            )
