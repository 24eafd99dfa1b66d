"""Images through pipes: what a file gives, standard input, named pipes and process substitution give too."""

import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from apps.test_inputs import NEEDS_MORE, READING, words
from files.animations import saved
from pellucid.apps.cli import cli
from pellucid.errors import FileError
from pellucid.files.images import encode_image, read_rgba
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene
from scene.scenes import noise

WRITING = [name for name in READING if name not in (*NEEDS_MORE, "show")]
SEEDED = ("vary", "upscale", "inpaint")


def run(*arguments: str | Path, given: bytes = b"") -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=given)


def written(command: str, image: Path, model: str, output: str | None = None) -> list[str]:
    """Returns the words of a command, the first image alone being `image`."""
    Path("other.png").write_bytes(encode_image(noise(64, 64, 0)))
    line, found = words(command, Path("other.png"), model), False
    for place, word in enumerate(line):
        if word == "other.png" and not found:
            line[place], found = str(image), True
        elif output is not None and word.startswith("out."):
            line[place] = output
    return [*line, "--seed", "3"] if command in SEEDED else line


def output_of(line: list[str]) -> Path:
    return Path(next(word for word in line if word.startswith("out.")))


def unordered(content: bytes) -> bytes:
    """Returns the content so that files of safetensors, whose notes have no order, compare."""
    return content if content.startswith(b"\x89PNG") else bytes(sorted(content))


@pytest.mark.parametrize("command", WRITING)
def test_standard_input_and_output_are_like_files(command: str, model: str) -> None:
    content = encode_image(noise(64, 64, 0))
    Path("other.png").write_bytes(content)
    plain = written(command, Path("other.png"), model)
    assert run(*plain).exit_code == 0
    want = output_of(plain).read_bytes()
    output_of(plain).unlink()

    result = run(*written(command, Path("-"), model, "-"), *form(command), given=content)
    assert result.exit_code == 0, result.exception or result.output
    assert unordered(result.stdout_bytes) == unordered(want)
    assert not output_of(plain).exists()


def form(command: str) -> list[str]:
    return ["--format", "png"] if command == "convert" else []


@pytest.mark.parametrize("command", READING)
def test_every_command_reads_a_named_pipe_once(command: str, model: str) -> None:
    os.mkfifo("pipe")
    content = encode_image(noise(64, 64, 0))
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(content))
    writer.start()
    # its size is told only by one who has read it
    result = run(*written(command, Path("pipe"), model), "--max-pixels", "4095")
    writer.join(10)
    assert isinstance(result.exception, FileError)
    assert "limit of 4095" in str(result.exception)


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_messages_call_it_standard_input(command: str, name: str, model: str) -> None:
    line = written(command, Path(name), model)
    for given in (encode_image(noise(64, 64, 0))[:-4], b"", b"text"):
        result = run(*line, given=given)
        assert isinstance(result.exception, FileError)
        assert str(result.exception).startswith("Cannot read standard input: ")


@pytest.mark.parametrize("ending", ["psd", "ora", "zip", "tiff", "png", "webp"])
def test_the_content_tells_the_format_of_documents(ending: str) -> None:
    layers = (Layer(image=noise(9, 8, 0), name="low"), Layer(image=noise(4, 4, 1), offset=(3, 2)))
    path = Scene(layers=layers, height=9, width=8).save(Path(f"x.{ending}"))
    facts = json.loads(run("show", "-", "--json", given=path.read_bytes()).stdout)
    assert facts["format"] == json.loads(run("show", path, "--json").stdout)["format"]
    result = run("convert", "-", "-", "--format", ending, given=path.read_bytes())
    Path(f"y.{ending}").write_bytes(result.stdout_bytes)
    assert np.array_equal(Scene.open(f"y.{ending}").composite(), Scene.open(path).composite())


def test_results_of_pipes_lie_in_this_folder() -> None:
    content = encode_image(noise(9, 8, 0))
    for command, name in (("pad", "standard-input-padded.png"), ("clean", "standard-input-clean.png")):
        assert run(command, "-", given=content).stdout == f"{name}\n"
        assert read_rgba(name).shape == (9, 8, 4)


def test_a_decoded_latent_goes_to_standard_output(model: str) -> None:
    Path("a.png").write_bytes(encode_image(noise(64, 64, 0)))
    assert run("encode", "a.png", "--model", model).exit_code == 0
    assert run("decode", "a.safetensors", "-o", "b.png", "--model", model).exit_code == 0
    result = run("decode", "a.safetensors", "-o", "-", "--model", model)
    assert result.stdout_bytes == Path("b.png").read_bytes()


@pytest.mark.parametrize("name", ["out", "out.png"])
def test_results_go_into_named_pipes(name: str) -> None:
    Path("a.png").write_bytes(encode_image(noise(9, 8, 0)))
    os.mkfifo(name)
    found = list[bytes]()
    reader = threading.Thread(target=lambda: found.append(Path(name).read_bytes()))
    reader.start()
    assert run("pad", "a.png", "-o", name).exit_code == 0
    reader.join(10)
    assert read_rgba(found[0]).shape == (9, 8, 4)


