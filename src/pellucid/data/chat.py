"""Asks a language model behind an OpenAI-compatible address: vLLM, llama.cpp, Ollama, or OpenAI's own."""

import base64
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pellucid.errors import FileError, InputError, first_line

TIMEOUT_S = 120.0
ATTEMPTS = 4
PASSING = frozenset({0, 408, 409, 429, 500, 502, 503, 504})
"""Statuses after which asking again may help; 0 is no connection."""


THOUGHTS = "</think>"
"""Ends what some models write before their answer."""
OF_ONE_QUESTION = frozenset({400, 413, 422})
"""Statuses that refuse a question; any other failure would meet the next question too."""


class NoAnswer(FileError):
    """The server is not there, refuses this client, or does not know the model: asking more is of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatModel:
    """One model of an OpenAI-compatible server."""

    url: str
    """Base of its addresses, such as http://localhost:8000/v1."""
    model: str
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the key; none is sent where it is not set."""
    max_tokens: int = 200
    temperature: float = 0.0
    pause_s: float = 1.0
    """Before the second attempt; it doubles."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InputError(
                f"Expected an address that begins with http:// or https://, found {self.url!r}. Name the "
                "server's base address, such as http://localhost:8000/v1."
            )

    def ask(self, question: str, *, png: bytes | None = None, seed: int | None = None) -> str:
        """Returns the model's answer.

        Args:
            question: what to ask.
            png: an image to ask about.
            seed: for servers that can repeat an answer.

        Raises:
            NoAnswer: the server does not answer, or refuses every question.
            FileError: it refuses this question, or answers in another form.
        """
        content: list[dict[str, object]] = [{"type": "text", "text": question}]
        if png is not None:
            address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
            content.append({"type": "image_url", "image_url": {"url": address}})
        body: dict[str, object] = {
            "model": self.model,
            "messages": [{"role": "user", "content": content if png is not None else question}],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        if seed is not None:
            body["seed"] = seed
        status, answer = 0, object()
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(self.pause_s * 2 ** (attempt - 1))
            status, answer = self._post(body)
            if status == 200:
                return _text_of(answer, self.url)
            # a wrong key or model stays wrong, and asking again may be charged
            if status not in PASSING:
                break
        kind = FileError if status in OF_ONE_QUESTION else NoAnswer
        raise kind(
            f"Expected an answer of {self.model} at {self.url}, found {status or 'no connection'}: "
            f"{str(answer)[:200]}. Check the address, the model's name and ${self.key_variable}."
        )

    def _post(self, body: dict[str, object]) -> tuple[int, object]:
        import urllib3

        key = os.environ.get(self.key_variable)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        address = f"{self.url.rstrip('/')}/chat/completions"
        try:
            response = urllib3.request(
                "POST", address, json=body, headers=headers, timeout=TIMEOUT_S, retries=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return 0, first_line(error)
        try:
            return response.status, response.json()
        except ValueError:  # no JSON: a proxy's page, say
            return response.status if response.status != 200 else 502, response.data[:200]


def _text_of(answer: object, url: str) -> str:
    try:
        choices = cast("dict[str, Sequence[dict[str, dict[str, str]]]]", answer)["choices"]
        return choices[0]["message"]["content"].rpartition(THOUGHTS)[2].strip()
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise FileError(
            f"Expected an answer with choices from {url}, found {str(answer)[:200]}. Use a server that "
            "speaks OpenAI's chat completions."
        ) from error
