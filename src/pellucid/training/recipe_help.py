"""What `pellucid train STAGE --help` says of a stage's fields: their names, defaults and docstrings."""

import ast
import inspect
import textwrap
from dataclasses import MISSING, Field, fields
from functools import cache

from pellucid.training.recipe import ONLY_IN, Recipe
from pellucid.training.stages.layer_options import ConditionalLayersOptions, JointLayersOptions
from pellucid.training.stages.options import (
    AutoencoderOptions,
    BaseOptions,
    ControlOptions,
    TransparentOptions,
    VaeOptions,
)

# By hand and not from the stages, which would load torch for a help text.
TABLES: dict[str, tuple[type, ...]] = {
    "vae": (VaeOptions,),
    "autoencoder": (AutoencoderOptions,),
    "base": (BaseOptions,),
    "transparent": (TransparentOptions,),
    "layers": (JointLayersOptions, ConditionalLayersOptions),
    "control": (ControlOptions,),
}
"""Dataclasses of a stage's `model` table."""
APART = ("stage", "model")
"""Fields of a recipe that are no fields of its table."""


def stage_help(stage: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns sections of a stage's help: a heading, and each field with its default and meaning."""
    common = [
        row
        for row in _rows(Recipe)
        if row[0].split(" ")[0] not in APART and stage in ONLY_IN.get(row[0].split(" ")[0], (stage,))
    ]
    stage_sections = [(_first_line(kind), _rows(kind)) for kind in TABLES[stage]]
    return [(f"Fields of the recipe: [{stage}], or outside all tables", common), *stage_sections]


@cache
def field_docs(kind: type) -> dict[str, str]:
    """Returns the text under each field of a dataclass, those that it inherits included."""
    docs: dict[str, str] = {}
    # bases first, so that a class may say something else of a field that it inherits
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("pellucid."):
            # a text under a field is no attribute of anything: only the source has it
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            assert isinstance(tree, ast.ClassDef)
            docs |= _texts_under_names(tree)
    return docs


def _texts_under_names(tree: ast.ClassDef) -> dict[str, str]:
    texts: dict[str, str] = {}
    # a field's text is the statement that follows it
    for statement, below in zip(tree.body, tree.body[1:], strict=False):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            texts[statement.target.id] = " ".join(str(below.value.value).split())
    return texts


def _rows(kind: type) -> list[tuple[str, str]]:
    docs = field_docs(kind)
    return [(f"{field.name} [{_default(field)}]", docs.get(field.name, "")) for field in fields(kind)]


def _default(field: "Field[object]") -> str:
    if field.default is MISSING:
        return "required" if field.default_factory is MISSING else "empty"
    if isinstance(field.default, tuple):
        several: tuple[object, ...] = field.default
        return str(list(several))
    return {"": '""', "None": "left out", "True": "true", "False": "false"}.get(
        str(field.default), str(field.default)
    )


def _first_line(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").splitlines()[0].replace("`", "").rstrip(".")
