"""Prompts of layer triples: the grammar, files, a chat server over real HTTP, a small language model."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from pellucid.data.chat import ChatModel
from pellucid.data.scene_prompts import (
    ATTEMPTS,
    ChatScenes,
    LocalScenes,
    Refusal,
    ScenePrompt,
    parse_answer,
    read_scene_grammar,
    read_scenes,
    shipped_scenes,
)
from pellucid.errors import FileError, InputError

GOOD = {"foreground": "a red fox", "background": "a snowy wood", "composite": "a red fox in a snowy wood"}


class Handler(BaseHTTPRequestHandler):
    """Answers each question with the next of its answers."""

    answers: ClassVar[list[str]] = []
    asked: ClassVar[list[dict[str, object]]] = []

    def do_POST(self) -> None:
        Handler.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        answer = Handler.answers[min(len(Handler.asked), len(Handler.answers)) - 1]
        self.send_response(400 if answer == "refused" else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"choices": [{"message": {"content": answer}}]}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def chat() -> Iterator[ChatScenes]:
    Handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        model = ChatModel(url=f"http://127.0.0.1:{http.server_port}/v1", model="m", pause_s=0.01)
        yield ChatScenes(chat=model, ideas=shipped_scenes())
        http.shutdown()


def test_the_grammar_draws_the_same_for_a_seed_and_all_kinds_in_time() -> None:
    grammar = shipped_scenes()
    drawn = [grammar.write(number, 3) for number in range(300)]
    assert drawn == [grammar.write(number, 3) for number in range(300)]
    assert drawn[:20] != [grammar.write(number, 4) for number in range(20)]
    assert {prompt.background for prompt in drawn} == set(grammar.places)
    assert all(prompt.composite.startswith(prompt.foreground) for prompt in drawn)


def test_every_pair_of_the_grammar_is_a_valid_prompt() -> None:
    grammar = shipped_scenes()
    for foreground in (each for table in grammar.foregrounds.values() for each in table):
        for place, words in grammar.places.items():
            ScenePrompt(foreground=foreground, background=place, composite=f"{foreground} {words}")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I cannot help with that.", "no JSON object"),
        (json.dumps({**GOOD, "background": ""}), "background"),
        (json.dumps({**GOOD, "background": "a red fox in snow"}), "names the subject, 'red fox'"),
        (json.dumps({**GOOD, "composite": "A red fox"}), "no more than one of the layers"),
        (json.dumps({**GOOD, "foreground": "x" * 400}), "foreground"),
        ('{"foreground": "a"', "no JSON object"),
    ],
)
def test_answers_without_a_triple_are_refused_with_the_reason(answer: str, reason: str) -> None:
    found = parse_answer(answer)
    assert isinstance(found, Refusal)
    assert reason in found.reason


def test_words_around_the_object_do_not_matter() -> None:
    assert parse_answer(f"Sure!\n```json\n{json.dumps(GOOD)}\n```") == ScenePrompt(**GOOD)


def test_a_server_is_asked_again_until_its_answer_can_be_used(chat: ChatScenes) -> None:
    Handler.answers = ["sorry", json.dumps({**GOOD, "background": "the red fox"}), json.dumps(GOOD)]
    assert chat.write(7, 1) == ScenePrompt(**GOOD)
    seeds = [body["seed"] for body in Handler.asked]
    assert seeds == [22, 23, 24]
    idea = shipped_scenes().write(7, 1).composite
    assert all(idea in str(body["messages"]) for body in Handler.asked)


def test_a_server_that_never_gives_one_is_refused_with_the_last_reason(chat: ChatScenes) -> None:
    Handler.answers = ["sorry"]
    found = chat.write(0, 0)
    assert isinstance(found, Refusal)
    assert "sorry" in found.reason
    assert len(Handler.asked) == ATTEMPTS


def test_a_question_that_a_server_refuses_costs_its_scene_alone(chat: ChatScenes) -> None:
    Handler.answers = ["refused", json.dumps(GOOD)]
    found = chat.write(0, 0)
    assert isinstance(found, Refusal)
    assert found.unanswered
    assert "found 400" in found.reason
    assert chat.write(1, 0) == ScenePrompt(**GOOD)


def text_model(folder: Path, answer: str | None) -> str:
    """A GPT-2 of one layer that has learned one answer by heart, or nothing."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(alphabet)} | {"<end>": len(alphabet)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")
    tokenizer.chat_template = "Q:"
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(vocabulary),
        n_positions=400,
        n_embd=64,
        n_layer=1,
        n_head=2,
        eos_token_id=len(alphabet),
        bos_token_id=len(alphabet),
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    model = GPT2LMHeadModel(config)
    if answer is not None:
        tokens = torch.tensor([[*tokenizer(f"Q:{answer}")["input_ids"], len(alphabet)]])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(120):
            loss = model(input_ids=tokens, labels=tokens).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_local_model_writes_prompts_and_leaves_the_callers_noise_alone(tmp_path: Path) -> None:
    scenes = LocalScenes(folder=text_model(tmp_path / "lm", json.dumps(GOOD)), ideas=shipped_scenes())
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    assert scenes.write(0, 0) == ScenePrompt(**GOOD)
    assert torch.equal(torch.rand(3), wanted)


def test_a_model_that_writes_nonsense_is_refused(tmp_path: Path) -> None:
    scenes = LocalScenes(folder=text_model(tmp_path / "lm", None), ideas=shipped_scenes())
    assert isinstance(scenes.write(0, 0), Refusal)


def test_a_folder_without_a_language_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="Expected a text-generation model"):
        LocalScenes(folder=str(tmp_path), ideas=shipped_scenes()).write(0, 0)
    with pytest.raises(FileError, match="no such folder"):
        LocalScenes(folder=str(tmp_path / "absent"), ideas=shipped_scenes()).write(0, 0)


def test_files_of_prompts_are_read_in_turns_and_bad_lines_named(tmp_path: Path) -> None:
    path = tmp_path / "scenes.jsonl"
    other = {**GOOD, "foreground": "a hat", "composite": "a hat in a snowy wood"}
    path.write_text(f"{json.dumps(GOOD)}\n\n{json.dumps(other)}\n")
    scenes = read_scenes(path)
    assert [scenes.write(number, 9).foreground for number in range(3)] == ["a red fox", "a hat", "a red fox"]
    path.write_text(f"{json.dumps(GOOD)}\nnothing\n")
    with pytest.raises(InputError, match="line 2"):
        read_scenes(path)
    path.write_text("")
    with pytest.raises(InputError, match="found none"):
        read_scenes(path)


def test_a_grammar_without_places_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenes.toml"
    path.write_text('[foregrounds]\nthings = ["a hat"]\n[places]\n')
    with pytest.raises(FileError, match="an empty table"):
        read_scene_grammar(path)
