"""Deals pairs out to raters: each pair to as many as planned, until the votes of its question are there.

What has been answered is read from the votes alone. A lease, which keeps a pair from going to too many raters
at once, lives in memory: a program that is started again deals such pairs once more and takes both answers.
"""

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Lock

from pydantic import BaseModel, ConfigDict, Field

from pellucid.errors import FileError, InputError
from pellucid.evaluation.study.pairs import IMAGES, PLAN, VOTES, Pair, read_pairs
from pellucid.evaluation.study.plan import read_plan
from pellucid.evaluation.study.votes import Outcome, Side, Vote, VoteLog, read_log

LEASE_SECONDS = 900.0
REPEAT_AFTER = 8
"""Answers between a pair and its repetition the other way round; fewer would be remembered."""
FIRST_CHECK = 2, 8
"""Answers before a rater's first attention check, so that short visits have one too."""


class Answer(BaseModel):
    """What a page sends: it knows nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uid: str = Field(min_length=1, max_length=100)
    pair: str
    """Id of the pair that was shown."""
    outcome: Outcome
    dwell_ms: float = Field(default=0, ge=0, allow_inf_nan=False)
    background: str = Field(default="", max_length=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a question is."""

    votes: int
    wanted: int

    @property
    def ended(self) -> bool:
        """Tells whether the stop rule of the plan holds."""
        return self.votes >= self.wanted


