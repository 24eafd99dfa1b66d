"""Every error Pellucid raises on purpose; each is also the standard class that people expect.

    PellucidError
    ├── InputError (ValueError)      an argument, prompt or array does not fit
    │   └── ConfigError              a recipe or option is wrong
    ├── FileError (OSError)          an image or document cannot be read or written
    ├── WeightsError (OSError)       a checkpoint is absent, damaged, or does not fit the model
    └── ServerError (OSError)        a server cannot be reached, refuses its caller, or failed

Beside them stand FileWarning (UserWarning), of a file that was read without a part that makes no sense, and
PromptWarning (UserWarning), of a prompt whose end was cut off.

A message has two sentences: what was expected and found, then what to do.
"""

from collections.abc import Collection


def first_line(error: Exception) -> str:
    """Returns what another library's error says, short enough for the first sentence of one of ours.

    Of pydantic's errors, whose first line only counts them, the first field and what is wrong with it; of the
    system's, the reason without its number and path.
    """
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    # by its name: pydantic takes long to import, and most commands need none of it
    if type(error).__name__ == "ValidationError" and isinstance(error, ValueError):
        # below the count stand the field, unless it is the whole, and what is wrong with it, with a type
        lines = text.partition(" [type=")[0].splitlines()[1:]
        text = ": ".join(line.strip().removeprefix("Value error, ") for line in lines)
    return (text.strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]


def missing_package(package: str, purpose: str, extra: str) -> "InputError":
    """Makes the error for a package that only some people need.

    Args:
        package: what was not found.
        purpose: what it is for, as in "reading tables".
        extra: of Pellucid that brings it.
    """
    return InputError(
        f"Expected {package} for {purpose}, found none. Install it with `pip install 'pellucid[{extra}]'`."
    )


class PellucidError(Exception):
    """Base of all errors that a user can cause and mend."""


class InputError(PellucidError, ValueError):
    """An argument, prompt or array does not fit."""


class ConfigError(InputError):
    """A recipe or option is wrong."""


class FileError(PellucidError, OSError):
    """An image or document cannot be read or written."""


class FileWarning(UserWarning):
    """A file was read, but not all that it says could be honoured."""


class PromptWarning(UserWarning):
    """A prompt is longer than the model reads, and its end was cut off."""


class ServerError(PellucidError, OSError):
    """A server cannot be reached, refuses its caller, or failed at what it was asked for."""


class WeightsError(PellucidError, OSError):
    """A checkpoint is absent, damaged, or does not fit the model."""

    @classmethod
    def mismatch(
        cls, path: object, *, missing: Collection[str], unexpected: Collection[str]
    ) -> "WeightsError":
        """Names at most three tensors of each kind: enough to recognise the wrong file."""
        return cls(
            f"{path} does not fit this model: {len(missing)} tensors missing {sorted(missing)[:3]}, "
            f"{len(unexpected)} not expected {sorted(unexpected)[:3]}. "
            "Compare the model's config, or list known checkpoints with `pellucid models list`."
        )
