"""Keeps libraries from reporting what we decide: a long prompt is cut where the tokenizer's limit lies."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("diffusers", "transformers")


@contextmanager
def quiet() -> Iterator[None]:
    """Lets only errors through from diffusers and transformers, and restores their levels."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