class Desk:
    """Deals the pairs of a study out and takes answers in; several threads may use it."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """Reads a study's folder.

        Args:
            folder: made by `pellucid study create`.
            clock: seconds since 1970.
            lease_seconds: for which a pair waits for its rater.

        Raises:
            FileError: the folder holds no study, or its votes cannot be read.
        """
        self.folder, self.clock, self.lease_seconds = folder, clock, lease_seconds
        self.plan = read_plan(folder / PLAN)
        self.pairs: Mapping[str, Pair] = {pair.id: pair for pair in read_pairs(folder)}
        shown = "".join(f"{pair.id}{pair.left_file}{pair.right_file}" for pair in self.pairs.values())
        self.key = hashlib.sha256(f"{self.plan.digest}{shown}".encode()).hexdigest()[:16]
        """Of this plan with these images: pages keep answers and images of several studies apart by it."""
        self._shown = {(pair.of, pair.kind): pair.id for pair in self.pairs.values()}
        if unknown := {p.question for p in self.pairs.values()} - {q.id for q in self.plan.questions}:
            raise FileError(
                f"Expected the plan of the pairs in {folder}, found none of question {min(unknown)}. Run "
                "`pellucid study create` again."
            )
        every = [pair.id for pair in self.pairs.values() if pair.kind == "attention"]
        # the plan may have been edited since its pairs were drawn
        self._checks = every if self.plan.attention else []
        self._dealt = self._planned()
        self._lock = Lock()
        self._log = VoteLog(folder / VOTES)
        self._leases: dict[tuple[str, str], float] = {}
        standing, withdrawn = read_log(folder / VOTES) if (folder / VOTES).exists() else ([], [])
        self._votes = {vote.uid: vote for vote in standing}
        self._withdrawn = {vote.uid: vote for vote in withdrawn}

    def deal(self, rater: str, count: int = 1, *, holding: Collection[str] = ()) -> list[Pair]:
        """Returns up to `count` pairs for a rater, fewer at the end of the study.

        Args:
            rater: a name or a token.
            count: of pairs, those that the page holds included.
            holding: ids of pairs that the page has; their leases start anew and they are not returned.
        """
        with self._lock:
            now = self.clock()
            self._leases = {key: end for key, end in self._leases.items() if end > now}
            # what is answered already is held no more: its answer was on the way when the page asked
            held = {pair for pair in holding if pair in self.pairs} - self._answered(rater)
            dealt = [pair for name, pair in self._leases if name == rater and pair not in held]
            for pair in (*dealt, *held):
                self._leases[rater, pair] = now + self.lease_seconds
            while len(dealt) + len(held) < count and (pair := self._next(rater)):
                self._leases[rater, pair] = now + self.lease_seconds
                dealt.append(pair)
            return [self.pairs[pair] for pair in dealt]

    def answer(self, rater: str, answers: Sequence[Answer]) -> int:
        """Takes answers in, which are on the disk when this returns, and tells how many were new.

        An answer counts even if its lease has ended, since somebody has given it.

        Raises:
            InputError: an answer names a pair that is not of this study.
            FileError: the file cannot be written.
        """
        with self._lock:
            new = self._log.add([self._vote(rater, answer) for answer in answers])
            self._votes |= {vote.uid: vote for vote in new}
            for answer in answers:
                self._leases.pop((rater, answer.pair), None)
            return len(new)

    def withdraw(self, rater: str, uid: str) -> Pair:
        """Takes a vote back and returns its pair, which the rater may answer again under another uid.

        Taking back what is taken back already changes nothing: a page whose message was lost sends it again.

        Raises:
            InputError: the rater has not given this vote.
            FileError: the file cannot be written.
        """
        with self._lock:
            vote = self._votes.get(uid) or self._withdrawn.get(uid)
            if vote is None or vote.rater != rater:
                raise InputError(f"Expected a vote of yours, found none named {uid[:40]!r}. Reload the page.")
            pair = self._shown.get((vote.pair, vote.kind))
            if pair is None:
                raise InputError(
                    f"Expected a vote on a pair of this study, found {vote.pair[:40]!r}. Reload the page."
                )
            if uid in self._votes:
                self._log.add([vote.model_copy(update={"withdrawn": True, "time": self.clock()})])
                self._withdrawn[uid] = self._votes.pop(uid)
                self._leases[rater, pair] = self.clock() + self.lease_seconds
            return self.pairs[pair]

    def image(self, pair: Pair, side: Side) -> bytes:
        """Reads an image of a pair.

        Raises:
            FileError: the study's copy is gone.
        """
        path = self.folder / IMAGES / (pair.left_file if side == "left" else pair.right_file)
        try:
            return path.read_bytes()
        except OSError as error:
            raise FileError(
                # without the path, which is nobody's business who votes
                f"Expected an image of this study, found {error.strerror or type(error).__name__}. "
                "Run `study create` again."
            ) from error

    def progress(self) -> dict[str, Progress]:
        """Returns how far each question is, repetitions and checks aside."""
        with self._lock:
            counts = Counter(question for question, _, _ in self._counting())
        return {
            question.id: Progress(votes=counts[question.id], wanted=question.votes)
            for question in self.plan.questions
        }

    def answered(self, rater: str) -> int:
        """Returns how many pairs a rater has answered, checks included."""
        with self._lock:
            return sum(vote.rater == rater for vote in self._votes.values())

    def _counting(self) -> set[tuple[str, str, str]]:
        """Returns question, pair and rater of what counts, as in `analyse`: one answer of each to each."""
        return {(v.question, v.pair, v.rater) for v in self._votes.values() if v.kind == "plain"}

    def _answered(self, rater: str) -> set[str]:
        """Returns the pairs that a rater has answered."""
        own = (vote for vote in self._votes.values() if vote.rater == rater)
        return {self._shown.get((vote.pair, vote.kind), "") for vote in own}

    def _planned(self) -> list[str]:
        """Returns the pairs that are dealt: no more than the votes can give several raters each."""
        dealt: list[str] = []
        for question in self.plan.questions:
            own = [p.id for p in self.pairs.values() if p.kind == "plain" and p.question == question.id]
            Random(f"{self.plan.seed}/{question.id}").shuffle(own)
            dealt += own[: math.ceil(question.votes / self.plan.raters_a_pair)]
        return dealt

    def _vote(self, rater: str, answer: Answer) -> Vote:
        pair = self.pairs.get(answer.pair)
        if pair is None:
            raise InputError(f"Expected a pair of this study, found {answer.pair[:40]!r}. Reload the page.")
        return Vote(
            uid=answer.uid, time=self.clock(), rater=rater, question=pair.question, pair=pair.of,
            prompt=pair.prompt, left=pair.left, right=pair.right, outcome=answer.outcome, kind=pair.kind,
            expected=pair.expected, dwell_ms=answer.dwell_ms,
            background=answer.background or pair.background, plan=self.plan.digest,
        )  # fmt: skip

    def _next(self, rater: str) -> str | None:
        """Chooses a check or a repetition where one is due, else a pair; nothing where no pair is left."""
        answered = [
            self._shown.get((vote.pair, vote.kind), "")
            for vote in self._votes.values()
            if vote.rater == rater
        ]
        own = [*answered, *(pair for name, pair in self._leases if name == rater)]
        plain = self._fewest(rater, set(own))
        if plain is None:
            return None
        # of the rater's own, so that nobody can tell the others where checks are
        draw = Random(f"{self.plan.seed}/{rater}")
        begin = draw.uniform(*FIRST_CHECK)
        checks = draw.sample(self._checks, len(self._checks))
        done = sum(check in own for check in checks)
        if done < len(checks) and len(own) >= begin + done / self.plan.attention:
            return next(check for check in checks if check not in own)
        for pair in own[: max(0, len(answered) - REPEAT_AFTER)]:
            again = self._shown.get((pair, "swapped"))
            if again and again not in own:
                return again
        return plain

    def _fewest(self, rater: str, own: Collection[str]) -> str | None:
        """Returns the pair with the fewest answers, by chance among those, of a question that goes on."""
        answers = Counter(pair for _, pair, _ in self._counting())
        answers.update(pair for _, pair in self._leases)
        questions: Counter[str] = Counter()
        for pair, count in answers.items():
            if pair in self.pairs and self.pairs[pair].kind == "plain":
                questions[self.pairs[pair].question] += count
        going = {question.id for question in self.plan.questions if questions[question.id] < question.votes}
        order = Random(f"{rater}/{self.plan.seed}").sample(self._dealt, len(self._dealt))
        free = [
            pair
            for pair in order
            if self.pairs[pair].question in going
            and pair not in own
            and answers[pair] < self.plan.raters_a_pair
        ]
        return min(free, key=lambda pair: answers[pair], default=None)
