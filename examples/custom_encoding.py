"""A custom encoding, in front of a classifier that is attacked with and without it.

    python examples/custom_encoding.py

The encoding is a spelling corrector in a few lines: an unknown word is read as a known one from
which one edit, or letters drawn out, have made it. Behind it is the naive Bayes classifier of
custom_attack.py. Takes less than a minute; downloads 2 MB once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from custom_attack import naive_bayes  # beside this file
from materials import movie_reviews

import rosearch as rs
from rosearch.encode import Evidence
from rosearch.parameters import Choice


@rs.encodings.register("symmetric_delete")
class SymmetricDelete(rs.Encoding):
    """Reads an unknown word as the most frequent known word one edit away, by shared deletions."""

    choices = {"minimum": Choice(1, 2, 5, default=2)}
    level = "characters"
    source = "Garbe (symmetric delete spelling correction, 2012)"

    @classmethod
    def learn(cls, evidence: Evidence, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        counts = evidence.counts
        known = (word for word in counts if counts[word] >= settings["minimum"])
        return {"known": sorted(known, key=lambda word: (-counts[word], word))}

    @cached_property
    def ranks(self) -> dict[str, int]:
        return {word: rank for rank, word in enumerate(self.learnt["known"])}

    @cached_property
    def best(self) -> dict[str, str]:
        # The most frequent word last, so it gets the key.
        return {key: word for word in reversed(self.learnt["known"]) for key in keys(word)}

    def word(self, word: str) -> str:
        lower = word.lower()
        if lower in self.ranks or not re.fullmatch("[a-z]+", lower):
            return word
        found = {self.best[key] for key in keys(lower) if key in self.best}
        return min(found, key=self.ranks.__getitem__, default=word)


def keys(word: str) -> set[str]:
    """``word`` with no letter twice in a row, and that without each of its letters."""
    short = re.sub(r"(.)\1+", r"\1", word)
    return {short} | {short[:place] + short[place + 1 :] for place in range(len(short))}


def main() -> None:
    """Train and attack without the encoding, then with it, and print."""
    train, dev = movie_reviews().split(0.8, 0.2, seed=0)
    encoding = SymmetricDelete.fit(train)
    print(encoding("A goood moive, beautifuly acted; teh end is aewful."))
    evaluator = rs.RobustnessEvaluator(["elongation", "deepwordbug"], dev, examples=200)
    plain = naive_bayes(train)
    behind = naive_bayes(train.with_texts(encoding(train.texts)))
    for name, report in (
        ("without", evaluator.evaluate(plain)),
        ("with", evaluator.evaluate(behind, encoding=encoding)),
    ):
        for attack, one in report.attacks.items():
            under = f"under attack {one.accuracy_under_attack:.1%}"
            print(f"{name:8} {attack:12} accuracy {one.accuracy:.1%}, {under}")


if __name__ == "__main__":
    main()
