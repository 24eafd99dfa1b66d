"""Votes: one line of JSON a battle, in a file that is only ever added to.

A vote is on the disk when `VoteLog.add` returns. A program that is killed leaves at most a torn last line,
which is told and left out. The same vote sent twice counts once; taking one back is a line of its own.
"""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pellucid.errors import FileError, first_line

log = logging.getLogger(__name__)
Side = Literal["left", "right"]
Outcome = Literal["left", "right", "tie"]
Kind = Literal["plain", "swapped", "attention"]
Text = str


class Vote(BaseModel):
    """What one person said of one pair."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uid: Text = Field(min_length=1, max_length=100)
    """Made by the page, so that a vote that is sent twice counts once."""
    time: float = Field(ge=0, allow_inf_nan=False)
    """Seconds since 1970."""
    rater: Text = Field(min_length=1)
    question: Text = Field(min_length=1)
    pair: Text = Field(min_length=1)
    """Of the plan; a swapped pair has the name of the pair that it repeats."""
    prompt: Text
    left: Text
    """Methods that were shown, which raters do not learn."""
    right: Text
    outcome: Outcome
    kind: Kind = "plain"
    expected: Side | None = None
    """Of attention checks: the side without damage."""
    dwell_ms: float = Field(default=0, ge=0, allow_inf_nan=False)
    background: Text = ""
    plan: Text = ""
    """Hash of the plan under which the vote was given."""
    withdrawn: bool = False
    """Whether this line takes back the vote of its uid."""

    @model_validator(mode="after")
    def _of_two(self) -> "Vote":
        if self.left == self.right:
            raise ValueError(f"{self.left} on both sides")
        if (self.kind == "attention") != (self.expected is not None):
            raise ValueError("an expected side without an attention check, or a check without one")
        return self

    @property
    def winner(self) -> str | None:
        """Returns the method that was preferred, or None for a tie."""
        return {"left": self.left, "right": self.right, "tie": None}[self.outcome]


class VoteLog:
    """A file of votes that several threads may add to."""

    def __init__(self, path: Path) -> None:
        """Reads what is there. A torn last line stays as it is; the next vote begins a line of its own."""
        self.path, self._lock = path, Lock()
        there = path.exists()
        self._known = {vote.uid for vote in _lines(path)} if there else set[str]()
        self._torn = there and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0

    def add(self, votes: Iterable[Vote]) -> list[Vote]:
        """Adds votes, which are on the disk when this returns, and returns those that were new.

        Raises:
            FileError: the file cannot be written.
        """
        with self._lock:
            new = {vote.uid: vote for vote in votes if vote.uid not in self._known or vote.withdrawn}
            text = "".join(f"{vote.model_dump_json(exclude_defaults=True)}\n" for vote in new.values())
            if text:
                self._write(text)
                self._known |= new.keys()
            return list(new.values())

    def _write(self, text: str) -> None:
        try:
            # unbuffered, so that nothing is left in the process when it dies
            with self.path.open("ab", buffering=0) as file:
                rest = memoryview(("\n" * self._torn + text).encode())
                self._torn = True
                while rest:  # a disk that fills up takes a part and says so only the next time
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
                self._torn = False
        except OSError as error:
            raise FileError(
                f"Expected to add votes to {self.path}, found {first_line(error)}. Free some space."
            ) from error


def read_votes(path: Path) -> list[Vote]:
    """Reads the votes of a file: each uid once, without those that were taken back.

    Raises:
        FileError: the file is absent, or a line other than a torn last one is no vote.
    """
    return read_log(path)[0]


def read_log(path: Path) -> tuple[list[Vote], list[Vote]]:
    """Reads the votes of a file that stand, and those that were taken back; errors of `read_votes`."""
    votes = _lines(path)
    gone = {vote.uid for vote in votes if vote.withdrawn}
    found: dict[str, Vote] = {}
    for vote in votes:
        found.setdefault(vote.uid, vote)
    return (
        [vote for vote in found.values() if vote.uid not in gone],
        [vote for vote in found.values() if vote.uid in gone],
    )


def _lines(path: Path) -> list[Vote]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise FileError(f"Expected votes in {path}, found {first_line(error)}. Name another file.") from error
    votes: list[Vote] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            votes.append(Vote.model_validate_json(line))
        except ValidationError as error:
            # a line without an end, or one that a later start has closed: nobody was told that it is kept
            if _torn(line):
                log.warning("%s: line %d is torn and was left out.", path, number)
                continue
            raise FileError(
                f"Expected a vote in line {number} of {path}, found {first_line(error)}. Restore it."
            ) from error
    return votes


def _torn(line: str) -> bool:
    """Tells whether a line begins as a vote does and ends in its middle."""
    if line.startswith("\0"):  # a machine that lost power may have made room for a line and not filled it
        return True
    try:
        json.loads(line)
    except ValueError as error:
        # a vote has no braces inside, but its words may
        return line.startswith("{") and (not line.endswith("}") or "Unterminated string" in str(error))
    except RecursionError:
        return False
    return False
