"""What each word of a text adds to an answer that is a sum, and its worst replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rosearch.attack.base import Attack, make_attack
from rosearch.attack.certificates.reader import ModelReader
from rosearch.attack.certificates.text_parts import text_parts
from rosearch.attack.certificates.word_options import UndecidedError, WordOptions, word_options
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.make import make_victim
from rosearch.attack.victim.model import ModelVictim
from rosearch.data import Text
from rosearch.encode import Encoding
from rosearch.errors import ArgumentError
from rosearch.pages import environment, template_file

EXPLANATION_STYLE = template_file("explanation.css", "rosearch.attack.report")
"""Colours of words by their scores."""


@dataclass(frozen=True)
class WordScore:
    """What a part of a text adds to the margin of the predicted class."""

    text: str
    """A word and the signs around it, or several words that are read together."""

    score: float
    """What it adds to the logit of the predicted class less that of the next."""

    replacement: str | None = None
    """What the attack can make of it that adds least; ``None``: nothing that adds less."""

    worst: float | None = None
    """What that adds."""


@dataclass(frozen=True)
class Explanation:
    """An answer that is a sum of token scores, word by word; see :func:`explain`."""

    predicted: str
    """The class that the model predicts."""

    other: str
    """Of the other classes that of the highest sum, which all scores and margins are against."""

    words: tuple[WordScore, ...]
    """The parts of the text, in reading order."""

    rest: float
    """What the bias, special tokens and the other text of a pair add to the margin."""

    bound: float
    """How far the rest of the model moves the margin."""

    @property
    def margin(self) -> float:
        """The sum of all scores: how far the predicted class is before the other.

        The rest of the model moves it by at most :attr:`bound`.
        """
        return self.rest + sum(word.score for word in self.words)

    @property
    def worst_margin(self) -> float:
        """The same with each word's worst replacement against the other class.

        :func:`certify` also looks at further classes, and at limits of changed words.
        """
        scores = [word.score if word.worst is None else word.worst for word in self.words]
        return self.rest + sum(scores)

    def to_html(self) -> str:
        """Return the text with each word coloured by what it adds, as HTML.

        The result is ASCII and can be embedded in another page; markup in the text is escaped.
        """
        return self._rendered(EXPLANATION_STYLE)

    def fragment(self) -> str:
        """Return the same without its style sheet, for pages that have it."""
        return self._rendered("")

    def _rendered(self, style: str) -> str:
        template = environment("rosearch.attack.report").get_template("explanation.html")
        largest = max((abs(word.score) for word in self.words), default=0) or 1.0
        text = template.render(explanation=self, largest=largest, style=style)
        return text.encode("ascii", "xmlcharrefreplace").decode()

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        head = f"{self.predicted} rather than {self.other}: margin {self.margin:+.2f}, at worst"
        lines = [f"{head} {self.worst_margin:+.2f}, bound {self.bound:g}"]
        for word in self.words:
            line = f"{word.score:+8.2f}  {word.text.strip()}"
            if word.worst is not None and word.replacement is not None:
                line += f"  ({word.worst:+.2f} as {word.replacement.strip()!r})"
            lines.append(line)
        return "\n".join([*lines, f"{self.rest:+8.2f}  (the rest)"])


def explain(
    model: Any,
    text: Text,
    attack: str | Attack | None = None,
    *,
    tokenizer: Any = None,
    encoding: Encoding | None = None,
    side: int = 1,
    seed: int = 0,
) -> Explanation:
    """Return what each word of a text adds to the answer of a model that is a sum.

    Such are students with token scores, ``Genome(bound=...)``. What a graph beside them adds is not
    part of the sum, and at most the bound.

    Args:
        model: See :meth:`rosearch.attack.RobustnessEvaluator.evaluate`, like ``tokenizer`` and
            ``encoding``.
        text: A text or pair.
        attack: An attack or its name, for each word's worst replacement. Default: none.
        tokenizer: The model's tokenizer.
        encoding: Applied to the text first.
        side: Explained text of a pair, 0 or 1.
        seed: Seed of the attack's random draws.

    Raises:
        ArgumentError: The model is not known to be a sum, or the attack's replacements of a word
            depend on other words, or the text is truncated.
        RegistryError: The attack is unknown.
    """
    victim = make_victim(model, tokenizer, encoding=encoding)
    attacked = AttackedInput(text, side)
    exact = victim.exact
    if not isinstance(exact, ModelVictim):
        raise ArgumentError(f"explain needs a model, got {type(exact).__name__}.")
    if getattr(exact.model, "summed_scores", lambda: None)() is None:
        raise ArgumentError(
            f"explain needs a model whose logits are sums of token scores, as those of a student "
            f"with a bound (rosearch.templates.additive()), got {type(exact.model).__name__}."
        )
    try:
        options = WordOptions(attacked.words, [()] * len(attacked.words))
        if attack is not None:
            made = make_attack("attack", attack)
            made.prepare([attacked.words])
            options = word_options(made, attacked, seed=seed)
        reader = ModelReader(exact, attacked)
        parts = text_parts(options, reader.encoding, reader.read)
        if not reader.fits(parts):
            raise UndecidedError("it may be truncated")
        sums = reader.summed_scores(parts)
        if sums is None:
            raise UndecidedError("the scores are not in float32")
        forms = reader.own_forms(parts)
    except UndecidedError as reason:
        raise ArgumentError(f"The text cannot be explained word by word: {reason}.") from reason
    own = [found[form] for found, form in zip(sums.sums, forms, strict=True)]
    totals = sums.rest + sum(own, np.zeros_like(sums.rest))
    predicted = int(exact.probabilities([text])[0].argmax())
    other = max((k for k in range(len(totals)) if k != predicted), key=totals.__getitem__)
    words: list[WordScore] = []
    for part, scores, known in zip(parts, own, sums.sums, strict=True):
        word = WordScore(part.text, float(scores[predicted] - scores[other]))
        found = [
            (float(known[f][predicted] - known[f][other]), new) for f, new in part.changed.items()
        ]
        if found and min(found)[0] < word.score:
            worst, new = min(found)
            word = WordScore(part.text, word.score, new, worst)
        words.append(word)
    names = getattr(getattr(exact.model, "config", None), "id2label", {})
    return Explanation(
        predicted=str(names.get(predicted, predicted)),
        other=str(names.get(other, other)),
        words=tuple(words),
        rest=float(sums.rest[predicted] - sums.rest[other]),
        bound=sums.bound,
    )
