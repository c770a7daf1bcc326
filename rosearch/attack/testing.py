"""Tests that authors of attacks run on their own class.

Subclass :class:`AttackConformance` in a test file and give it a fixture::

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
from rosearch.attack.victim.victim import FunctionVictim
from rosearch.data import TextDataset

_TEXTS = (
    "A gorgeously elaborate story, so huge that words cannot describe it.",
    "Effective but too tepid biopic.",
    'It\'s a good place to start: honest, well-made and "keenly" observed!',
    "So laddish and juvenile that only teenage boys could find it funny ...",
    "The film offers a breath of fresh air, and true sophistication.",
    "A dull and boring end.",
)
_ODD_TEXTS = (
    ">>>>",
    "a",
    "🙂🙂 🙂",
    "Terrible",
    "' - '",
    "x\n\ty  z ",
    "naïve café 中文 ελλάς",
    "[UNK]",
)


def hashing_classifier(texts: Sequence[Any], classes: int = 2) -> np.ndarray:
    """A deterministic classifier: each word votes by a hash of its letters, earlier ones more.

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
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
    return shares.astype(np.float32)


class AttackConformance:
    """What the engine and the reports rely on. Subclasses give the fixture ``attack``."""

    @pytest.fixture
    def attack(self) -> Attack:
        """The attack under test; override this."""
        raise NotImplementedError("Override the fixture attack: return an instance of your class.")

    @pytest.fixture
    def texts(self) -> Sequence[str]:
        """Sentences to attack; override to use others."""
        return _TEXTS

    def test_settings_are_json_and_name_the_version(self, attack: Attack) -> None:
        settings = json.loads(json.dumps(dict(attack.settings)))
        assert settings["name"] == attack.name
        assert settings["version"] == attack.version

    def test_travels_to_other_processes(self, attack: Attack, texts: Sequence[str]) -> None:
        twin = pickle.loads(pickle.dumps(attack))  # noqa: S301 - our own bytes
        assert twin.settings == attack.settings, "settings must survive pickling"
        assert _outcome(_attacked(twin, texts)) == _outcome(_attacked(attack, texts))

    def test_runs_on_every_text(self, attack: Attack, texts: Sequence[str]) -> None:
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
        assert dict(attack.settings) == before, "public attributes changed while searching"

    def test_order_and_company_change_nothing(self, attack: Attack, texts: Sequence[str]) -> None:
        together = _outcome(_attacked(attack, texts))
        reversed_alone = _outcome(_attacked(attack, texts[::-1], in_flight=1))
        hint = "draw randomness from context.rng() only, keep nothing on the instance"
        assert reversed_alone == together[::-1], hint

    def test_verdicts_hold(self, attack: Attack, texts: Sequence[str]) -> None:
        for result in _attacked(attack, texts).examples:
            assert result.perturbed is not None
            again = int(hashing_classifier([result.perturbed])[0].argmax())
            assert result.perturbed_predicted == again
            assert (result.status == "succeeded") == (again != result.label)

    def test_a_budget_is_a_maximum(self, attack: Attack, texts: Sequence[str]) -> None:
        for budget in (1, 2, 5, 11):
            report = _attacked(attack, texts, query_budget=budget)
            assert max(r.queries for r in report.examples) <= budget
            assert report.errors == 0, "return after BudgetExhausted, or do not catch it"

    def test_words_out_of_sight_stay(self, attack: Attack, texts: Sequence[str]) -> None:
        report = _attacked(attack, texts, victim=_ShortSighted(hashing_classifier))
        seen = all(set(r.changed) <= {0, 1, 2} for r in report.examples)
        assert seen, "change only words in context.indices"

    def test_a_victim_that_never_wavers_is_robust(
        self, attack: Attack, texts: Sequence[str]
    ) -> None:
        report = _attacked(attack, texts, victim=lambda t: np.tile([[0.9, 0.1]], (len(t), 1)))
        assert report.succeeded == 0
        assert report.accuracy_under_attack == report.accuracy

    def test_pairs_keep_the_other_side(self, attack: Attack, texts: Sequence[str]) -> None:
        pairs = [("A premise that stays.", text) for text in texts]
        report = _attacked(attack, pairs)
        assert report.errors == 0
        assert all(r.perturbed and r.perturbed[0] == pairs[0][0] for r in report.examples)


class _ShortSighted(FunctionVictim):
    def visible(self, attacked: AttackedInput, words: Words) -> range:
        return range(min(3, len(words)))


def _attacked(
    attack: Attack, texts: Sequence[Any], *, victim: Any = hashing_classifier, **settings: Any
) -> RobustnessReport:
    answers = victim.function if isinstance(victim, FunctionVictim) else victim
    # The victim's own answers are the labels, so that every text is attacked.
    labels = np.asarray(answers(list(texts))).argmax(axis=1)
    data = TextDataset(texts, labels.tolist())
    evaluator = RobustnessEvaluator(
        attack, data, examples=range(len(texts)), progress=False, **settings
    )
    return evaluator.evaluate(victim)


def _outcome(report: RobustnessReport) -> list[tuple[Any, ...]]:
    return [(r.text, r.status, r.perturbed, r.queries) for r in report.examples]
