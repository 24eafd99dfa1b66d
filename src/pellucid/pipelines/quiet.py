"""Keeps libraries from reporting what we decide: a long prompt is cut where the tokenizer's limit lies."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging

LOGGERS = ("diffusers", "transformers")


@contextmanager
def quiet() -> Generator[None]:
    """Lets only errors through from diffusers and transformers, without bars, and restores all afterwards."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    barred = transformers_logging.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of configs that others wrote
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if barred:
            transformers_logging.enable_progress_bar()
