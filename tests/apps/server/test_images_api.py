"""The images API, by the official client: every field is honoured or refused by its name."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
from PIL import Image

from live_server import Running, running
from pellucid.files.images import encode_image, read_rgba
from pellucid.pipelines.loading import load
from pellucid.rgba.types import RGBA8
from pellucid.scene.scene import Scene

QUICK: dict[str, Any] = {"extra_body": {"steps": 2, "seed": 3}}
SIZE = "48x32"


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """A client of a server with the embedded model, which makes layers."""
    with (
        running(tmp_path_factory.mktemp("layered"), "mini") as found,
        openai.OpenAI(base_url=f"{found.url}/v1", api_key="any", max_retries=0) as layers,
    ):
        yield layers


def noise(height: int = 32, width: int = 48, seed: int = 0) -> RGBA8:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


def png(rgba: RGBA8, name: str = "image.png") -> tuple[str, bytes, str]:
    return name, encode_image(rgba), "image/png"


def content(answer: Any, index: int = 0) -> bytes:  # noqa: ANN401 - the client's own types
    return base64.b64decode(answer.data[index].b64_json)


def test_models_are_listed_and_openais_names_mean_the_default(client: openai.OpenAI) -> None:
    assert [each.id for each in client.models.list()] == ["tiny"]
    assert client.models.retrieve("gpt-image-1").id == "tiny"
    for name in ("gpt-image-2-2026-04-21", "dall-e-3", "tiny", "chatgpt-image-latest"):
        answer = client.images.generate(prompt="a cat", model=name, **QUICK)
        assert answer.model_extra is not None
        assert answer.model_extra["model"] == "tiny"
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt="a cat", model="other")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_generations_answer_every_field(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        prompt="a cat", n=2, size=SIZE, quality="low",  # pyright: ignore[reportArgumentType]
        background="transparent", moderation="low", user="me", **QUICK,
    )  # fmt: skip
    assert [each.url for each in answer.data or ()] == [None, None]
    assert (answer.background, answer.output_format, answer.quality, answer.size) == (
        "transparent", "png", "low", SIZE,
    )  # fmt: skip
    usage = answer.usage
    assert usage is not None
    assert usage.input_tokens == usage.input_tokens_details.text_tokens > 0
    assert usage.output_tokens == 2 * 3 * 2  # squares of 16 pixels
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    image = read_rgba(content(answer))
    assert image.shape == (32, 48, 4)
    assert image[..., 3].min() < 255


OPTIONAL: dict[str, object] = {
    "model": "tiny", "n": 1, "size": SIZE, "quality": "medium", "background": "auto", "output_format": "webp",
    "output_compression": 80, "response_format": "b64_json", "moderation": "auto", "user": "me",
    "partial_images": 0, "stream": False, "seed": 3, "negative_prompt": "a dog", "steps": 2, "guidance": 2.0,
}  # fmt: skip


@pytest.mark.parametrize("left_out", [None, *OPTIONAL])
def test_every_optional_field_may_be_left_out(server: Running, left_out: str | None) -> None:
    body = {name: value for name, value in OPTIONAL.items() if name != left_out}
    if left_out == "output_format":
        body.pop("output_compression")
    answer = server.http.post("/v1/images/generations", json={"prompt": "a cat", **body})
    assert answer.status_code == 200, answer.text
    nothing = server.http.post("/v1/images/generations", json={"prompt": "a cat", **dict.fromkeys(OPTIONAL)})
    assert nothing.status_code == 200, nothing.text


def test_a_seed_is_the_shells_and_pythons_image_to_the_byte(client: openai.OpenAI, model: str) -> None:
    answer = client.images.generate(prompt="a cat", size=SIZE, **QUICK)  # pyright: ignore
    scene = load(model).generate("a cat", height=32, width=48, num_inference_steps=2, seed=3)
    own = encode_image(scene.layers[0].image, metadata=scene.provenance)
    assert _without_name(content(answer)) == _without_name(own)


def _without_name(content: bytes) -> tuple[bytes, dict[str, Any]]:
    """Returns the pixels and metadata but for the model's name: no caller is told where a model lies."""
    image = Image.open(io.BytesIO(content))
    made = Scene.of(read_rgba(content)).provenance
    assert made is None
    texts = {name: text for name, text in image.info.items() if name != "pellucid"}
    facts = json.loads(image.info["pellucid"])
    facts.pop("model")
    return image.tobytes(), {**facts, "texts": sorted(texts)}


