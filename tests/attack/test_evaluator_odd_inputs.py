"""Unusual texts, labels and victims, through the whole evaluator."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    PWWS,
    Attack,
    BeamSearch,
    DeepWordBug,
    FunctionVictim,
    GreedyWordSwap,
    Pruthi,
    RobustnessEvaluator,
    RobustnessReport,
    Targeted,
    TextBugger,
    WordSwapAttack,
    run_attack,
)
from rosearch.attack.engine.attack_run import Example
from rosearch.attack.resources.word_vectors import WordVectors
from rosearch.attack.testing import hashing_classifier
from rosearch.attack.word_swaps.substitutions import CharacterDeletion
from rosearch.data import TextDataset
from rosearch.errors import ArgumentError, DataError, EvaluationError

PLAIN = ["The film offers a breath of fresh air.", "Effective but too tepid biopic."]
VECTORS = WordVectors(
    ["film", "movie", "air", "wind"], np.eye(4, dtype=np.float32) + np.float32(0.1)
)


def attacked(
    texts: Any, attack: Attack, victim: Callable[[Any], Any] = hashing_classifier, **settings: Any
) -> RobustnessReport:
    labels = settings.pop("labels", None) or hashing_classifier(texts).argmax(axis=1).tolist()
    data = TextDataset(texts, labels, classes=["a", "b"])
    settings = {"examples": range(len(texts)), "progress": False, **settings}
    return RobustnessEvaluator(attack, data, **settings).evaluate(victim)


@pytest.fixture(
    params=["deepwordbug", "textbugger", "pruthi", "pwws", "wide beam", "gradient-free"]
)
def attack(request: Any) -> Attack:
    if request.param == "pwws":
        return PWWS(wordnet=request.getfixturevalue("wordnet_folder"))
    made: dict[str, Callable[[], Attack]] = {
        "deepwordbug": DeepWordBug,
        "textbugger": lambda: TextBugger(vectors=VECTORS, encoder=False),
        "pruthi": Pruthi,
        "wide beam": lambda: WordSwapAttack(CharacterDeletion(every=True), (), BeamSearch(2)),
        "gradient-free": lambda: WordSwapAttack(
            CharacterDeletion(), (), GreedyWordSwap("random"), resegment=False
        ),
    }
    return made[request.param]()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "film",
        "I",
        ">>>> ... --",
        "🙂",
        "🙂🙂 🙂 so",
        "' '",
        "a" * 3000,
        "\ud800 lone",
        "\x00",
    ],
)
def test_odd_texts_are_attacked_like_others(attack: Attack, text: str) -> None:
    report = attacked([text, *PLAIN], attack, query_budget=200)
    assert [r.error for r in report.examples] == [None] * 3
    assert report.examples[0].status in ("succeeded", "failed")
    assert report.accuracy_under_attack == pytest.approx(
        report.accuracy - report.succeeded / report.n
    )
    # The other texts get the same results as without it.
    assert report.examples[1:] == tuple(_moved(attacked(PLAIN, attack, query_budget=200)))


def _moved(report: RobustnessReport) -> list[Any]:
    from dataclasses import replace

    return [replace(r, index=r.index + 1) for r in report.examples]


@pytest.mark.parametrize("text", ["", "\t\n"])
def test_empty_text_in_the_engine(attack: Attack, text: str) -> None:
    label = int(hashing_classifier([text])[0].argmax())
    (result,) = run_attack(attack, [Example(0, text, label)], FunctionVictim(hashing_classifier))
    assert (result.status, result.perturbed, result.words) == ("failed", text, 0)


def test_text_without_words_costs_one_query(attack: Attack) -> None:
    report = attacked([">>>> ...", *PLAIN], attack)
    assert (report.examples[0].status, report.examples[0].queries) == ("failed", 1)
    assert report.examples[0].perturbed == ">>>> ..."
    assert report.examples[0].changed_share == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepwordbug", "pwws"])
def test_two_thousand_words_need_little_memory(name: str, wordnet_folder: Path) -> None:
    words = "film moving plot a script dull the ending wonderful and bright".split()
    text = " ".join(words[k * 7 % len(words)] for k in range(2000))
    attack = (
        DeepWordBug(max_edit_distance=9) if name == "deepwordbug" else PWWS(wordnet=wordnet_folder)
    )
    tracemalloc.start()
    report = attacked([text], attack, by_letters, labels=[0], query_budget=3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (result,) = report.examples
    assert (result.error, result.words) == (None, 2000)
    assert 1000 < result.queries <= 3000
    assert peak < 600e6


def by_letters(texts: Any) -> np.ndarray:
    """Predict class 0 with a probability that falls with the share of the letter "e"."""
    share = np.array([0.9 - text.count("e") / (1 + len(text)) for text in texts])
    return np.stack([share, 1 - share], axis=1)


def test_fewer_long_texts_are_attacked_concurrently() -> None:
    asked = []

    def victim(texts: Any) -> np.ndarray:
        asked.append(len(texts))
        return by_letters(texts)

    texts = [" ".join(["word"] * 1000 + [str(k)]) for k in range(8)]
    attacked(texts, DeepWordBug(), victim, labels=[0] * 8, query_budget=1003)
    assert max(asked) <= 5 * 1001


def test_words_beyond_the_maximum_length_are_not_attacked(
    trained_bert: Any, tokenizer: Any
) -> None:
    text = " ".join(["good film"] * 1000)
    data = TextDataset([text], [1], classes=["negative", "positive"])
    report = RobustnessEvaluator("deepwordbug", data, progress=False).evaluate(
        trained_bert, tokenizer
    )
    (result,) = report.examples
    assert result.error is None
    assert result.words == 2000
    assert result.queries < 64 * 6
    assert all(index < 64 for index in result.changed)


class TestLabels:
    def test_label_out_of_range_is_rejected_by_the_data_set(self) -> None:
        with pytest.raises(DataError, match="Label 2 of example 1 is outside 0 to 1"):
            TextDataset(PLAIN, [0, 2], classes=["a", "b"])

    def test_victim_with_too_few_classes_is_rejected(self) -> None:
        data = TextDataset(PLAIN, [0, 1], classes=["a", "b", "c"])
        with pytest.raises(EvaluationError, match="has 2 classes, but the data set has 3"):
            RobustnessEvaluator("deepwordbug", data, progress=False).evaluate(hashing_classifier)

    @pytest.mark.parametrize("label", [-1, 2, 7])
    def test_label_out_of_range_is_one_error_in_the_engine(self, label: int) -> None:
        examples = [Example(3, PLAIN[0], label), Example(4, PLAIN[1], 0), Example(5, PLAIN[1], 1)]
        results = run_attack(DeepWordBug(), examples, FunctionVictim(hashing_classifier))
        assert results[0].status == "error"
        assert f"The label of example 3 is {label}" in str(results[0].error)
        assert sorted(r.status == "skipped" for r in results[1:]) == [False, True]

    def test_target_out_of_range_is_rejected(self) -> None:
        with pytest.raises(DataError, match=r"class 5.*0 to 1"):
            attacked(PLAIN, DeepWordBug(), goal=Targeted(5))


class TestVictims:
    """A victim that fails on one text of five, before or in the middle of the attack."""

    texts = [*PLAIN, "A dull and boring end.", "What a film!", "So huge a story, words fail."]

    def failing(self, answer: Callable[[], Any], when: Callable[[str], bool]) -> Any:
        def victim(texts: list[str]) -> np.ndarray:
            out = hashing_classifier(texts)
            for row, text in zip(out, texts, strict=True):
                if when(text):
                    row[:] = answer()
            return out

        return victim

    def raising(self) -> float:
        raise ValueError("will not read this")

    def nan(self) -> float:
        return float("nan")

    @pytest.mark.parametrize("kind", ["raising", "nan"])
    def test_failure_on_an_unchanged_text(self, kind: str) -> None:
        victim = self.failing(getattr(self, kind), lambda text: "boring" in text)
        report = attacked(self.texts, DeepWordBug(), victim)
        alone = attacked(self.texts, DeepWordBug())
        self.check(report, alone, 2)
        assert report.examples[2].predicted is None
        assert report.correct == 4
        assert list(report.accuracy_bounds) == [4 / 5, 1]
        low, high = report.accuracy_under_attack_bounds
        assert high - low == pytest.approx(1 / 5)

    @pytest.mark.parametrize("kind", ["raising", "nan"])
    def test_failure_on_a_perturbed_text(self, kind: str) -> None:
        victim = self.failing(
            getattr(self, kind), lambda text: "[UNK]" in text and "boring" in text
        )
        report = attacked(self.texts, DeepWordBug(), victim)
        alone = attacked(self.texts, DeepWordBug())
        self.check(report, alone, 2)
        assert report.accuracy == 1
        assert list(report.accuracy_bounds) == [1, 1]
        assert report.accuracy_under_attack_bounds.low == pytest.approx(
            1 - (report.succeeded + 1) / 5
        )
        assert report.accuracy_under_attack_bounds.high == report.accuracy_under_attack

    def check(self, report: RobustnessReport, alone: RobustnessReport, bad: int) -> None:
        assert report.errors == 1
        assert report.examples[bad].status == "error"
        assert report.examples[bad].error
        others = [k for k in range(5) if k != bad]
        assert [report.examples[k] for k in others] == [alone.examples[k] for k in others]
        assert report.attacked + report.errors == report.n
        rates = (report.accuracy, report.accuracy_under_attack, report.attack_success_rate)
        assert not np.isnan(rates).any()
        for name in ("accuracy", "accuracy_under_attack", "attack_success_rate"):
            low, high = getattr(report, f"{name}_bounds")
            assert low <= getattr(report, name) <= high
        assert "1 errors" in str(report) or "1 error" in str(report)

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (lambda texts: hashing_classifier(texts)[:-1], "Expected one row per text"),
            (lambda texts: hashing_classifier(texts)[:, :1], "classes"),
            (lambda texts: hashing_classifier(texts, 3), "has 3 classes"),
            (lambda texts: None, "all 2 examples"),
        ],
    )
    def test_outputs_of_the_wrong_shape_are_rejected(self, answer: Any, message: str) -> None:
        with pytest.raises(EvaluationError, match=message):
            attacked(PLAIN, DeepWordBug(), answer)


def test_data_in_other_forms_is_that_of_a_data_set() -> None:
    pairs = [("a fine day", 1), ("a dull day", 0)]
    made = TextDataset([text for text, _ in pairs], [label for _, label in pairs])
    one, other = (RobustnessEvaluator("deepwordbug", data) for data in (pairs, made))
    assert one.settings == other.settings
    with pytest.raises(ArgumentError, match="dataset must be a TextDataset"):
        RobustnessEvaluator("deepwordbug", ["a fine day", "a dull day"])
