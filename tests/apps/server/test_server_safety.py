"""What a server refuses before it works: strangers, other names, bodies that are too large or no bodies."""

import io
import json
import logging
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import httpx2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live_server import Running, running
from pellucid.apps.server.logs import JsonLines
from pellucid.files.images import encode_image
from pellucid.serving.store import Limits

T = TypeVar("T")
ASK = {"prompt": "a cat", "steps": 1}


def soon(look: Callable[[], T | None]) -> T:
    """Returns what is there a moment after an answer, since a server notes it when it has answered."""
    ends = time.monotonic() + 10
    while (found := look()) is None and time.monotonic() < ends:
        time.sleep(0.01)
    assert found is not None
    return found


def test_tokens_are_asked_for_where_they_must_be(folder: Path, model: str) -> None:
    with running(folder, model, works=False, needs_token=True) as server:
        secret = server.state.tokens.new("me")
        others = server.state.tokens.new("you")
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": secret}):
            answer = server.http.get("/v1/models", headers=headers)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "invalid_api_key"
            assert answer.headers["www-authenticate"] == "Bearer"
        mine, yours = ({"Authorization": f"Bearer {each}"} for each in (secret, others))
        assert server.http.get("/v1/models", headers=mine).status_code == 200
        assert server.http.get("/healthz").status_code == 200
        assert server.http.get("/metrics").status_code == 401
        job = server.http.post("/v1/scenes", json={"task": "generate", "prompt": "a"}, headers=mine).json()
        assert server.http.get(f"/v1/scenes/{job['id']}", headers=mine).status_code == 200
        assert server.http.get(f"/v1/scenes/{job['id']}", headers=yours).status_code == 404
        assert server.http.delete(f"/v1/scenes/{job['id']}", headers=yours).status_code == 404
        assert server.http.get("/v1/scenes", headers=yours).json()["data"] == []
        server.state.tokens.revoke("me")
        assert server.http.get("/v1/models", headers=mine).status_code == 401


