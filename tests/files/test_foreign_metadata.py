"""What ComfyUI and the web UI wrote into their images is shown in plain words."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pellucid.apps.cli import cli
from pellucid.files.foreign_metadata import read_foreign

PARAMETERS = """a glass bottle, (honey:1.2)
on a table
Negative prompt: blurry, text
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 1234567890, Size: 512x768, \
Model hash: 6ce0161689, Model: "v1, pruned", Denoising strength: 0.4, Version: v1.10.1"""
GRAPH = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 99,
            "steps": 20,
            "cfg": 8.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["4", 0],
            "positive": ["12", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red fox", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "a dog", "clip": ["4", 1]}},
    "12": {
        "class_type": "ConditioningCombine",
        "inputs": {"first": ["6", 0], "a": ["12", 0], "b": ["12", 0]},
    },
}


def save(path: Path, **texts: str) -> None:
    info = PngInfo()
    for key, value in texts.items():
        info.add_text(key, value)
    Image.new("RGBA", (4, 3)).save(path, pnginfo=info)


def test_parameters_of_the_web_ui() -> None:
    assert read_foreign({"parameters": PARAMETERS}) == {
        "made by": "AUTOMATIC1111 web UI",
        "prompt": "a glass bottle, (honey:1.2)\non a table",
        "negative_prompt": "blurry, text",
        "steps": 28,
        "sampler": "DPM++ 2M",
        "schedule": "Karras",
        "guidance": 6.5,
        "seed": 1234567890,
        "model": "v1, pruned",
        "strength": 0.4,
    }


def test_graphs_of_comfyui() -> None:
    assert read_foreign({"prompt": json.dumps(GRAPH), "workflow": "{}"}) == {
        "made by": "ComfyUI",
        "prompt": "a red fox",
        "negative_prompt": "a dog",
        "seed": 99,
        "steps": 20,
        "guidance": 8.0,
        "sampler": "euler",
        "schedule": "normal",
        "strength": 1.0,
        "model": "sd15.safetensors",
    }


def test_show_prints_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path("comfy.png"), prompt=json.dumps(GRAPH))
    save(Path("web.png"), parameters=PARAMETERS)
    shown = CliRunner().invoke(cli, ["show", "comfy.png"]).output.splitlines()
    assert {"made by: ComfyUI", "prompt: a red fox", "seed: 99", "steps: 20", "sampler: euler"} <= set(shown)
    told = json.loads(CliRunner().invoke(cli, ["show", "web.png", "--json"]).output)
    assert (told["seed"], told["sampler"]) == (1234567890, "DPM++ 2M")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"3": 4}', '{"3": {"class_type": 1}}', "[" * 100_000, "a cat"]
)
def test_other_texts_say_nothing_of_use(text: str) -> None:
    assert set(read_foreign({"prompt": text})) <= {"made by"}
    assert read_foreign({"parameters": text}) == {}


@given(st.text(), st.text())
def test_no_text_is_a_traceback(prompt: str, parameters: str) -> None:
    read_foreign({"prompt": prompt})
    read_foreign({"parameters": f"{parameters}\nSteps: 1, {prompt}"})
