"""File names made of names of layers are valid on every system, and each once."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pellucid.files.names import REFUSED, RESERVED, safe_stem, unique_stems


def test_names_stay_readable() -> None:
    assert [safe_stem(name) for name in ("a cat", "hat: 1/2", "ünter 🦊", "CON", "com1.x", "..", "a. ")] == [
        "a cat", "hat 1-2", "ünter 🦊", "CON-layer", "com1.x-layer", "layer", "a",
    ]  # fmt: skip


def test_doubles_are_numbered() -> None:
    assert unique_stems(["a", "A", "a", "a-2", "b"]) == ["a", "A-2", "a-3", "a-2-2", "b"]


@given(st.lists(st.text(max_size=300), max_size=5))
def test_any_names_can_be_files_beside_one_another(names: list[str]) -> None:
    stems = unique_stems([name.encode(errors="ignore").decode() for name in names])
    assert len({stem.casefold() for stem in stems}) == len(names)
    for stem in stems:
        assert stem
        assert not REFUSED.search(stem)
        assert not RESERVED.fullmatch(stem)
        assert stem[-1] not in ". "
        assert len(stem.encode()) < 250
        assert Path(f"{stem}.png").name == f"{stem}.png"
