"""Every pipeline class of the installed diffusers is of a family, or is refused with its reason."""

import importlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

import tiny
import tiny_newer_families
import tiny_variants
from pellucid.errors import InputError
from pellucid.pipelines.families import FAMILIES, ROWS
from pellucid.pipelines.refused_pipelines import BY_CLASS, BY_PACKAGE, refusal_of
from pellucid.pipelines.stock import family_of
from pellucid.pipelines.variants import check_packages

ROOT = Path(__file__).parents[2]
STRUCTURE: dict[str, list[str]] = importlib.import_module("diffusers.pipelines")._import_structure
PACKAGES = {
    name: package for package, names in STRUCTURE.items() for name in names if name.endswith("Pipeline")
}
KNOWN = {name for row in ROWS for variants in row.variants for name in variants.names}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_class_works_or_is_refused(name: str) -> None:
    refusal = refusal_of(name, PACKAGES[name])
    if name in KNOWN:
        # a package may be refused for its other classes
        assert name not in BY_CLASS
    else:
        assert refusal is not None, f"{name} of {PACKAGES[name]}: add a row, or a reason to refuse it"
        assert not refusal.reason.endswith(".")
        assert refusal.advice.endswith(".")


def test_nothing_is_told_of_classes_that_do_not_exist() -> None:
    lost = {"KolorsPipeline", "KolorsImg2ImgPipeline"}  # in diffusers' own list under another condition
    assert KNOWN - lost <= set(PACKAGES)
    assert set(BY_CLASS) <= set(PACKAGES)
    assert set(BY_PACKAGE) <= set(STRUCTURE)


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - KNOWN - {"DiffusionPipeline"}))
def test_a_refusal_is_short_and_says_what_to_do(name: str) -> None:
    module = f"diffusers.pipelines.{PACKAGES[name]}.some_module"
    cls = type(name, (DiffusionPipeline,), {"__module__": module})
    for kind in (cls, type("UsersOwn", (cls,), {"__module__": "elsewhere"})):
        with pytest.raises(InputError) as caught:
            family_of(kind.__new__(kind))
        text = str(caught.value)
        assert len(text) <= 200
        assert re.fullmatch(rf"Expected .*docs/families\.md, found {kind.__name__}, which .*\. .*\.", text)


def test_a_pipeline_of_a_users_own_is_told_where_to_look() -> None:
    strange = type("Strange" * 20, (DiffusionPipeline,), {})
    with pytest.raises(InputError, match=r"docs/families\.md, found Strange") as caught:
        family_of(strange.__new__(strange))
    assert len(str(caught.value)) <= 200


def test_a_package_that_is_not_there_is_named() -> None:
    check_packages(FAMILIES["prx"])
    with pytest.raises(InputError, match=r"package no_such for PRX, found none\. Install it"):
        check_packages(replace(FAMILIES["prx"], packages=("no_such",)))


def test_each_family_is_tried_on_a_real_pipeline() -> None:
    tried = {*tiny_newer_families.BUILDERS, *(variant.family for variant in tiny_variants.VARIANTS.values())}
    tried |= {
        "sd15",
        "sdxl",
        "sd21",
        "sd3",
        "flux",
        "pixart-alpha",
        "pixart-sigma",
    }  # test_families, test_attach
    assert {row.name for row in ROWS} == tried
    assert family_of(tiny.sd15())[0].name == "sd15"


def test_the_documented_tables_are_the_rows() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "families.py", "--check"],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
