"""Tools for agents, by the official client over standard input and output."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcp")
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from pellucid.files.images import read_rgba, write_image
from pellucid.scene.scene import Scene

NOISE = np.random.default_rng(0).integers(0, 256, (32, 48, 4), np.uint8)


def with_tools(folder: Path, model: str, use: Any) -> None:  # noqa: ANN401 - a coroutine's function
    """Starts `pellucid mcp` and lets a test call its tools."""

    async def run() -> None:
        words = ["-m", "pellucid", "mcp", "--folder", str(folder), "--model", model]
        parameters = StdioServerParameters(
            command=sys.executable, args=words, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            await use(session)

    work: Coroutine[Any, Any, None] = run()
    asyncio.run(asyncio.wait_for(work, 240))


async def call(session: ClientSession, name: str, **arguments: object) -> list[Any]:
    """Calls a tool and returns its facts, each with the image that the agent saw."""
    answer = await session.call_tool(name, arguments)
    assert not answer.is_error, answer.content
    images, texts = answer.content[::2], answer.content[1::2]
    facts: list[Any] = []
    for image, text in zip(images, texts, strict=True):
        assert image.type == "image"
        assert text.type == "text"
        assert image.mime_type == "image/png"
        facts.append((json.loads(text.text), read_rgba(base64.b64decode(image.data))))
    return facts


async def refusal(session: ClientSession, name: str, **arguments: object) -> str:
    answer = await session.call_tool(name, arguments)
    assert answer.is_error
    assert answer.content[0].type == "text"
    return answer.content[0].text


def test_an_agent_makes_looks_and_is_told_what_is_wrong(tmp_path: Path, model: str) -> None:
    write_image(NOISE, tmp_path / "noise.png")
    (tmp_path.parent / "outside.png").write_bytes((tmp_path / "noise.png").read_bytes())

    async def use(session: ClientSession) -> None:
        tools = (await session.list_tools()).tools
        assert [tool.name for tool in tools] == ["generate", "layers", "vary", "inpaint", "clean", "show"]
        assert all(tool.description for tool in tools)
        ((facts, image),) = await call(session, "generate", prompt="a cat", seed=3, width=48, height=32)
        assert facts == {"path": "a-cat.png", "width": 48, "height": 32, "seed": 3, "layers": ["a cat"]}
        assert np.array_equal(read_rgba(tmp_path / "a-cat.png"), image)
        several = await call(session, "generate", prompt="a cat", count=2, path="icons/cat.webp")
        assert [facts["path"] for facts, _ in several] == ["icons/cat-001.webp", "icons/cat-002.webp"]
        ((facts, _),) = await call(session, "generate", prompt="a cat")
        assert facts["path"] == "a-cat-2.png"  # no name that was made up replaces a file
        ((facts, _),) = await call(session, "vary", image="noise.png", prompt="a dog", strength=0.5, seed=1)
        assert (facts["width"], facts["height"]) == (48, 32)
        ((facts, image),) = await call(
            session, "inpaint", image="noise.png", mask="noise.png", prompt="a dog"
        )
        assert image.shape == NOISE.shape
        await call(session, "clean", image="noise.png", path="clean.png")
        ((facts, image),) = await call(session, "show", image="a-cat.png")
        assert (facts["made"]["prompt"], facts["made"]["seed"]) == ("a cat", 3)
        Scene.of([NOISE, NOISE]).save(tmp_path / "two.psd")
        ((facts, _),) = await call(session, "show", image="two.psd")
        assert facts["layers"] == ["layer 1", "layer 2"]
        for name, image in (("show", "../outside.png"), ("vary", "/etc/passwd"), ("clean", "../outside.png")):
            text = await refusal(session, name, image=image, **({"prompt": "a"} if name == "vary" else {}))
            assert "Expected a path below" in text
        assert "below" in await refusal(session, "generate", prompt="a", path="../out.png")
        assert not (tmp_path.parent / "out.png").exists()
        assert "No such file" in await refusal(session, "show", image="none.png")
        assert "foreground" in await refusal(session, "layers", background="a beach", foregrounds=[])

    with_tools(tmp_path, model, use)


@pytest.mark.slow
def test_an_agent_makes_layers(tmp_path: Path) -> None:
    async def use(session: ClientSession) -> None:
        ((facts, _),) = await call(
            session, "layers", background="a beach", foregrounds=["a cat", "a ball"], seed=3, path="scene.psd"
        )
        assert facts["layers"] == ["background", "a cat", "a ball"]
        assert len(Scene.open(tmp_path / "scene.psd").layers) == 3

    with_tools(tmp_path, "mini", use)
