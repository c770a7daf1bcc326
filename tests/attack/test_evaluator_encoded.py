"""Attacks on classifiers behind an encoding."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import (
    FunctionVictim,
    GreedyWordSwap,
    ModelVictim,
    NoRepeat,
    RobustnessEvaluator,
    Screened,
    Substitution,
    WordSwapAttack,
)
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.precision import Bfloat16Victim
from rosearch.data import TextDataset
from rosearch.encode import Chain, EncodedTokenizer
from rosearch.errors import ArgumentError, DataError
from rosearch.space import templates
from rosearch.student import StudentConfig, StudentForSequenceClassification
from tests.attack.synonyms import SYNONYMS, Misspelt
from tests.encode.table import Table

KNOWN = [word for group in SYNONYMS for word in group]


class Split(Substitution):
    """A space inside an adjective."""

    name = "split"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return [f"{word[:i]} {word[i:]}" for i in range(1, len(word))] if word in KNOWN else []


SPELLING = Table(
    {"words": {typo: word for word in KNOWN for typo in [*Split().propose(word), "x" + word[1:]]}}
)
"""Joins words that a space has cut."""
CLASSES = Table({"words": {word: group[0] for group in SYNONYMS[:3] for word in group}})
"""Merges synonyms."""
ONE = Table({"words": dict.fromkeys(KNOWN, "good")})
"""Merges all adjectives."""


class Adjectives(Substitution):
    """Every adjective for each other."""

    name = "adjectives"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return [other for other in KNOWN if other != word] if word in KNOWN else []


class Mixed(Substitution):
    """Both of these."""

    name = "mixed"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return [*Split().propose(word), *Adjectives().propose(word)]


def by_chance(substitution: Substitution) -> WordSwapAttack:
    return WordSwapAttack(substitution, [NoRepeat()], GreedyWordSwap("random"), name="by-chance")


@pytest.fixture(scope="module")
def student(tokenizer: Any, dataset: TextDataset) -> StudentForSequenceClassification:
    config = StudentConfig(
        templates.text_cnn(width=16, embedding_width=8),
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        student = StudentForSequenceClassification(config)
    inputs = tokenizer(list(dataset.texts), padding=True, return_tensors="pt")
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-2)
    for _ in range(15):
        optimiser.zero_grad()
        student(**inputs, labels=torch.tensor(dataset.labels)).loss.backward()
        optimiser.step()
    return student.eval()


def as_function(student: Any, tokenizer: Any) -> Any:
    """The student as a function of texts, which it reads one by one."""

    @torch.inference_mode()
    def scores(texts: list[str]) -> torch.Tensor:
        return torch.cat([student(**tokenizer(text, return_tensors="pt")).logits for text in texts])

    return scores


def outcome(report: Any) -> list[Any]:
    return [(r.status, r.predicted, r.perturbed, r.queries) for r in report.examples]


def evaluator(attacks: Any, data: TextDataset, **settings: Any) -> RobustnessEvaluator:
    # A row alone in its batch gets the same bits wherever it is computed.
    settings = {"examples": 12, "progress": False, "token_budget": 1, **settings}
    return RobustnessEvaluator(attacks, data, **settings)


@pytest.mark.parametrize("encoding", [SPELLING, CLASSES], ids=["joins words", "merges synonyms"])
@pytest.mark.parametrize("attack", ["pwws", "deepwordbug", "by chance"])
def test_model_and_function_get_the_same_verdicts(
    student: Any, tokenizer: Any, dataset: TextDataset, encoding: Table, attack: str,
    wordnet_folder: Any,
) -> None:  # fmt: skip
    attacks = evaluator(by_chance(Mixed()) if attack == "by chance" else attack, dataset)
    encoded = EncodedTokenizer.wrap(tokenizer, encoding)
    as_model = attacks.evaluate(student, encoded)
    assert as_model.succeeded > 0
    expected = outcome(attacks.evaluate(as_function(student, encoded)))
    assert outcome(as_model) == expected
    assert outcome(attacks.evaluate(student, tokenizer, encoding=encoding)) == expected
    behind = attacks.evaluate(as_function(student, tokenizer), encoding=encoding)
    assert outcome(behind) == expected
    assert as_model.forward_rows < sum(r.queries for r in as_model.examples)


@pytest.mark.parametrize(
    ("encoding", "substitution"), [(SPELLING, Split()), (ONE, Adjectives())], ids=["join", "merge"]
)
def test_exchanges_within_the_encoding_change_nothing(
    student: Any, tokenizer: Any, dataset: TextDataset, encoding: Table, substitution: Substitution
) -> None:
    attacks = evaluator(by_chance(substitution), dataset)
    assert attacks.evaluate(student, tokenizer).succeeded > 0
    report = attacks.evaluate(student, tokenizer, encoding=encoding)
    assert report.correct > 0
    assert report.succeeded == 0
    assert report.forward_rows == len({encoding(e.text) for e in attacks.examples})


def test_pairs(tiny_bert: Any, tokenizer: Any) -> None:
    pairs = [("a good film", "the plot is good ."), ("a bad film", "it was dull , very dull .")]
    data = TextDataset(pairs, [0, 1])
    encoding = Chain([SPELLING, CLASSES])
    model, encoded = tiny_bert(), EncodedTokenizer.wrap(tokenizer, encoding)
    victim = ModelVictim(model, encoded)
    keys = victim.keys([("a goo d film", "the plot is wonderful ."), pairs[0]])
    assert keys == ModelVictim(model, tokenizer).keys([pairs[0]]) * 2
    for side in (0, 1):
        attacks = evaluator(by_chance(Split()), data, examples=None, attacked_side=side)
        report = attacks.evaluate(model, encoded)
        assert report.forward_rows == 2

        @torch.inference_mode()
        def scores(texts: list[tuple[str, str]]) -> torch.Tensor:
            return torch.cat([model(**encoded(*t, return_tensors="pt")).logits for t in texts])

        assert outcome(attacks.evaluate(scores)) == outcome(report)


class TestWhiteBox:
    TEXT = "a goo d film , truly wonderful"

    def test_spans_are_in_the_original_and_unchanged_rows_gain_nothing(
        self, trained_bert: Any, tokenizer: Any
    ) -> None:
        encoding = Chain([SPELLING, CLASSES])
        victim = ModelVictim(trained_bert, EncodedTokenizer.wrap(tokenizer, encoding))
        (found,) = victim.gradients([self.TEXT], [1], 1)
        shown = [self.TEXT[a:b] for a, b in found.spans]
        assert shown == ["a", "goo d", "film", ",", "truly", "wonderful"]
        start = self.TEXT.index("goo")
        assert found.within(start, start + 3).tolist() == found.within(start + 4, start + 5)
        same, other = found.gains(["a good film , truly grea t", "a good film , truly dull"])
        assert same == 0
        plain = ModelVictim(trained_bert, tokenizer)
        (canonical,) = plain.gradients([encoding(self.TEXT)], [1], 1)
        assert other == canonical.gains(["a good film , truly dull"])[0] != 0
        np.testing.assert_array_equal(found.gradients, canonical.gradients)

    @pytest.mark.parametrize("screened", [False, True])
    def test_attacks_see_through_the_encoding(
        self, trained_bert: Any, tokenizer: Any, dataset: TextDataset, screened: bool
    ) -> None:
        recipe: Any = WordSwapAttack(Adjectives(), [NoRepeat()], GreedyWordSwap("gradient"))
        recipe = Screened(recipe, keep=2) if screened else recipe
        attacks = evaluator(recipe, dataset)
        assert attacks.evaluate(trained_bert, tokenizer).succeeded > 0
        report = attacks.evaluate(trained_bert, tokenizer, encoding=ONE)
        assert report.correct > 0
        assert report.succeeded == report.errors == 0
        assert report.forward_rows <= len(report.examples)


def test_the_word_behind_the_last_visible_may_be_joined_with_it(
    tiny_bert: Any, tokenizer: Any
) -> None:
    text = "a film a film goo d plot"
    attacks = evaluator(by_chance(Misspelt()), TextDataset([text, "a"], [0, 1]), max_length=7)
    victim: Any = attacks.victim(tiny_bert(), tokenizer, encoding=SPELLING)
    attacked = AttackedInput(text)
    assert victim.tokens.visible_span(text, 1) == (0, text.index(" plot"))
    assert victim.visible(attacked, attacked.words) == range(7)


@pytest.mark.parametrize("kind", [ModelVictim, Bfloat16Victim])
def test_victims_are_picklable(kind: Any, student: Any, tokenizer: Any) -> None:
    victim = kind(student, EncodedTokenizer.wrap(tokenizer, SPELLING))
    again = pickle.loads(pickle.dumps(victim))
    texts = ["a goo d film", "a good film", "a dull film"]
    assert np.array_equal(again.probabilities(texts), victim.probabilities(texts))
    assert again.keys(texts) == victim.keys(texts)
    assert again.keys(texts)[0] == again.keys(texts)[1]


def test_reports_name_the_encoding(student: Any, tokenizer: Any, dataset: TextDataset) -> None:
    attacks = evaluator("deepwordbug", dataset, examples=1)
    chain = Chain([SPELLING, CLASSES])
    described = {
        "parts": [{"name": "Table", "settings": {}}] * 2,
        "fingerprint": chain.fingerprint,
    }
    assert attacks.evaluate(student, tokenizer, encoding=chain).settings["victim"] == {
        "kind": "model",
        "dtype": "float32",
        "screening_dtype": None,
        "max_length": 64,
        "tokenizer": "EncodedTokenizer",
        "encoding": described,
    }
    function = as_function(student, tokenizer)
    victim = attacks.evaluate(function, encoding=chain).settings["victim"]
    assert victim == {"kind": "function", "encoding": described}
    assert attacks.evaluate(function).settings["victim"] == {"kind": "function"}
    assert "encoding" not in attacks.evaluate(student, tokenizer).settings["victim"]


def test_encodings_that_cannot_apply_are_refused(
    student: Any, tokenizer: Any, dataset: TextDataset
) -> None:
    attacks = evaluator("deepwordbug", dataset, examples=1)
    encoded = EncodedTokenizer.wrap(tokenizer, SPELLING)
    with pytest.raises(DataError, match=r"applies Table\(\) already"):
        attacks.evaluate(student, encoded, encoding=CLASSES)
    victim = FunctionVictim(len)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="must be None for a FunctionVictim"):
        attacks.evaluate(victim, encoding=CLASSES)
    for model in (student, len):
        with pytest.raises(ArgumentError, match="encoding must be an Encoding, got 'spelling'"):
            attacks.evaluate(model, tokenizer, encoding="spelling")  # type: ignore[arg-type]