def test_standard_input_is_one_image() -> None:
    result = run("composite", "-", "-", "-o", "x.png", given=encode_image(noise(9, 8, 0)))
    assert isinstance(result.exception, FileError)
    assert "asked for twice" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "-", "--json"], "--json"),
        (["-o", "x.png", "--format", "png"], "--format is for"),
        (["a.png", "-o", "-"], "Name a folder"),
    ],
)
def test_what_one_stream_cannot_hold_is_refused(options: list[str], said: str) -> None:
    Path("a.png").write_bytes(encode_image(noise(9, 8, 0)))
    result = run("pad", "a.png", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_several_images_are_not_written_to_one_stream(model: str) -> None:
    result = run("generate", "a cat", "--count", "2", "-o", "-", "--model", model)
    assert result.exit_code == 2
    assert "--count" in result.stderr
    assert run("convert", "a.png", "-").exit_code == 2


def started(*arguments: str, shell: str) -> "subprocess.CompletedProcess[bytes]":
    command = shell.replace("PELLUCID", f"'{sys.executable}' -m pellucid")
    return subprocess.run(["bash", "-c", command, *arguments], capture_output=True, check=False)


def test_a_shell_joins_commands() -> None:
    image = noise(9, 8, 0)
    Path("a.png").write_bytes(encode_image(image))
    done = started(shell="PELLUCID convert <(cat a.png) - --format webp | PELLUCID convert - - --format tiff")
    assert np.array_equal(read_rgba(done.stdout), image)
    assert done.stderr == b""
    done = started(shell="set -o pipefail; PELLUCID pad a.png -o - | true")
    assert done.returncode in (0, 1)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    done = started(shell="PELLUCID show - <&-")
    assert done.returncode == 1
    assert done.stderr.startswith(b"pellucid: Expected an image on standard input, found it closed. ")


def test_a_terminal_gets_no_image() -> None:
    import pty

    Path("a.png").write_bytes(encode_image(noise(9, 8, 0)))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pellucid", "pad", "a.png", "-o", "-"]
    done = subprocess.run(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, check=False)
    assert done.stderr.startswith(b"pellucid: Expected a file or a pipe for the image, found a terminal. ")
    done = subprocess.run([*command[:3], "show", "-"], stdin=theirs, capture_output=True, check=False)
    assert done.stderr.startswith(b"pellucid: Expected an image on standard input, found a terminal. ")
    os.close(ours)
    os.close(theirs)


TAKING_ALL = ("show", "sheet")
"""Commands for which all frames of an animation are meant."""


@pytest.fixture
def movie() -> tuple[Path, list[np.ndarray]]:
    frames = [noise(64, 64, seed) for seed in (0, 1, 2)]
    Path("movie.png").write_bytes(saved("PNG", frames, duration=[100, 100, 40], blend=0))
    return Path("movie.png"), frames


@pytest.mark.parametrize("command", WRITING)
def test_every_command_takes_one_frame_as_the_image(
    command: str, movie: tuple[Path, list[np.ndarray]], model: str
) -> None:
    path, frames = movie
    Path("second.png").write_bytes(encode_image(frames[1]))
    results = list[bytes]()
    for line in (
        written(command, Path("second.png"), model),
        [*written(command, path, model), "--frame", "2"],
    ):
        result = run(*line)
        assert result.exit_code == 0, result.exception
        results.append(output_of(line).read_bytes())
    assert unordered(results[0]) == unordered(results[1])


@pytest.mark.parametrize("command", [name for name in READING if name not in TAKING_ALL])
def test_every_command_refuses_an_animation_without_a_frame(
    command: str, movie: tuple[Path, list[np.ndarray]], model: str
) -> None:
    line = written(command, movie[0], model)
    for options, said in (([], "--frame"), (["--frame", "7"], "no frame 7. Choose one from 1 to 3.")):
        result = run(*line, *options)
        assert isinstance(result.exception, FileError)
        assert said in str(result.exception)


def test_a_frame_that_no_image_has_is_refused() -> None:
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(encode_image(noise(9, 8, 0)))
    assert "holds one image" in str(run("composite", "a.png", "b.png", "--frame", "2").exception)
    Scene.of(noise(9, 8, 0)).save("a.psd")
    assert "layers are no frames" in str(run("show", "a.psd", "--frame", "1").exception)


def test_frames_become_layers_of_documents(movie: tuple[Path, list[np.ndarray]]) -> None:
    path, frames = movie
    for ending in ("psd", "ora", "zip"):
        assert run("convert", path, f"x.{ending}").exit_code == 0
        scene = Scene.open(f"x.{ending}")
        assert [layer.name for layer in scene.layers] == ["frame 1", "frame 2", "frame 3"]
        assert [layer.visible for layer in scene.layers] == [True, False, False]
        assert all(np.array_equal(a.image, b) for a, b in zip(scene.layers, frames, strict=True))
        assert np.array_equal(scene.composite("#000"), Scene.of(frames[0]).composite("#000"))
    assert "--frame" in str(run("convert", path, "x.png").exception)


def test_show_tells_frames_and_their_durations(movie: tuple[Path, list[np.ndarray]]) -> None:
    path, _ = movie
    facts = json.loads(run("show", path, "--json").stdout)
    assert (facts["frames"], facts["durations_ms"]) == (3, [100, 100, 40])
    text = run("show", path).stdout
    assert "frames: 3\ndurations: 100 ms x 2, 40 ms\n" in text
    facts = json.loads(run("show", path, "--json", "--frame", "2").stdout)
    assert (facts["frame"], facts["frames"], len(facts["layers"])) == (2, 3, 1)


def test_pages_of_a_tiff_are_frames_when_one_is_named() -> None:
    pages = [Image.fromarray(noise(9, 8, seed)) for seed in (0, 1)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    Path("x.tiff").write_bytes(file.getvalue())
    assert run("convert", "x.tiff", "y.png", "--frame", "2").exit_code == 0
    assert np.array_equal(read_rgba("y.png"), noise(9, 8, 1))
    assert len(Scene.open("x.tiff").layers) == 2