def test_other_host_names_are_refused_on_this_machine(server: Running) -> None:
    answer = server.http.get("/v1/models", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert server.http.get("/v1/models", headers={"Host": "localhost:1"}).status_code == 200


def test_pages_of_other_origins_may_not_read_answers(server: Running, folder: Path, model: str) -> None:
    origin = {"Origin": "http://page.example"}
    answer = server.http.get("/v1/models", headers=origin)
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    with running(folder, model, works=False, cors=("http://page.example",)) as open_server:
        answer = open_server.http.get("/v1/models", headers=origin)
        assert answer.headers["access-control-allow-origin"] == "http://page.example"


def test_bodies_are_bounded_whatever_they_say_of_themselves(folder: Path, model: str) -> None:
    with running(folder, model, works=False, max_upload=100_000) as server:
        large = b"x" * 3_000_000
        assert server.http.post("/v1/images/generations", content=large).status_code == 413

        def pieces() -> object:
            for _ in range(60):
                yield b"x" * 65536

        answer = server.http.post("/v1/images/generations", content=pieces())  # pyright: ignore
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "request_too_large"
        files = {"image": ("a.png", b"x" * 200_000), "prompt": (None, "a")}
        assert server.http.post("/v1/images/edits", files=files).status_code == 413


def bomb(side: int = 6_000) -> bytes:
    """A PNG of a few kilobytes that unpacks to more than is allowed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    packer = zlib.compressobj(9)
    row = bytes(side * 4 + 1)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = side.to_bytes(4, "big") * 2 + bytes([8, 6, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_images_are_measured_before_they_are_unpacked(server: Running) -> None:
    files = {"image": ("a.png", bomb(), "image/png"), "prompt": (None, "a")}
    answer = server.http.post("/v1/images/edits", files=files)
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("invalid_image", "image")


def test_no_address_and_no_path_of_a_caller_is_opened(server: Running) -> None:
    for place in ("file:///etc/passwd", "http://127.0.0.1:1/a.png", "/etc/passwd"):
        answer = server.http.post("/v1/images/edits", files={"image": (None, place), "prompt": (None, "a")})
        assert answer.status_code == 400
        model = server.http.post("/v1/images/generations", json={**ASK, "model": place})
        assert model.status_code == 404


def test_a_full_queue_answers_when_to_come_again(folder: Path, model: str) -> None:
    limits = Limits(max_queue=3, max_queue_per_client=2)
    with running(folder, model, works=False, limits=limits) as server:
        ask = {"task": "generate", "prompt": "a"}
        codes = [server.http.post("/v1/scenes", json=ask) for _ in range(3)]
        assert [each.status_code for each in codes] == [202, 202, 429]
        token = server.state.tokens.new("me")
        mine = {"Authorization": f"Bearer {token}"}
        codes += [server.http.post("/v1/scenes", json=ask, headers=mine) for _ in range(2)]
        assert [each.status_code for each in codes[3:]] == [202, 503]
        for each in (codes[2], codes[4]):
            assert 1 <= int(each.headers["retry-after"]) <= 300


def test_the_log_tells_requests_and_prompts_only_where_asked(
    server: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "pellucid")
    answer = server.http.post("/v1/images/generations", json={**ASK, "prompt": "a secret wish"})
    record = soon(lambda: next((each for each in caplog.records if each.getMessage() == "request"), None))
    line = json.loads(JsonLines().format(record))
    assert (line["path"], line["status"]) == ("/v1/images/generations", 200)
    assert line["id"] == answer.headers["x-request-id"]
    assert not any("wish" in JsonLines().format(each) for each in caplog.records)
    monkeypatch.setattr(server.state, "settings", replace(server.state.settings, logs_prompts=True))
    server.http.post("/v1/images/generations", json={**ASK, "prompt": "a secret wish"})
    assert any("wish" in JsonLines().format(each) for each in caplog.records)
    named = server.http.get("/v1/models", headers={"x-request-id": "mine-1"})
    assert named.headers["x-request-id"] == "mine-1"
    forged = server.http.get("/v1/models", headers={"x-request-id": "a b"})
    assert forged.headers["x-request-id"].startswith("req_")


def test_measures_and_readiness(server: Running) -> None:
    server.http.post("/v1/images/generations", json=ASK)
    made = 'pellucid_requests_total{path="/v1/images/generations",status="200"}'
    text = soon(lambda: text if made in (text := server.http.get("/metrics").text) else None)
    for name in (
        'pellucid_jobs{state="queued"}', "pellucid_wait_seconds_count", "pellucid_step_seconds_sum",
        "pellucid_batch_images_bucket", 'pellucid_job_seconds_count{outcome="done"}',
    ):  # fmt: skip
        assert name in text
    assert server.http.get("/readyz").json() == {"status": "ok", "models": ["tiny"]}
    assert server.http.get("/nothing").json()["error"]["code"] == "not_found"
    assert server.http.put("/v1/models").json()["error"]["code"] == "method_not_allowed"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "prompt",
        "n",
        "size",
        "quality",
        "background",
        "stream",
        "layers",
        "seed",
        "user",
        "task",
        "box",
        "model",
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(FIELDS | st.text(max_size=9), VALUES, max_size=6), st.booleans())
def test_strange_json_is_refused_in_words(server: Running, body: dict[str, object], native: bool) -> None:
    # never complete, so that nothing is made
    body.pop("prompt", None)
    path = "/v1/scenes" if native else "/v1/images/generations"
    content = json.dumps(body, ensure_ascii=bool(len(body) % 2)).encode("utf-8", "surrogatepass")
    answer = server.http.post(path, content=content, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert_told(answer)


# Starlette forgets the file of a part that never ends; it is closed when it is collected
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=2000),
    st.sampled_from(["application/json", "multipart/form-data; boundary=x", "text/plain", ""]),
)
def test_strange_bytes_are_refused_in_words(server: Running, content: bytes, kind: str) -> None:
    for path in ("/v1/images/edits", "/v1/images/generations", "/v1/scenes", "/v1/images/variations"):
        for body in (
            content,
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + content,
        ):
            answer = server.http.post(path, content=body, headers={"content-type": kind} if kind else {})
            assert 400 <= answer.status_code < 500, answer.text
            assert_told(answer)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_images_are_refused_in_words(server: Running, data: st.DataObject) -> None:
    whole = bytearray(encode_image(np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)))
    for _ in range(data.draw(st.integers(1, 20))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    files = {"image": ("a.png", io.BytesIO(cut)), "prompt": (None, "a"), "steps": (None, "1")}
    answer = server.http.post("/v1/images/edits", files=files)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert_told(answer)


def assert_told(answer: httpx2.Response) -> None:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"]
    assert "Traceback" not in answer.text
    assert len(error["message"]) < 1000