@pytest.mark.parametrize("file_format", ["png", "webp", "jpeg"])
@pytest.mark.parametrize("background", ["transparent", "opaque", "auto"])
def test_what_an_answer_says_was_measured(client: openai.OpenAI, file_format: Any, background: Any) -> None:  # noqa: ANN401
    ask: dict[str, Any] = {"prompt": "a cat", "output_format": file_format, "background": background, **QUICK}
    if (file_format, background) == ("jpeg", "transparent"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.generate(**ask)
        assert (caught.value.code, caught.value.param) == ("invalid_value", "output_format")
        return
    answer = client.images.generate(**ask)
    image = Image.open(io.BytesIO(content(answer)))
    assert image.format == file_format.upper()
    opaque = "A" not in image.getbands() or image.getchannel("A").getextrema()[0] == 255
    assert answer.background == ("opaque" if opaque else "transparent")
    assert opaque == (background == "opaque" or file_format == "jpeg")


def test_webp_of_less_quality_is_smaller_and_keeps_alpha(client: openai.OpenAI) -> None:
    sizes: dict[int, bytes] = {}
    for quality in (10, 100):
        sizes[quality] = content(
            client.images.generate(prompt="a cat", output_format="webp", output_compression=quality, **QUICK)
        )
    assert len(sizes[10]) < len(sizes[100])
    coarse, exact = (read_rgba(each) for each in sizes.values())
    assert np.array_equal(coarse[..., 3], exact[..., 3])


BEACH = {"background": "a beach"}
REFUSED: list[tuple[dict[str, object], str, str]] = [
    ({"n": 0}, "n", "invalid_value"),
    ({"n": 11}, "n", "invalid_value"),
    ({"n": "two"}, "n", "invalid_type"),
    ({"n": None, "prompt": ""}, "prompt", "invalid_value"),
    ({"prompt": None}, "prompt", "invalid_type"),
    ({"prompt": "a" * 32_001}, "prompt", "invalid_value"),
    ({"size": "0x10"}, "size", "invalid_value"),
    ({"size": "big"}, "size", "invalid_value"),
    ({"size": "99999x99999"}, "size", "invalid_value"),
    ({"quality": "best"}, "quality", "invalid_value"),
    ({"background": "white"}, "background", "invalid_value"),
    ({"output_format": "gif"}, "output_format", "invalid_value"),
    ({"output_compression": 50}, "output_compression", "invalid_value"),
    ({"output_compression": 101, "output_format": "webp"}, "output_compression", "invalid_value"),
    ({"partial_images": 2}, "partial_images", "invalid_value"),
    ({"partial_images": 4, "stream": True}, "partial_images", "invalid_value"),
    ({"style": "vivid"}, "style", "unsupported_parameter"),
    ({"response_format": "file"}, "response_format", "invalid_value"),
    ({"seed": -1}, "seed", "invalid_value"),
    ({"steps": 0}, "steps", "invalid_value"),
    ({"guidance": -1}, "guidance", "invalid_value"),
    ({"layers": {}}, "layers.background", "missing_required_parameter"),
    ({"layers": {"background": "a beach", "box": [0, 0, 9, 9]}}, "layers.box", "invalid_value"),
    ({"layers": BEACH, "partial_images": 1, "stream": True}, "partial_images", "invalid_value"),
    ({"input_fidelity": "high"}, "input_fidelity", "unknown_parameter"),
    ({"num_inference_steps": 3}, "num_inference_steps", "unknown_parameter"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "param", "code"), REFUSED)
def test_a_field_that_cannot_be_honoured_is_refused_by_name(
    server: Running, change: dict[str, object], param: str, code: str
) -> None:
    answer = server.http.post("/v1/images/generations", json={"prompt": "a cat", "steps": 1, **change})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")
    assert error["message"].count(". ") >= 1
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_stream_shows_unfinished_images_and_then_the_result(client: openai.OpenAI, count: int) -> None:
    asked: dict[str, Any] = {"prompt": "a cat", "size": SIZE, "extra_body": {"steps": 8, "seed": 3}}
    events: list[Any] = list(client.images.generate(stream=True, partial_images=count, **asked))
    kinds = [event.type for event in events]
    assert kinds == ["image_generation.partial_image"] * count + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:-1]] == list(range(count))
    for event in events:
        image = read_rgba(base64.b64decode(event.b64_json))
        assert image.shape == (32, 48, 4)
        assert (event.size, event.output_format, event.quality) == (SIZE, "png", "medium")
        assert event.background == ("opaque" if image[..., 3].min() == 255 else "transparent")
    assert events[-1].usage.total_tokens > 0
    assert events[-1].b64_json == (client.images.generate(**asked).data or [])[0].b64_json


