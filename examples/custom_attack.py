"""A custom attack on a custom classifier.

    python examples/custom_attack.py

A naive Bayes classifier, written here in a few lines, classifies movie reviews. It is attacked in
three ways: by an attack written from scratch, by one combined from parts, and by a published
recipe. Takes less than a minute; downloads 2 MB once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from materials import movie_reviews

import rosearch as rs
from rosearch.attack import (
    CharacterEdits,
    GreedyWordSwap,
    MaxEditDistance,
    NoRepeat,
    NoStopWords,
    Search,
    SearchContext,
    Words,
    WordSwapAttack,
)


@rs.attacks.register("elongation")
class Elongation(rs.Attack):
    """Draws out vowels ("gooood"), the word first that the victim minds most."""

    def __init__(self, *, times: int = 2) -> None:
        self.times = times

    def search(self, text: Words, context: SearchContext) -> Search:
        longer = {i: self.drawn_out(text.words[i]) for i in context.indices}
        trials = [text.replace(i, word) for i, word in longer.items() if word != text.words[i]]
        if not trials:
            return text
        answer = yield trials
        best = text
        for place in np.argsort(-answer.scores):
            (index,) = trials[place].changed
            best = best.replace(index, longer[index])
            step = yield [best]
            if step.succeeded[0]:
                break
        return best

    def drawn_out(self, word: str) -> str:
        """``word`` with its first vowel repeated."""
        place = next((i for i, letter in enumerate(word) if letter in "aeiou"), None)
        return word if place is None else word[:place] + word[place] * self.times + word[place:]


def naive_bayes(train: rs.TextDataset) -> Callable[[list[str]], np.ndarray]:
    """A function from texts to log-probabilities, shape ``(texts, classes)``."""
    counts: dict[str, np.ndarray] = {}
    for text, label in zip(train.texts, train.labels, strict=True):
        for word in str(text).lower().split():
            counts.setdefault(word, np.ones(2))[label] += 1
    total = np.sum(list(counts.values()), axis=0)

    def scores(texts: list[str]) -> np.ndarray:
        rows = [[counts.get(word, total) for word in text.lower().split()] for text in texts]
        return np.array([sum((np.log(c / c.sum()) for c in row), np.zeros(2)) for row in rows])

    return scores


def main() -> None:
    """Train, attack, print."""
    train, dev = movie_reviews().split(0.8, 0.2, seed=0)
    victim = naive_bayes(train)
    typos = WordSwapAttack(
        CharacterEdits(),
        [NoRepeat(), NoStopWords(), MaxEditDistance(4)],
        GreedyWordSwap("deletion"),
    )
    evaluator = rs.RobustnessEvaluator(["elongation", typos, "deepwordbug"], dev, examples=200)
    report = evaluator.evaluate(victim)
    for name, one in report.attacks.items():
        print(f"{name:12} {one}")
    broken = next(result for result in report.examples if result.broken)
    print(f"\n{broken.attack} changed\n  {broken.text}\nto\n  {broken.perturbed}")


if __name__ == "__main__":
    main()
