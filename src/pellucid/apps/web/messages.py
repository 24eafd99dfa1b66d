"""Types that the messages of all pages are made of."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from pellucid.apps.terminal import TURNING


def _writable(text: str) -> str:
    # control characters, which PostgreSQL refuses, and halves of characters, which no encoding has
    if any(unicodedata.category(each) in ("Cc", "Cs") or each in TURNING for each in text):
        raise ValueError("Expected text, found characters that cannot be shown")
    return text


WRITABLE = AfterValidator(_writable)
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80), WRITABLE]
Key = Annotated[str, StringConstraints(min_length=8, max_length=64, pattern=r"^[\w-]+$")]
"""An id that the page makes."""


class Message(BaseModel):
    """Base of all: a field that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)
