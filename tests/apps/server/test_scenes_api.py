"""Jobs by the native API: every task, watched, cancelled, fetched later, forgotten."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from live_server import Running, running
from pellucid.files.images import encode_image, read_rgba
from pellucid.pipelines.loading import load
from pellucid.scene.scene import Scene
from pellucid.serving.requests import TASKS
from pellucid.serving.results import MEDIA_TYPES

CAT: dict[str, Any] = {"task": "generate", "prompt": "a cat", "num_inference_steps": 2, "seed": 3}
LONG = {**CAT, "num_inference_steps": 900}
NOISE = np.random.default_rng(0).integers(0, 256, (32, 48, 4), np.uint8)


def new(server: Running, request: dict[str, Any], **query: object) -> str:
    answer = server.http.post("/v1/scenes", json=request, params=query)  # pyright: ignore
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/scenes/{answer.json()['id']}"
    return answer.json()["id"]


def document(tmp_path: Path) -> bytes:
    return Scene.of([NOISE, NOISE[::-1]]).save(tmp_path / "scene.ora").read_bytes()


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401
    with running(tmp_path_factory.mktemp("layered"), "mini") as found:
        yield found


@pytest.mark.parametrize("task", TASKS)
def test_every_task_works_by_one_request(layered: Running, tmp_path: Path, task: str) -> None:
    texts = {"foreground": "a cat", "background": "a beach"} if task == "joint" else {"prompt": "a cat"}
    request = {"task": task, "num_inference_steps": 1, "seed": 3, **texts}
    contents = {"mask": encode_image(np.full_like(NOISE, 255)), "scene": document(tmp_path)}
    given = [*TASKS[task].images, *(["background"] if task == "split" else [])]
    files = {name: (name, contents.get(name, encode_image(NOISE))) for name in given}
    form = {"request": (None, json.dumps(request)), **files}
    answer = layered.http.post("/v1/scenes", files=form, params={"wait": True})
    assert answer.status_code == 200, answer.text
    job = answer.json()
    assert (job["state"], job["task"], job["model"]) == ("done", task, "tiny")
    assert job["request"]["seed"] == 3
    (result,) = job["results"]
    ending = result["stored"]
    assert ending == ("png" if task in ("generate", "vary", "inpaint", "upscale") else "ora")
    (tmp_path / f"found.{ending}").write_bytes(layered.http.get(result["files"][ending]).content)
    scene = Scene.open(tmp_path / f"found.{ending}")
    assert (scene.height, scene.width) == (result["height"], result["width"])
    own = {
        "image": NOISE,
        "mask": np.full_like(NOISE, 255),
        "composite": NOISE,
        "scene": Scene.of([NOISE, NOISE[::-1]]),
    }
    own |= {"background": NOISE, "foreground": NOISE}
    pipe = load("mini")
    keywords = {name: value for name, value in request.items() if name != "task"}
    same = getattr(pipe, task)(**{name: own[name] for name in given}, **keywords)
    assert np.array_equal(scene.composite(), same.composite())


def test_results_come_in_every_format(server: Running, tmp_path: Path) -> None:
    job_id = new(server, CAT)
    job: Any = server.until(job_id, "done")
    shown = [server.http.get(f"/v1/scenes/{job_id}/results/0.{ending}") for ending in MEDIA_TYPES]
    for (ending, kind), answer in zip(MEDIA_TYPES.items(), shown, strict=True):
        assert answer.headers["content-type"] == kind
        (tmp_path / f"a.{ending}").write_bytes(answer.content)
        # AVIF rounds colours
        assert np.abs(
            Scene.open(tmp_path / f"a.{ending}").composite()[..., 3].astype(int)
            - read_rgba(shown[0].content)[..., 3]
        ).max() <= (2 if ending == "avif" else 0)
    assert set(job["results"][0]["files"]) == set(MEDIA_TYPES)
    assert server.http.get(f"/v1/scenes/{job_id}/results/1.png").status_code == 404
    assert server.http.get(f"/v1/scenes/{job_id}/results/0.exe").status_code == 400


def test_progress_is_streamed_to_whoever_watches(server: Running) -> None:
    job_id = new(server, {**CAT, "num_inference_steps": 40}, previews=2)
    events: list[tuple[str, Any]] = []
    for _ in range(2):  # a page that is loaded again finds it
        with server.http.stream("GET", f"/v1/scenes/{job_id}/events") as stream:
            name = ""
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    events.append((name, json.loads(line.removeprefix("data: "))))
    assert [name for name, _ in events][-2:] == ["done", "done"]
    assert {name for name, _ in events} <= {"progress", "done"}
    final = events[-1][1]
    assert final["state"] == "done"
    assert len(final["previews"]) == 2
    for path in final["previews"]:
        assert read_rgba(server.http.get(path).content).shape == (64, 64, 4)
    assert server.http.get(f"/v1/scenes/{job_id}/previews/2.png").status_code == 404


def test_cancelling_stops_within_a_step(server: Running) -> None:
    job_id = new(server, LONG)
    server.until(job_id, "running")
    server.http.post(f"/v1/scenes/{job_id}/cancel")
    began = time.monotonic()
    job = server.until(job_id, "cancelled")
    assert time.monotonic() - began < 3
    assert job["step"] < 900
    assert job["results"] == []
    assert server.http.post(f"/v1/scenes/{job_id}/cancel").json()["state"] == "cancelled"


def test_a_queued_job_is_cancelled_at_once_and_a_deleted_one_forgotten(server: Running) -> None:
    first, second = new(server, LONG), new(server, {**LONG, "seed": 4})
    server.until(first, "running")
    assert server.http.post(f"/v1/scenes/{second}/cancel").json()["state"] in ("cancelled", "running")
    for job_id in (first, second):
        assert server.http.delete(f"/v1/scenes/{job_id}").status_code == 204
    ends = time.monotonic() + 10
    while server.http.get(f"/v1/scenes/{first}").status_code != 404 and time.monotonic() < ends:
        time.sleep(0.05)
    assert server.http.get(f"/v1/scenes/{first}").status_code == 404
    assert not server.state.store.files(first).exists()


def test_whoever_hangs_up_while_waiting_cancels(server: Running) -> None:
    import httpx2

    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{server.url}/v1/scenes", json=LONG, params={"wait": True}, timeout=1.0)
    job_id = server.http.get("/v1/scenes", params={"limit": 1}).json()["data"][0]["id"]
    job = server.until(job_id, "cancelled", limit_s=5)
    assert job["step"] < 900
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{server.url}/v1/images/generations", json={"prompt": "a", "steps": 900}, timeout=1.0)
    job_id = server.http.get("/v1/scenes", params={"limit": 1}).json()["data"][0]["id"]
    server.until(job_id, "cancelled", limit_s=5)


def test_jobs_are_listed_page_by_page(folder: Path, model: str) -> None:
    with running(folder, model, works=False) as server:
        ids = [new(server, CAT) for _ in range(5)]
        found: list[str] = []
        before: dict[str, int] = {}
        while True:
            page = server.http.get("/v1/scenes", params={"limit": 2, **before}).json()
            found += [each["id"] for each in page["data"]]
            if page["next"] is None:
                break
            before = {"before": page["next"]}
        assert found == ids[::-1]


WRONG: list[tuple[Any, str | None, str]] = [
    ({}, "task", "missing_required_parameter"),
    ({"task": "paint"}, "task", "invalid_value"),
    ({"task": "generate"}, "prompt", "missing_required_parameter"),
    ({**CAT, "colour": "red"}, "colour", "unknown_parameter"),
    ({**CAT, "seed": "3"}, "seed", "invalid_type"),
    ({**CAT, "count": 11}, "count", "invalid_value"),
    ({**CAT, "height": 16384, "width": 16384}, "height", "invalid_value"),
    ({**CAT, "pipeline_inputs": {}}, "pipeline_inputs", "unknown_parameter"),
    ({**CAT, "model": "other"}, "model", "model_not_found"),
    ({"task": "vary", "prompt": "a"}, "image", "missing_required_parameter"),
    ([], None, "invalid_type"),
    (3, None, "invalid_type"),
]


@pytest.mark.parametrize(("request_", "param", "code"), WRONG)
def test_a_request_that_does_not_fit_is_refused_by_name(
    server: Running,
    request_: Any,  # noqa: ANN401
    param: str | None,
    code: str,
) -> None:
    answer = server.http.post("/v1/scenes", json=request_)
    assert answer.status_code == (404 if code == "model_not_found" else 400), answer.text
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == (param, code)


def test_what_only_the_model_can_refuse_fails_the_job_with_its_words(server: Running) -> None:
    answer = server.http.post("/v1/scenes", json={**CAT, "scheduler": "none"}, params={"wait": True})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("No scheduler is called 'none'.")
    assert answer.headers["x-should-retry"] == "false"


def test_a_batch_makes_what_each_would_be_alone(folder: Path, model: str) -> None:
    requests = [
        {**CAT, "prompt": prompt, "seed": seed} for seed, prompt in enumerate(["a cat", "a dog", "a", "b"])
    ]
    with running(folder, model, works=False) as server:
        ids = [new(server, each) for each in requests]
    with running(folder, model) as server:
        jobs: list[Any] = [server.until(job_id, "done") for job_id in ids]
        assert len({job["started_at"] for job in jobs}) == 1
        pipe: Any = load(model)
        for job, request in zip(jobs, requests, strict=True):
            image = read_rgba(server.http.get(job["results"][0]["files"]["png"]).content).astype(int)
            keywords = {name: value for name, value in request.items() if name != "task"}
            alone = pipe.generate(**keywords).layers[0].image
            assert np.abs(image - alone).max() <= 1


def test_one_that_fails_in_a_batch_fails_alone(folder: Path, model: str) -> None:
    # a prompt of a lone surrogate is no text that a tokenizer reads; here it is put beside a good one
    with running(folder, model, works=False) as server:
        ids = [new(server, {**CAT, "seed": seed}) for seed in range(2)]
        (server.state.store.files(ids[0])).parent.mkdir(parents=True, exist_ok=True)
        server.state.store.files(ids[0]).write_text("a file where its folder should be")
    with running(folder, model) as server:
        assert server.until(ids[0], "failed")["error"]["code"] == "internal_error"  # pyright: ignore
        server.until(ids[1], "done")
