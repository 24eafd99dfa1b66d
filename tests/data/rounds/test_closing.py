"""Closing: the next training set, its weights and its recipe."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from pellucid.data.records import Record
from pellucid.data.rounds import closing
from pellucid.data.rounds.beginning import begin_round
from pellucid.data.rounds.closing import Closed, close_round
from pellucid.data.rounds.database import Store
from pellucid.data.rounds.history import all_rounds
from pellucid.data.rounds.prompts import shipped_grammar
from pellucid.data.rounds.recipes import to_toml
from pellucid.data.rounds.sampling import sample_round
from pellucid.data.rounds.tables import Round, Sample
from pellucid.data.shards import read_shard, write_shard
from pellucid.errors import FileError, InputError
from pellucid.training.data.in_memory import load_images
from pellucid.training.recipe import read_recipe
from pellucid.training.stages.options import TransparentOptions
from screening import PLAIN, draw, judge_all, say, verdict

Opened = Callable[..., Store]


def records(path: str) -> list[Record]:
    return [record for record, _ in read_shard(path)]


def base_set(folder: Path) -> str:
    write_shard(
        [(Record(name=f"b{i}", label=f"base {i}"), draw([""], [i])[0]) for i in range(5)], folder / "base.tar"
    )
    return str(folder / "base.tar")


def keep_thirds(sample: Sample) -> str:
    return "keep" if sample.place % 3 == 0 else "reject"


def test_three_rounds_give_weights_and_provenance(opened: Opened, tmp_path: Path) -> None:
    base = base_set(tmp_path)
    store = opened(data=[base])
    closed: list[Closed] = []
    for number in (1, 2, 3):
        if number > 1:
            begin_round(store, PLAIN)
            sample_round(store, shipped_grammar(), draw, model=f"model {number}", licence="CC0")
        judge_all(store, "ann", keep_thirds)  # type: ignore[arg-type]
        closed.append(close_round(store))
    assert [each.kept for each in closed] == [10, 10, 10]
    recipe = read_recipe(closed[2].recipe, "transparent")
    assert recipe.data == closed[2].data
    loaded = load_images(replace(recipe, size_px=16)).records
    weights = {(record.round, record.weight) for record in loaded}
    assert weights == {(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0)}
    assert sum(record.weight for record in loaded) == 5 + 10 + 10 + 20
    last = next(record for record in loaded if record.round == 3)
    assert (last.model, last.licence, last.source) == ("model 3", "CC0", "pellucid")
    assert last.prompt == last.label
    assert last.seed >= 3_000_000
    with store.reading() as session:
        history = all_rounds(session)
    assert [each.counts["keep"] for each in history] == [10, 10, 10]
    assert history[2].data == closed[1].data


def test_closing_is_idempotent_and_later_verdicts_change_nothing(opened: Opened) -> None:
    store = opened()
    judge_all(store, "ann", keep_thirds)  # type: ignore[arg-type]
    first = close_round(store)
    content = {path: path.read_bytes() for path in store.folder.rglob("round-001/*")}
    say(store, "ann", verdict(1, "reject"))
    assert close_round(store, 1) == first
    assert {path: path.read_bytes() for path in store.folder.rglob("round-001/*")} == content
    assert len((first.recipe.parent / "verdicts.jsonl").read_text().splitlines()) == 30


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_killed_closing_is_finished_by_the_next(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened()
    judge_all(store, "ann", keep_thirds)  # type: ignore[arg-type]
    with monkeypatch.context() as patched:
        patched.setattr(closing, "_log", interrupt)
        with pytest.raises(KeyboardInterrupt):
            close_round(store)
    with store.reading() as session:
        assert session.get_one(Round, 1).state == "closing"
    say(store, "ann", verdict(1, "reject"))  # after the line was drawn
    assert close_round(store).kept == 10


def test_images_without_a_decision_are_refused_or_left_out(opened: Opened) -> None:
    store = opened(replace(PLAIN, overlap=1))
    with store.reading() as session:
        ids = list(session.scalars(select(Sample.id)))
    say(store, "ann", *(verdict(id_, "keep") for id_ in ids[:20]))
    say(store, "bob", *(verdict(id_, "reject") for id_ in ids[:5]))
    with pytest.raises(InputError, match=r"10 not judged and 5 disputed.*--partial"):
        close_round(store)
    closed = close_round(store, partial=True)
    assert (closed.kept, closed.rejected, closed.left_out) == (15, 0, 15)


def test_a_round_without_images_cannot_be_closed(store: Store) -> None:
    begin_round(store, PLAIN)
    with pytest.raises(InputError, match="found it sampling"):
        close_round(store)


def test_a_template_keeps_what_is_its_own(opened: Opened, tmp_path: Path) -> None:
    template = tmp_path / "mine.toml"
    template.write_text(
        'data = ["old"]\ngroups = ["food"]\n[transparent]\nsteps = 7\ninit = "x"\ndata = ["older"]\n'
    )
    store = opened()
    judge_all(store, "ann", lambda _: "keep")
    (tmp_path / "bad.toml").write_text("[vae]\nsteps = 1\n")
    with pytest.raises(FileError, match=r"table \[transparent\]"):
        close_round(store, template=tmp_path / "bad.toml")
    closed = close_round(store, template=template)
    recipe = read_recipe(closed.recipe, "transparent")
    assert (recipe.steps, recipe.init, recipe.data) == (7, "x", closed.data)
    assert set(recipe.groups) == {"food", *shipped_grammar().subjects}  # or what was kept would be left out


@pytest.mark.parametrize("own", [False, True])
def test_training_goes_on_from_the_adapter_that_made_the_images(
    opened: Opened, tmp_path: Path, own: bool
) -> None:
    store = opened()
    judge_all(store, "ann", lambda _: "keep")
    assert (
        read_recipe(close_round(store).recipe, "transparent").options(TransparentOptions).init_adapter == ""
    )
    begin_round(store, PLAIN)
    sample_round(store, shipped_grammar(), draw, model="m", options={"adapter": "/runs/one.safetensors"})
    judge_all(store, "ann", lambda _: "keep")
    template = tmp_path / "mine.toml"
    template.write_text("data = []\n[transparent]\nsteps = 7\n[transparent.model]\nrank = 3\n")
    options = read_recipe(
        close_round(store, template=template if own else None).recipe, "transparent"
    ).options(TransparentOptions)
    # a template that says nothing of it may be of another method
    assert (options.rank, options.init_adapter) == ((3, "") if own else (16, "/runs/one.safetensors"))
    assert options.base_adapter == ("" if own else "transparent")


def test_images_are_copied_to_the_bit(opened: Opened) -> None:
    store = opened()
    judge_all(store, "ann", lambda _: "keep")
    close_round(store)
    folder = store.folder / "round-001"
    for (record, rgba), (_, sampled) in zip(
        read_shard(folder / "kept.tar"), read_shard(folder / "samples-000000.tar"), strict=True
    ):
        assert (rgba == sampled).all()
        assert record.round == 1
    assert {record.weight for record in records(str(folder / "kept-weighted.tar"))} == {2.0}
    outcome = json.loads((folder / "outcome.json").read_text())
    assert outcome["counts"] == {"keep": 30, "reject": 0, "disputed": 0, "open": 0}


def test_toml_is_read_back_the_same() -> None:
    values: dict[str, object] = {
        "a": 'quotes " and \\ and ü',
        "b": [1, 2.5, True],
        "c": {"d e": {"f": 1e-5}, "g": []},
        "h": False,
    }
    assert tomllib.loads(to_toml(values)) == values
