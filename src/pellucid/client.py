"""A pipeline on another machine: the methods and results of a local one, made by `pellucid serve`.

Importing this loads no torch.
"""

import json
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Unpack

from pellucid.errors import InputError, ServerError, missing_package
from pellucid.files.images import encode_image
from pellucid.pipelines.arguments import CallKwargs, Prompt, Request, expand_requests, one_or_all
from pellucid.pipelines.given_images import to_image
from pellucid.pipelines.keywords import (
    AddLayerKeywords,
    FittedKeywords,
    ForegroundOnKeywords,
    GenerateKeywords,
    LayerKeywords,
    RepaintKeywords,
    SplitKeywords,
    UpscaleKeywords,
)
from pellucid.scene.contents import decode_scene, encode_scene
from pellucid.scene.scene import Scene

if TYPE_CHECKING:
    import httpx2

Made = Scene | list[Scene]
AT_ONCE = 32
"""Jobs of one call that wait on the server; it samples several together."""
PATIENCE_S = 600.0
"""How long a full queue is asked again for room."""
NEVER_SENT = ("pipeline_inputs", "batch_size")
"""Keywords of local pipelines that hold objects of their process, or say how their device is used."""


class Client:
    """Calls a server's pipeline as if it were here.

    Example:
        pipe = pellucid.Client("http://127.0.0.1:8799")
        pipe.generate("a glass bottle of honey", seed=7).save("honey.png")
    """

    def __init__(self, url: str, token: str | None = None, *, model: str | None = None) -> None:
        """Names a server; nothing is sent yet.

        Args:
            url: of the server, as it prints it.
            token: secret that it asks callers of other machines for.
            model: name of one of its models; None is its default.
        """
        try:
            import httpx2
        except ModuleNotFoundError:
            raise missing_package("httpx2", "a server's pipeline", "client") from None
        if not url.startswith(("http://", "https://")):
            raise InputError(f"Expected an address as http://HOST:PORT, found {url!r:.80}. Write it so.")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # a stream says something every 15 s; a result may take a while to be packed
        timeout = httpx2.Timeout(60.0, connect=10.0)
        self._http = httpx2.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout)
        self.url, self.model = url, model

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections; the next call opens others."""
        self._http.close()

    def models(self) -> list[str]:
        """Returns the names of the server's models, the default first."""
        return [each["id"] for each in self._ask("GET", "/v1/models").json()["data"]]

    def generate(self, prompt: Prompt, *, count: int = 1, **options: Unpack[GenerateKeywords]) -> Made:
        """Makes transparent images from text; see `TransparentPipeline.generate`."""
        keywords = dict(options)
        control = keywords.pop("control", None)
        images = {} if control is None else {"control": control}
        return self._make("generate", {"prompt": prompt}, images, count, keywords)

    def vary(
        self, image: object, prompt: Prompt, *, count: int = 1, **options: Unpack[RepaintKeywords]
    ) -> Made:
        """Repaints an image; see `TransparentPipeline.vary`."""
        return self._make("vary", {"prompt": prompt}, {"image": image}, count, options)

    def inpaint(
        self,
        image: object,
        mask: object,
        prompt: Prompt,
        *,
        count: int = 1,
        **options: Unpack[RepaintKeywords],
    ) -> Made:
        """Repaints an image inside a mask; see `TransparentPipeline.inpaint`."""
        return self._make("inpaint", {"prompt": prompt}, {"image": image, "mask": mask}, count, options)

    def upscale(
        self, image: object, prompt: Prompt = "", *, count: int = 1, **options: Unpack[UpscaleKeywords]
    ) -> Made:
        """Enlarges an image; see `TransparentPipeline.upscale`."""
        return self._make("upscale", {"prompt": prompt}, {"image": image}, count, options)

    def joint(
        self,
        foreground: Prompt,
        background: Prompt,
        composite: Prompt | None = None,
        *,
        count: int = 1,
        **options: Unpack[LayerKeywords],
    ) -> Made:
        """Makes a foreground and a background; see `TransparentPipeline.joint`."""
        prompts = {"foreground": foreground, "background": background, "composite": composite}
        return self._make("joint", prompts, {}, count, options)

    def foreground_on(
        self,
        background: object,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        count: int = 1,
        **options: Unpack[ForegroundOnKeywords],
    ) -> Made:
        """Makes a foreground for an image; see `TransparentPipeline.foreground_on`."""
        prompts = {"prompt": prompt, "composite": composite}
        return self._make("foreground_on", prompts, {"background": background}, count, options)

    def background_for(
        self,
        foreground: object,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        count: int = 1,
        **options: Unpack[FittedKeywords],
    ) -> Made:
        """Makes a background for a transparent image; see `TransparentPipeline.background_for`."""
        prompts = {"prompt": prompt, "composite": composite}
        return self._make("background_for", prompts, {"foreground": foreground}, count, options)

    def add_layer(
        self,
        scene: Scene,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        count: int = 1,
        **options: Unpack[AddLayerKeywords],
    ) -> Made:
        """Makes one more layer; see `TransparentPipeline.add_layer`."""
        return self._make(
            "add_layer", {"prompt": prompt, "composite": composite}, {"scene": scene}, count, options
        )

    def split(
        self, composite: object, prompt: Prompt = "", *, count: int = 1, **options: Unpack[SplitKeywords]
    ) -> Made:
        """Takes an image apart; see `TransparentPipeline.split`."""
        keywords = dict(options)
        images = {"composite": composite}
        for name in ("background", "foreground"):
            if (given := keywords.pop(name, None)) is not None:
                images[name] = given
        return self._make("split", {"prompt": prompt}, images, count, keywords)

    def _make(
        self,
        task: str,
        prompts: Mapping[str, Prompt | None],
        images: Mapping[str, object],
        count: int,
        options: Mapping[str, object],
    ) -> Made:
        """Makes every image of a call by a job of its own, which the server samples together where it can."""
        own = next((name for name in NEVER_SENT if options.get(name) is not None), None)
        if own is not None:
            raise InputError(f"Expected no {own} for a server, found some. It belongs to a local pipeline.")
        lists = [text for text in prompts.values() if text is not None and not isinstance(text, str)]
        leading = lists[0] if lists else next(iter(prompts.values()))
        asked = expand_requests(
            leading, negative_prompt=options.get("negative_prompt"), count=count, seed=options.get("seed")
        )
        contents = {name: self._content(name, image) for name, image in images.items()}
        values = [
            self._values(task, prompts, options, request, i // count) for i, request in enumerate(asked)
        ]
        scenes = self._run(
            [{name: each for name, each in one.items() if each is not None} for one in values], contents
        )
        return one_or_all(scenes, list(prompts.values()), count)

    def _values(
        self,
        task: str,
        prompts: Mapping[str, Prompt | None],
        options: Mapping[str, object],
        request: Request,
        place: int,
    ) -> dict[str, object]:
        """Returns the request of one image, of which only the seed and the texts differ from the others."""
        shared = {name: value for name, value in options.items() if name not in ("seed", *NEVER_SENT)}
        if shared.get("negative_prompt") is not None:
            shared["negative_prompt"] = request.negative_prompt
        texts = {
            name: text if text is None or isinstance(text, str) else self._at(name, text, place)
            for name, text in prompts.items()
        }
        return {**shared, **texts, "task": task, "model": self.model, "seed": request.seed}

    @staticmethod
    def _at(name: str, texts: Sequence[str], place: int) -> str:
        if place >= len(texts):
            raise InputError(
                f"Expected as many texts of each kind, found {len(texts)} of {name}. Give one each."
            )
        return texts[place]

    def _content(self, name: str, image: object) -> bytes:
        """Returns the file that an image is sent as: a document with its layers, or a PNG."""
        if name != "scene":
            return encode_image(to_image(image))
        if not isinstance(image, Scene):
            raise InputError(f"Expected a scene, found {type(image).__name__}. Make one with Scene.of.")
        return encode_scene(image)

    def _run(self, values: Sequence[Mapping[str, object]], contents: Mapping[str, bytes]) -> list[Scene]:
        """Runs jobs, several at once, and returns their scenes in order; what fails cancels the rest."""
        waiting: list[str] = []
        scenes: list[Scene] = []
        left = list(values)
        try:
            while left or waiting:
                while left and len(waiting) < AT_ONCE:
                    waiting.append(self._submit(left.pop(0), contents))
                scenes.append(self._result(waiting[0]))
                self._ask("DELETE", f"/v1/scenes/{waiting.pop(0)}")
            return scenes
        except BaseException:
            self._give_up(waiting)
            raise

    def _give_up(self, ids: Sequence[str]) -> None:
        for job_id in ids:
            try:
                self._ask("DELETE", f"/v1/scenes/{job_id}")
            except (ServerError, InputError):
                return  # a server that is gone has nothing to cancel

    def _submit(self, values: Mapping[str, object], contents: Mapping[str, bytes]) -> str:
        form = {"request": (None, json.dumps(values))}
        files = {name: (f"{name}.png", content) for name, content in contents.items()}
        ends = time.monotonic() + PATIENCE_S
        while True:
            answer = self._ask("POST", "/v1/scenes", files={**form, **files}, allowed=(429, 503))
            if answer.status_code == 202:
                return answer.json()["id"]
            pause = float(answer.headers.get("retry-after", "1"))
            if time.monotonic() + pause > ends:
                raise _error_of(answer)
            time.sleep(pause)

    def _result(self, job_id: str) -> Scene:
        """Waits until a job is over and fetches what it made."""
        import httpx2

        while (job := self._ask("GET", f"/v1/scenes/{job_id}").json())["state"] in ("queued", "running"):
            try:
                with self._http.stream("GET", f"/v1/scenes/{job_id}/events") as events:
                    for _ in events.iter_lines():
                        pass  # it ends when the job does, and speaks meanwhile, so that no proxy hangs up
            except httpx2.TransportError:
                time.sleep(1)  # the job goes on without us
        if job["state"] != "done":
            raise _failure(job["error"] or {"message": "The job was cancelled. Ask again."})
        ending = job["results"][0]["stored"]
        content = self._ask("GET", job["results"][0]["files"][ending]).content
        scene = decode_scene(content, f"result.{ending}")
        # an image file has no place for its layer's name
        return scene if ending == "ora" else scene.rename(scene.layers[0], job["results"][0]["layers"][0])

    def _ask(
        self, method: str, path: str, *, files: CallKwargs | None = None, allowed: Sequence[int] = ()
    ) -> "httpx2.Response":
        import httpx2

        try:
            answer = self._http.request(method, path, files=files)  # pyright: ignore - files as documented
        except httpx2.TransportError as error:
            raise ServerError(
                f"Expected an answer of {self.url}, found {type(error).__name__}: {error}. "
                "Check the address, and that `pellucid serve` runs there."
            ) from None
        if answer.is_success or answer.status_code in allowed:
            return answer
        raise _error_of(answer)


def _error_of(answer: "httpx2.Response") -> InputError | ServerError:
    try:
        return _failure({"status": answer.status_code, **answer.json()["error"]})
    except (ValueError, KeyError, TypeError):
        return ServerError(
            f"Expected an answer of `pellucid serve`, found status {answer.status_code} of something else. "
            "Check the address."
        )


def _failure(error: Mapping[str, object]) -> InputError | ServerError:
    """Makes the error that a local pipeline would raise, where the caller can mend it."""
    kinds = ("invalid_request_error", "image_generation_user_error")
    mendable = error.get("type") in kinds and error.get("status") not in (401, 403)
    return (InputError if mendable else ServerError)(str(error.get("message")))
