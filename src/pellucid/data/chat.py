"""Asks a language model behind an OpenAI-compatible address: vLLM, llama.cpp, Ollama, or OpenAI's own."""

import base64
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pellucid.errors import ConfigError, FileError, InputError, first_line

TIMEOUT_S = 120.0
"""For which a server may say nothing at all."""
DEADLINE_S = 300.0
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
    deadline_s: float = DEADLINE_S
    """For one whole answer, however often the server gives a sign of life."""

    def __post_init__(self) -> None:
        if not 0 < self.deadline_s < math.inf:
            raise ConfigError(f"Expected a deadline above 0 seconds, got {self.deadline_s}. Change it.")
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
            FileError: it refuses this question, answers in another form, or not whole by the deadline.
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
        from urllib3.util import parse_url

        from pellucid.data.deadlines import Deadline

        key = os.environ.get(self.key_variable)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        address = f"{self.url.rstrip('/')}/chat/completions"
        with Deadline(self.deadline_s) as deadline:
            try:
                timeout = min(TIMEOUT_S, self.deadline_s)
                with deadline.watch(urllib3.connection_from_url(address, timeout=timeout)) as pool:
                    path = parse_url(address).request_uri
                    response = pool.request("POST", path, json=body, headers=headers, retries=False)
                status, content = response.status, response.data
            except (urllib3.exceptions.HTTPError, OSError) as error:
                status, content = 0, first_line(error).encode()
            # before anything is believed: an answer that was cut off may look whole
            if deadline.passed:
                raise FileError(
                    f"Expected a whole answer of {self.model} at {self.url} within {self.deadline_s:g} s, "
                    "found none. Give the server longer (--deadline-s), or ask a faster one."
                )
        try:
            return status, json.loads(content)
        except ValueError:  # no JSON: a proxy's page, say
            return status if status != 200 else 502, content.decode("utf-8", "replace")[:200]


def _text_of(answer: object, url: str) -> str:
    try:
        choices = cast("dict[str, Sequence[dict[str, dict[str, str]]]]", answer)["choices"]
        return choices[0]["message"]["content"].rpartition(THOUGHTS)[2].strip()
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise FileError(
            f"Expected an answer with choices from {url}, found {str(answer)[:200]}. Use a server that "
            "speaks OpenAI's chat completions."
        ) from error
