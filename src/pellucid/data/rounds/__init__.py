"""Rounds of screening with people in the loop: sample, review, close, train again (paper Fig. 3).

`database` opens the store, `beginning` starts a round, `sampling` makes its images, `assignment` deals
them out to reviewers, `verdicts` keeps what they say, `outcomes` and `agreement` read it, `closing` writes
the next training set and `history` tells how all rounds went.
"""
