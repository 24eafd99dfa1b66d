"""A server's pipeline is a local one: the same methods, arguments, errors and images."""

import inspect
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid
from live_server import Running, running
from pellucid.apps.cli import cli
from pellucid.client import NEVER_SENT, Client
from pellucid.errors import InputError, ServerError
from pellucid.files.images import read_image, write_image
from pellucid.pipelines.loading import load
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.scene.scene import Scene
from pellucid.serving.requests import TASKS

NOISE = np.random.default_rng(0).integers(0, 256, (32, 48, 4), np.uint8)
SCENE = Scene.of([NOISE, NOISE])
Pipe = Client | TransparentPipeline


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("layered"), "mini") as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    with pellucid.Client(server.url) as found:
        yield found


@pytest.mark.parametrize("name", TASKS)
def test_methods_take_what_local_ones_take(name: str) -> None:
    local = inspect.signature(inspect.unwrap(getattr(TransparentPipeline, name))).parameters
    remote = inspect.signature(getattr(Client, name)).parameters
    positional = [each for each in remote if each not in ("count", "options")]
    assert [each for each in local if each in positional] == positional
    keywords = remote["options"].annotation.__args__[0]
    for each in set(local) - set(positional) - {"count"}:
        assert each in keywords.__annotations__ or any(
            each in base.__annotations__
            for base in keywords.__orig_bases__
            if hasattr(base, "__annotations__")
        ), each


class Quick(TypedDict):
    """Fewer steps than a model's own."""

    num_inference_steps: int


ONE: Quick = {"num_inference_steps": 1}
TWO: Quick = {"num_inference_steps": 2}
CALLS: dict[str, Callable[[Pipe], object]] = {
    "generate": lambda pipe: pipe.generate("a cat", seed=3, **ONE),
    "many": lambda pipe: pipe.generate(["a cat", "a dog"], count=2, seed=3, **ONE),
    "seeds": lambda pipe: pipe.generate(["a", "b"], seed=[5, 9], negative_prompt=["x", "y"], **ONE),
    "vary": lambda pipe: pipe.vary(NOISE, "a cat", seed=3, **TWO),
    "inpaint": lambda pipe: pipe.inpaint(NOISE, np.full_like(NOISE, 255), "a cat", seed=3, **ONE),
    "upscale": lambda pipe: pipe.upscale(NOISE, "a cat", scale=1.5, seed=3, **TWO),
    "joint": lambda pipe: pipe.joint("a cat", ["a beach", "a wood"], seed=3, **ONE),
    "foreground_on": lambda pipe: pipe.foreground_on(NOISE, "a cat", box=(0, 0, 16, 16), seed=3, **ONE),
    "background_for": lambda pipe: pipe.background_for(NOISE, "a beach", count=2, seed=3, **ONE),
    "add_layer": lambda pipe: pipe.add_layer(SCENE, "a cat", name="x", seed=3, **ONE),
    "split": lambda pipe: pipe.split(NOISE, "a cat", background=NOISE, seed=3, **ONE),
}  # fmt: skip


@pytest.fixture(scope="module")
def local() -> TransparentPipeline:
    return load("mini")


@pytest.mark.parametrize("name", CALLS)
def test_results_are_those_of_a_local_pipeline(
    layered: Running, local: TransparentPipeline, name: str
) -> None:
    with Client(layered.url) as client:
        found = CALLS[name](client)
    wanted = CALLS[name](local)
    assert isinstance(found, list) == isinstance(wanted, list)
    for one, other in zip(as_list(found), as_list(wanted), strict=True):
        assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
        for layer, same in zip(one.layers, other.layers, strict=True):
            assert layer.offset == same.offset
            # several of one call are sampled together on the server
            difference = np.abs(layer.image.astype(int) - same.image.astype(int)).max()
            assert difference <= (1 if isinstance(found, list) else 0)
            assert (layer.provenance and layer.provenance.seed) == (same.provenance and same.provenance.seed)
        assert len(one.references) == len(other.references)


def as_list(made: object) -> list[Scene]:
    scenes = made if isinstance(made, list) else [made]
    assert all(isinstance(each, Scene) for each in scenes)
    return scenes  # pyright: ignore


