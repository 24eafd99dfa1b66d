"""Errors of the library in the words of the command line: options instead of arguments of Python.

The library's errors are written for those who call it. Where they name what only Python has, the command line
says the same of its own; `tests/apps/test_wording.py` looks for names that are left.
"""

import re
from collections.abc import Callable

from pellucid.apps.terminal import printable

OPTIONS = {
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "negative_prompt": "--negative",
    "hires_strength": "--hires",
    "fix_background": "--fix-background",
    "control_kind": "--control-kind",
    "adapter_end": "--adapter-end",
}
"""Argument -> option of the same meaning."""
PHRASES = {
    "Attach one with `layers=`, or take": "Take",
    "Take mini, or attach a pipeline with a ControlNet and pass pipeline_inputs.": "Take mini.",
    "Attach a pipeline with a ControlNet instead, and pass pipeline_inputs.": "Take another model.",
    ", or Scene.save for .psd, .ora and .zip": ", or .psd, .ora or .zip",
    "Scene.save wrote": "Pellucid wrote",
    "Take one of `scene.layers`, or a name.": "Take a name.",
    "Give it again.": "Give it with --control.",
}
PATTERNS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r", or pass pipeline_inputs=\{[^}]*\}, at twice the time", ""),
    (r"\bPass an? (?:int|whole number)\b", "Give a whole number"),
    (r"\bPass a float\b", "Give a number"),
    (r"\bPass a str\b", "Give a text"),
    (r"\bPass\b", "Give"),
    (rf"\b({'|'.join(OPTIONS)})\b", lambda match: OPTIONS[match[1]]),
)


def in_shell_words(error: BaseException) -> str:
    """Returns an error as one line for a terminal, without the names of Python's arguments."""
    # a library's reason may have lines
    text = " ".join(str(error).split())
    for said, meant in PHRASES.items():
        text = text.replace(said, meant)
    for pattern, meant in PATTERNS:
        text = re.sub(pattern, meant, text)
    return printable(text)
