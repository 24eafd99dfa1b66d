"""User studies: which of two images people prefer, from the plan to the figures.

A study is a folder: plan.toml, pairs.jsonl and votes.jsonl, of which the last is all that `analyse` needs.
"""

from importlib.util import find_spec

from pellucid.errors import missing_package

if find_spec("scipy") is None:  # asked here, for every file of this folder
    raise missing_package("scipy", "user studies", "eval")

from pellucid.evaluation.study.analysis import QuestionResults, Results, analyse
from pellucid.evaluation.study.votes import Vote, read_votes

__all__ = ["QuestionResults", "Results", "Vote", "analyse", "read_votes"]
