"""The store: schema, beginning and sampling of rounds, order and groups."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, text

from pellucid.data.records import Record
from pellucid.data.rounds.beginning import begin_round, find_round
from pellucid.data.rounds.database import Store, open_store
from pellucid.data.rounds.grouping import fingerprint, near_duplicates
from pellucid.data.rounds.images import read_image
from pellucid.data.rounds.prompts import Grammar, read_grammar, read_prompts, shipped_grammar
from pellucid.data.rounds.sampling import sample_round
from pellucid.data.rounds.settings import RoundSettings
from pellucid.data.rounds.tables import Base, Round, Sample
from pellucid.data.shards import decoded, read_shard
from pellucid.errors import ConfigError, FileError, InputError
from pellucid.rgba.types import RGBA8
from screening import PLAIN, draw

Opened = Callable[..., Store]


def samples_of(store: Store) -> list[Sample]:
    with store.reading() as session:
        return list(session.scalars(select(Sample).order_by(Sample.place)))


def test_the_migrations_make_the_tables_of_the_models(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_commit_is_on_the_disk_before_it_is_acknowledged(store: Store) -> None:
    with store.reading() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA synchronous")) == 2  # FULL


def test_a_newer_schema_is_one_clear_error(store: Store) -> None:
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FileError, match=r"schema 9999, made by a newer version .* knows 0001"):
        open_store(store.folder)


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("nonsense", "postgresql://"),
        ("oracle://x", "postgresql://USER@HOST/NAME, found oracle"),
        ("sqlite:////no/x", "cannot be used"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_clear_error(tmp_path: Path, url: str, match: str) -> None:
    with pytest.raises((InputError, FileError), match=match):
        open_store(tmp_path, url)


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "rounds.sqlite").write_bytes(b"something else, long enough to be read as a header" * 40)
    with pytest.raises(FileError, match="not a database"):
        open_store(tmp_path)


def test_a_killed_run_goes_on_and_makes_the_same_images(tmp_path: Path) -> None:
    settings = replace(PLAIN, samples=250)
    contents: list[list[bytes]] = []
    for name, dies_after in (("whole", None), ("killed", 120)):
        store = open_store(tmp_path / name)
        begin_round(store, settings)
        made = 0

        def dying(
            prompts: Sequence[str], seeds: Sequence[int], dies_after: int | None = dies_after
        ) -> list[RGBA8]:
            nonlocal made
            made += len(seeds)
            if dies_after and made > dies_after:
                raise KeyboardInterrupt
            return draw(prompts, seeds)

        if dies_after:
            with pytest.raises(KeyboardInterrupt):
                sample_round(store, shipped_grammar(), dying, model="m", batch_size=8)
            made = -1000
        sample_round(store, shipped_grammar(), dying, model="m", batch_size=3)
        assert made <= 250 - 100 - 1000 or not dies_after  # the first shard was not made again
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).rglob("*.tar"))])
        assert len(samples_of(store)) == 250
        store.close()
    assert contents[0] == contents[1]


def test_another_model_may_not_go_on(store: Store) -> None:
    begin_round(store, PLAIN)

    def broken(prompts: Sequence[str], seeds: Sequence[int]) -> list[RGBA8]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        sample_round(store, shipped_grammar(), broken, model="one")
    with pytest.raises(ConfigError, match="begun with other model"):
        sample_round(store, shipped_grammar(), draw, model="two")


def test_rounds_follow_one_another(opened: Opened) -> None:
    store = opened()
    with pytest.raises(InputError, match="round 1 to be closed"):
        begin_round(store, PLAIN)
    with store.reading() as session, pytest.raises(InputError, match="a round 7, found none"):
        find_round(session, 7)


def test_images_are_read_from_the_middle_of_a_shard(opened: Opened) -> None:
    store = opened()
    shard = store.folder / "round-001" / "samples-000000.tar"
    for (record, rgba), sample in zip(read_shard(shard), samples_of(store), strict=True):
        content = read_image(store.folder / sample.shard, sample.offset, sample.length)
        assert (decoded(content) == rgba).all()
        assert (sample.prompt, sample.prompt_class) == (record.prompt, record.group)
        assert (record.model, record.licence, record.seed) == ("discs", "CC0", 1_000_000 + sample.place)


def test_classes_take_turns(opened: Opened) -> None:
    store = opened(replace(PLAIN, order="stratified", samples=200))
    ordered = sorted(samples_of(store), key=lambda each: each.position)
    assert len({each.prompt_class for each in ordered[:5]}) == 5
    assert [each.position for each in ordered] == list(range(200))


def test_the_most_uncertain_come_first(store: Store) -> None:
    begin_round(store, replace(PLAIN, order="uncertainty"))

    def scores(rgba: RGBA8, record: Record) -> dict[str, float]:
        return {"uncertainty": record.seed % 10} if record.seed % 2 else {}

    sample_round(store, shipped_grammar(), draw, model="m", scores=scores)
    ordered = sorted(samples_of(store), key=lambda each: each.position)
    assert [each.uncertainty for each in ordered[:15]] == [9, 9, 9, 7, 7, 7, 5, 5, 5, 3, 3, 3, 1, 1, 1]
    assert {each.uncertainty for each in ordered[15:]} == {None}


def test_near_duplicates_are_one_group() -> None:
    rng = np.random.default_rng(0)

    def noise() -> RGBA8:
        coarse = rng.integers(0, 256, (4, 4, 4), dtype=np.uint8)
        return np.kron(coarse, np.ones((8, 8, 1), np.uint8))

    first, second = noise(), noise()
    hidden = first.copy()
    first[:8, :8, 3] = hidden[:8, :8, 3] = 0
    hidden[:8, :8, :3] = 255  # colour under clear pixels is not seen
    near = first.copy()
    near[16:18, 16:18, :3] ^= 3
    other_alpha = first.copy()
    other_alpha[..., 3] = second[..., 3]
    images = [first, second, hidden, near, other_alpha]
    assert near_duplicates([fingerprint(each) for each in images]) == [0, None, 0, 0, None]


def test_groups_stay_together_in_the_order(opened: Opened) -> None:
    store = opened(replace(PLAIN, grouping="prompt", samples=120, overlap=0.5))
    ordered = sorted(samples_of(store), key=lambda each: each.position)
    groups = [each.group_key for each in ordered if each.group_key is not None]
    assert len(groups) > 20
    assert sum(a != b for a, b in pairwise(groups)) == len(set(groups)) - 1
    for key in set(groups):
        members = [each for each in ordered if each.group_key == key]
        assert len({each.prompt for each in members}) == 1
        assert len({each.needed for each in members}) == 1
        assert 2 <= len(members) <= 9


def test_prompts_of_a_file_are_drawn_by_weight(tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text("a cat\t3\tanimals\n# no prompt\n\na lamp\n")
    lines = ['{"prompt": "a cat", "weight": 3, "class": "animals"}', '{"prompt": "a lamp"}']
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    tabs, objects = read_prompts(tmp_path / "p.tsv"), read_prompts(tmp_path / "p.jsonl")
    assert tabs == objects
    drawn = [tabs.draw(f"{i}") for i in range(4000)]
    assert sum(each.topic == "animals" for each in drawn) / 4000 == pytest.approx(0.75, abs=0.03)
    assert drawn == [tabs.draw(f"{i}") for i in range(4000)]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.tsv", "cat\tmany\n", "line 1"),
        ("a.tsv", "cat\t-1\n", "line 1"),
        ("a.tsv", "\t2\n", "line 1"),
        ("a.tsv", "cat\t0\n", "none with a weight above 0"),
        ("a.jsonl", '{"prompt": "cat"}\n{"text": "dog"}\n', "line 2"),
        ("a.jsonl", "cat\n", "line 1"),
    ],
)
def test_bad_prompts_name_their_line(tmp_path: Path, name: str, content: str, match: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=match):
        read_prompts(tmp_path / name)


def test_the_grammar_fills_every_hole(tmp_path: Path) -> None:
    grammar = shipped_grammar()
    drawn = [grammar.draw(f"{i}") for i in range(500)]
    assert not any("{" in each.text for each in drawn)
    assert {each.topic for each in drawn} == set(grammar.subjects)
    assert len({each.text for each in drawn}) > 200
    assert isinstance(grammar, Grammar)
    (tmp_path / "g.toml").write_text(
        'sentences = ["a {big} {subject}"]\nsubjects = ["x"]\n[words]\nx = ["cat"]\n'
    )
    with pytest.raises(FileError, match=r"words for .'big'"):
        read_grammar(tmp_path / "g.toml")


@pytest.mark.parametrize(
    "values",
    [
        {"overlap": 1.5},
        {"gold": 0.3, "second_look": 0.3},
        {"samples": 0},
        {"kept_weight": 0},
        {"reasons": ()},
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        RoundSettings(**values)  # type: ignore[arg-type]


def test_settings_of_a_later_version_are_read(opened: Opened) -> None:
    store = opened()
    with store.writing() as session:
        round_ = session.get_one(Round, 1)
        round_.settings = {**round_.settings, "new thing": 1}
    with store.reading() as session:
        assert RoundSettings.from_plain(session.get_one(Round, 1).settings) == PLAIN