def test_a_stream_of_several_images_completes_each_in_order(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"prompt": "a cat", "n": 2, "size": SIZE, **QUICK}
    events: list[Any] = list(client.images.generate(stream=True, **asked))
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert [event.b64_json for event in events] == [
        each.b64_json for each in client.images.generate(**asked).data or []
    ]


def test_an_error_in_a_stream_is_an_error_of_the_client(folder: Path) -> None:
    with (
        running(folder, "no/such/model") as broken,
        openai.OpenAI(base_url=f"{broken.url}/v1", api_key="any") as client,
    ):
        assert broken.http.get("/readyz").status_code == 503
        with pytest.raises(openai.APIError, match="cannot be loaded"):
            list(client.images.generate(prompt="a cat", stream=True))
        # the official client would try a failed render again, on the same device
        with pytest.raises(openai.InternalServerError) as caught:
            client.images.generate(prompt="a cat")
        assert caught.value.code == "model_unavailable"
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert len(broken.http.get("/v1/scenes").json()["data"]) == 2


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 10, 10)])
def test_a_mask_means_its_alpha_whatever_its_colour(
    client: openai.OpenAI, colour: tuple[int, int, int]
) -> None:
    image = noise()
    image[:8, :8] = (255, 0, 0, 0)  # red under alpha 0
    results: list[RGBA8] = []
    for chosen in (colour, (7, 7, 7)):
        mask = np.full((32, 48, 4), (*chosen, 255), np.uint8)
        mask[16:, 20:, 3] = 0
        answer = client.images.edit(image=png(image), mask=png(mask), prompt="a cat", **QUICK)
        results.append(read_rgba(content(answer)))
    assert np.array_equal(results[0], results[1])
    kept = np.ones((32, 48), bool)
    kept[16:, 20:] = False
    assert np.array_equal(results[0][kept], image[kept])
    assert not np.array_equal(results[0][~kept], image[~kept])


def test_edits_repaint_and_add_layers(client: openai.OpenAI) -> None:
    image = noise()
    near, far = (
        read_rgba(content(client.images.edit(image=png(image), prompt="a cat", input_fidelity=each, **QUICK)))
        for each in ("high", "low")
    )
    assert near.shape == far.shape == image.shape
    assert not np.array_equal(near, far)
    resized = client.images.edit(image=png(image), prompt="a cat", size="24x16", **QUICK)  # pyright: ignore
    assert read_rgba(content(resized)).shape == (16, 24, 4)


def test_several_images_become_layers_below_a_new_one(layered: openai.OpenAI) -> None:
    images = [png(noise(96, 64)), png(noise(32, 32, 1))]
    answer = layered.images.edit(
        image=images, prompt="a cat", extra_body={"steps": 1, "seed": 1, "layers": '{"box": [0, 0, 48, 48]}'}
    )
    assert answer.size == "64x96"
    assert answer.data
    assert answer.data[0].model_extra is not None
    layers = answer.data[0].model_extra["layers"]
    assert [each["name"] for each in layers] == ["image 1", "image 2", "a cat"]
    assert [each["box"] for each in layers] == [[0, 0, 96, 64], [32, 16, 32, 32], [0, 0, 48, 48]]
    for each, given in zip(layers, (noise(96, 64), noise(32, 32, 1)), strict=False):
        assert np.array_equal(read_rgba(base64.b64decode(each["b64_json"])), given)