def test_errors_are_those_of_a_local_pipeline(client: Client, model: str) -> None:
    local = load(model)
    calls: tuple[Callable[[Pipe], object], ...] = (
        lambda pipe: pipe.generate("a", scheduler="none"),
        lambda pipe: pipe.generate("a", seed=-1),
        lambda pipe: pipe.generate([]),
        lambda pipe: pipe.vary("no-such-file.png", "a"),
        lambda pipe: pipe.split(NOISE, "a"),
    )
    for call in calls:
        errors: list[str] = []
        for pipe in (client, local):
            with pytest.raises(pellucid.PellucidError) as caught:
                call(pipe)
            errors.append(f"{type(caught.value).__name__}: {caught.value}")
        assert errors[0] == errors[1]


def test_what_belongs_to_a_process_is_not_sent(client: Client) -> None:
    values: dict[str, object] = {"pipeline_inputs": {"eta": 1.0}, "batch_size": 2}
    assert set(values) == set(NEVER_SENT)
    for name, value in values.items():
        with pytest.raises(InputError, match=f"no {name} for a server"):
            client.generate("a", **{name: value})  # pyright: ignore


def test_a_server_that_is_away_or_refuses_is_an_error_of_its_own(folder: Path, model: str) -> None:
    with Client("http://127.0.0.1:9") as nobody, pytest.raises(ServerError, match="Connection refused"):
        nobody.models()
    with pytest.raises(InputError, match="http://HOST:PORT"):
        Client("127.0.0.1:9")
    with running(folder, model, works=False, needs_token=True) as server:
        with Client(server.url) as stranger, pytest.raises(ServerError, match="valid token"):
            stranger.generate("a")
        with Client(server.url, server.state.tokens.new("me")) as known:
            assert known.models() == ["tiny"]
        other = Client(server.url, server.state.tokens.new("you"), model="x")
        with other, pytest.raises(InputError, match="does not exist"):
            other.generate("a")


def test_an_interrupted_call_cancels_its_jobs(server: Running) -> None:
    command = (
        "import sys, pellucid\n"
        "pellucid.Client(sys.argv[1]).generate(['a', 'b', 'c'], seed=77, num_inference_steps=900)"
    )
    process = subprocess.Popen([sys.executable, "-c", command, server.url], stderr=subprocess.DEVNULL)
    ends = time.monotonic() + 60
    while len(seeds(server)) < 3 and time.monotonic() < ends:
        time.sleep(0.05)
    assert len(seeds(server)) == 3
    process.send_signal(2)
    process.wait(60)
    while seeds(server) and time.monotonic() < ends:
        time.sleep(0.05)
    assert seeds(server) == []


def seeds(server: Running) -> list[int]:
    jobs = server.http.get("/v1/scenes", params={"limit": 100}).json()["data"]
    return [job["id"] for job in jobs if job["request"]["seed"] == 77]


def test_commands_let_a_server_make_it(server: Running, model: str, tmp_path: Path) -> None:
    words = ["generate", "a cat", "--seed", "3", "--steps", "2", "--count", "2"]
    here = CliRunner().invoke(cli, [*words, "--model", model, "-o", "here/"])
    there = CliRunner().invoke(cli, [*words, "--server", server.url, "--model", "tiny", "-o", "there/"])
    assert (here.exit_code, there.exit_code) == (0, 0), (here.output, there.output)
    made = [sorted((tmp_path / name).iterdir()) for name in ("here", "there")]
    assert len(made[0]) == 2
    for one, other in zip(*made, strict=True):
        assert one.name == other.name
        assert np.array_equal(read_image(one).rgba, read_image(other).rgba)
    write_image(NOISE, tmp_path / "noise.png")
    for more in (
        ["vary", "noise.png", "a cat"],
        ["upscale", "noise.png"],
        ["inpaint", "noise.png", "noise.png", "a"],
    ):
        found = CliRunner().invoke(cli, [*more, "--steps", "2", "--server", server.url, "-o", "out.png"])
        assert found.exit_code == 0, found.output
        assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    "option", ["--device=cpu", "--lora=x", "--offload=model", "--literal", "--adapter=x"]
)
def test_options_of_local_models_are_refused_with_a_server(option: str) -> None:
    found = CliRunner().invoke(cli, ["generate", "a", "--server", "http://127.0.0.1:9", option])
    assert found.exit_code == 2
    assert f"{option.partition('=')[0]} belongs to models of this machine" in found.output


def test_a_client_loads_no_torch(server: Running) -> None:
    command = (
        "import sys, pellucid\n"
        "pellucid.Client(sys.argv[1]).generate('a', num_inference_steps=1)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", command, server.url], check=True, timeout=120)
