"""Asking a chat model over real HTTP: what is sent, what is tried again, and what an error says."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import ClassVar

import pytest

from data.loose_images import encode, subject
from pellucid.data.captioning import caption_sets, make_captioner
from pellucid.data.chat import ChatModel, NoAnswer
from pellucid.data.engines import LocalEngine
from pellucid.data.records import Record
from pellucid.data.shards import write_shard
from pellucid.errors import ConfigError, FileError, InputError


def drip(file: BufferedIOBase, content: bytes) -> None:
    """Sends a byte each 20 ms, so that no time-out of the socket is ever due."""
    with contextlib.suppress(OSError):
        for byte in content:
            file.write(bytes([byte]))
            file.flush()
            time.sleep(0.02)


class Handler(BaseHTTPRequestHandler):
    """Answers like a server of chat completions; the model's name says how."""

    asked: ClassVar[list[tuple[str | None, dict[str, object]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Handler.asked.append((self.headers.get("Authorization"), body))
        status, answer = 200, json.dumps({"choices": [{"message": {"content": ' "a red cat." '}}]})
        if body["model"] == "busy" and len(Handler.asked) < 3:
            status, answer = 503, "{}"
        if body["model"] == "absent":
            status, answer = 404, json.dumps({"error": "no such model"})
        if body["model"] == "page":
            answer = "<html>"
        if body["model"] == "thinking":
            answer = json.dumps({"choices": [{"message": {"content": "<think>\nhm</think>\na fox"}}]})
        if body["model"] == "other":
            answer = "[]"
        if body["model"] == "dripping headers":
            drip(self.wfile, b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 400)
            return
        self.send_response(status)
        self.end_headers()
        if body["model"] == "dripping" or (body["model"] == "drips once" and len(Handler.asked) == 1):
            drip(self.wfile, answer.encode() + b" " * 4000)
            return
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/v1"
        http.shutdown()


def test_an_image_is_captioned(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "secret")
    captioner = make_captioner(ChatModel(url=url, model="m", key_variable="TEST_KEY"))
    assert captioner(subject(1), Record(name="a", label="b")) == "a red cat"
    (key, body), *_ = Handler.asked
    assert key == "Bearer secret"
    url_of_image = f"{body['messages'][0]['content'][1]['image_url']['url']}"  # type: ignore[index]
    sent = base64.b64decode(url_of_image.removeprefix("data:image/png;base64,"))
    assert sent.startswith(b"\x89PNG")
    assert len(sent) < len(encode(subject(1))) * 2


def test_a_busy_server_is_asked_again(url: str) -> None:
    assert ChatModel(url=url, model="busy", pause_s=0.01).ask("?") == '"a red cat."'
    assert len(Handler.asked) == 3


@pytest.mark.parametrize(
    ("model", "match"), [("absent", "found 404"), ("page", "found 502"), ("other", "choices")]
)
def test_what_is_wrong_is_told(url: str, model: str, match: str) -> None:
    with pytest.raises(FileError, match=match):
        ChatModel(url=url, model=model, pause_s=0.01).ask("?")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="http://"):
        ChatModel(url="localhost:1", model="m")
    with pytest.raises(FileError, match="no connection"):
        ChatModel(url="http://127.0.0.1:9", model="m", pause_s=0.01).ask("?")


def make_shards(folder: Path, count: int) -> list[str]:
    for number in range(2):
        samples = [
            (Record(name=f"{number}-{i}", label="x", keywords=("red",)), subject(i)) for i in range(count)
        ]
        write_shard(samples, folder / f"{number}.tar")
    return [str(folder / f"{number}.tar") for number in range(2)]


def test_a_server_that_refuses_stops_the_run_and_loses_no_image(url: str, tmp_path: Path) -> None:
    shards, folder = make_shards(tmp_path, 2), str(tmp_path / "out")
    with pytest.raises(NoAnswer, match="found 404"):
        caption_sets(shards, folder, ChatModel(url=url, model="absent", pause_s=0.01), "?", LocalEngine())
    assert not list((tmp_path / "out").glob("*.tar"))
    total = caption_sets(shards, folder, ChatModel(url=url, model="m"), "?", LocalEngine())
    assert total == {"images": 4, "failed": 0}


def test_a_captioner_that_never_answers_in_the_right_form_is_given_up(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pellucid.data.captioning.HOPELESS", 2)
    shards = make_shards(tmp_path, 3)
    with pytest.raises(NoAnswer, match="first 2 images"):
        caption_sets(shards, str(tmp_path / "out"), ChatModel(url=url, model="other"), "?", LocalEngine())
    assert len(Handler.asked) == 2


def test_other_sets_and_captioners_need_another_folder(tmp_path: Path) -> None:
    shards, folder = make_shards(tmp_path, 1), str(tmp_path / "out")
    first = caption_sets(shards, folder, "keywords", "?", LocalEngine())
    assert caption_sets(shards, folder, "keywords", "?", LocalEngine()) == first
    with pytest.raises(InputError, match="shards differ"):
        caption_sets(shards[:1], folder, "keywords", "?", LocalEngine())


def test_what_a_model_thinks_is_no_answer(url: str) -> None:
    assert ChatModel(url=url, model="thinking").ask("?") == "a fox"


@pytest.mark.parametrize("model", ["dripping", "dripping headers"])
def test_a_server_that_drips_is_left_at_the_deadline(url: str, model: str) -> None:
    started = time.monotonic()
    with pytest.raises(FileError, match=r"whole answer .* within 0\.5 s") as caught:
        ChatModel(url=url, model=model, deadline_s=0.5).ask("?")
    assert time.monotonic() - started < 10
    assert not isinstance(caught.value, NoAnswer)
    assert len(Handler.asked) == 1  # a server that drips does so again


def test_an_image_whose_answer_comes_too_late_is_set_aside_with_the_reason(url: str, tmp_path: Path) -> None:
    model = ChatModel(url=url, model="drips once", deadline_s=0.5)
    shards = make_shards(tmp_path, 2)
    assert caption_sets(shards, str(tmp_path / "out"), model, "?", LocalEngine()) == {
        "images": 3,
        "failed": 1,
    }
    (path,) = (tmp_path / "out").glob("*.failed.jsonl")
    assert "within 0.5 s" in json.loads(path.read_text())["reason"]


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_deadline_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="deadline"):
        ChatModel(url="http://x", model="m", deadline_s=seconds)
