"""Tests for authors of attacks to run on their own class.

Subclass :class:`AttackConformance` in a test file and define the fixture ``attack``::

    class TestCapitals(AttackConformance):
        @pytest.fixture
        def attack(self):
            return Capitals()
"""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rosearch.attack.base import Attack
from rosearch.attack.evaluator import RobustnessEvaluator
from rosearch.attack.report.results import RobustnessReport
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.function import FunctionVictim
from rosearch.attack.victim.victim import softmax
from rosearch.data import TextDataset

_TEXTS = (
    "A gorgeously elaborate story, so huge that words cannot describe it.",
    "Effective but too tepid biopic.",
    'It\'s a good place to start: honest, well-made and "keenly" observed!',
    "So laddish and juvenile that only teenage boys could find it funny ...",
    "The film offers a breath of fresh air, and true sophistication.",
    "A dull and boring end.",
)
_ODD_TEXTS = (">>>>", "a", "🙂🙂 🙂", "' - '", "x\n\ty  z ", "naïve café 中文 ελλάς", "[UNK]")


def hashing_classifier(texts: Sequence[Any], classes: int = 2) -> np.ndarray:
    """Classify by pseudo-random word scores that depend on each word's hash and position.

    Args:
        texts: Texts or pairs of texts.
        classes: Number of classes.

    Returns:
        float32 probabilities of shape ``(texts, classes)``.
    """
    logits = np.zeros((len(texts), classes))
    for row, text in zip(logits, texts, strict=True):
        whole = text if isinstance(text, str) else " ".join(text)
        for position, word in enumerate(Words.of(whole).words):
            rng = np.random.default_rng(zlib.crc32(word.lower().encode("utf-8", "surrogatepass")))
            row += rng.normal(size=classes) / (1 + 0.1 * position)
    return softmax(logits).astype(np.float32)


class AttackConformance:
    """Tests of what the engine and reports require of an attack."""

    @pytest.fixture
    def attack(self) -> Attack:
        """The attack under test; override it."""
        raise NotImplementedError("Override the fixture attack: return an instance of your class.")

    @pytest.fixture
    def texts(self) -> Sequence[str]:
        """Sentences to attack; override it to use others."""
        return _TEXTS

    def test_settings_are_json_and_contain_name_and_version(self, attack: Attack) -> None:
        settings = json.loads(json.dumps(dict(attack.settings)))
        assert settings["name"] == attack.name
        assert settings["version"] == attack.version

    def test_pickled_attack_gives_the_same_results(
        self, attack: Attack, texts: Sequence[str]
    ) -> None:
        copy = pickle.loads(pickle.dumps(attack))  # noqa: S301 - our own bytes
        assert copy.settings == attack.settings, "settings must survive pickling"
        assert _outcome(_attacked(copy, texts)) == _outcome(_attacked(attack, texts))

    def test_attacks_odd_texts_without_errors(self, attack: Attack, texts: Sequence[str]) -> None:
        report = _attacked(attack, (*texts, *_ODD_TEXTS))
        failed = [f"{r.text!r}: {r.error}" for r in report.examples if r.error]
        assert not failed, f"context.indices may be empty; search failed on {'; '.join(failed)}"
        assert report.attacked == report.n

    def test_settings_and_results_do_not_change_with_use(
        self, attack: Attack, texts: Sequence[str]
    ) -> None:
        before = dict(attack.settings)
        first = _outcome(_attacked(attack, texts))
        again = _outcome(_attacked(attack, texts))
        assert again == first, "keep a search's state in local variables, draw from context.rng()"
        assert dict(attack.settings) == before, "a search must not change public attributes"

    def test_results_do_not_depend_on_order_or_batch(
        self, attack: Attack, texts: Sequence[str]
    ) -> None:
        together = _outcome(_attacked(attack, texts))
        reversed_alone = _outcome(_attacked(attack, texts[::-1], in_flight=1))
        hint = "draw random numbers from context.rng() only, keep no state on the instance"
        assert reversed_alone == together[::-1], hint

    def test_verdicts_agree_with_the_victim(self, attack: Attack, texts: Sequence[str]) -> None:
        for result in _attacked(attack, texts).examples:
            assert result.perturbed is not None
            predicted = int(hashing_classifier([result.perturbed])[0].argmax())
            assert result.perturbed_predicted == predicted
            assert (result.status == "succeeded") == (predicted != result.label)

    def test_query_budget_is_kept(self, attack: Attack, texts: Sequence[str]) -> None:
        for budget in (1, 2, 5, 11):
            report = _attacked(attack, texts, query_budget=budget)
            assert max(r.queries for r in report.examples) <= budget
            assert report.errors == 0, "return after BudgetExhausted, or do not catch it"

    def test_truncated_words_are_not_changed(self, attack: Attack, texts: Sequence[str]) -> None:
        report = _attacked(attack, texts, victim=_ReadsThreeWords(hashing_classifier))
        visible = all(set(r.changed) <= {0, 1, 2} for r in report.examples)
        assert visible, "change only words in context.indices"

    def test_constant_classifier_is_robust(self, attack: Attack, texts: Sequence[str]) -> None:
        report = _attacked(attack, texts, victim=lambda t: np.tile([[0.9, 0.1]], (len(t), 1)))
        assert report.succeeded == 0
        assert report.accuracy_under_attack == report.accuracy

    def test_other_side_of_pairs_is_not_changed(self, attack: Attack, texts: Sequence[str]) -> None:
        pairs = [("A premise that stays.", text) for text in texts]
        report = _attacked(attack, pairs)
        assert report.errors == 0
        assert all(r.perturbed and r.perturbed[0] == pairs[0][0] for r in report.examples)


class _ReadsThreeWords(FunctionVictim):
    def visible(self, attacked: AttackedInput, words: Words) -> range:
        return range(min(3, len(words)))


def _attacked(
    attack: Attack, texts: Sequence[Any], *, victim: Any = hashing_classifier, **settings: Any
) -> RobustnessReport:
    answers = victim.function if isinstance(victim, FunctionVictim) else victim
    # The victim's own predictions are the labels, so that every text is attacked.
    labels = np.asarray(answers(list(texts))).argmax(axis=1)
    data = TextDataset(texts, labels.tolist())
    evaluator = RobustnessEvaluator(
        attack, data, examples=range(len(texts)), progress=False, **settings
    )
    return evaluator.evaluate(victim)


def _outcome(report: RobustnessReport) -> list[tuple[Any, ...]]:
    return [(r.text, r.status, r.perturbed, r.queries) for r in report.examples]