def test_layers_come_with_names_places_and_a_document(layered: openai.OpenAI, tmp_path: Path) -> None:
    answer = layered.images.generate(
        prompt="a cat",
        extra_body={"steps": 2, "seed": 3, "layers": {"background": "a beach", "format": "psd"}},
    )
    assert answer.data
    image = answer.data[0]
    assert image.model_extra is not None
    layers = image.model_extra["layers"]
    assert [(each["name"], each["z"]) for each in layers] == [("background", 0), ("a cat", 1)]
    (tmp_path / "scene.psd").write_bytes(base64.b64decode(image.model_extra["document"]))
    scene = Scene.open(tmp_path / "scene.psd")
    assert np.array_equal(scene.composite(), read_rgba(content(answer)))
    for each, layer in zip(layers, scene.layers, strict=True):
        assert np.array_equal(read_rgba(base64.b64decode(each["b64_json"])), layer.image)
        assert each["box"][:2] == list(layer.offset)


SOLID = np.full((32, 48, 4), 255, np.uint8)
FORMS: list[tuple[dict[str, str], dict[str, Any], str | None, str]] = [
    ({"prompt": "a"}, {}, "image", "invalid_value"),
    ({}, {"image": png(noise())}, "prompt", "missing_required_parameter"),
    ({"prompt": "a", "image": "text"}, {}, "image", "invalid_type"),
    ({"prompt": "a"}, {"image": ("a.png", b"no image", "image/png")}, "image", "invalid_image"),
    ({"prompt": "a"}, {"image": png(noise()), "mask": png(noise(8, 8))}, "mask", "invalid_value"),
    ({"prompt": "a"}, {"image": png(noise()), "mask": png(SOLID)}, "mask", "invalid_value"),
    ({"prompt": "a"}, {"image": png(noise()), "other": png(noise())}, "other", "unknown_parameter"),
    ({"prompt": "a", "n": "x"}, {"image": png(noise())}, "n", "invalid_type"),
    ({"prompt": "a", "layers": "{"}, {"image": png(noise())}, "layers", "invalid_json"),
    ({"prompt": "a", "moderation": "low"}, {"image": png(noise())}, "moderation", "unknown_parameter"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "files", "param", "code"), FORMS)
def test_a_form_that_does_not_fit_is_refused_by_name(
    server: Running, fields: dict[str, str], files: dict[str, Any], param: str | None, code: str
) -> None:
    parts = {name: (None, text) for name, text in fields.items()}
    answer = server.http.post("/v1/images/edits", files={**parts, **files})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == (param, code)


def test_images_may_come_as_a_list_of_parts(server: Running) -> None:
    files = [("image[]", png(noise())), ("prompt", (None, "a cat")), ("steps", (None, "1"))]
    assert server.http.post("/v1/images/edits", files=files).status_code == 200


def test_variations_and_addresses_of_results(server: Running, client: openai.OpenAI) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        answer = client.images.create_variation(  # pyright: ignore[reportDeprecated]
            image=png(noise()), response_format="url", n=2
        )
    for each in answer.data or []:
        assert each.url
        found = httpx2.get(each.url)
        assert found.headers["content-type"] == "image/png"
        assert read_rgba(found.content).shape == (32, 48, 4)
        assert httpx2.get(f"{each.url}x").status_code == 404


def test_files_of_others_cannot_be_reached_by_a_path(server: Running) -> None:
    for path in ("/v1/files/../../server.sqlite", "/v1/files/x/..%2f..%2fserver.sqlite", "/v1/files/a/b"):
        assert server.http.get(path).status_code == 404
