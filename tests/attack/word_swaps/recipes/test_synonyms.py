"""PWWS, TextFooler, its adjusted form and Genetic: conformance, and what is specific to each."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    PWWS,
    Constraint,
    Genetic,
    RobustnessEvaluator,
    SentenceEncoder,
    Tagger,
    TextBugger,
    TextFooler,
    TextFoolerAdjusted,
    Words,
    WordVectors,
    attacks,
)
from rosearch.attack.testing import AttackConformance, hashing_classifier
from rosearch.data import TextDataset
from rosearch.errors import ArgumentError, MissingResourceError
from rosearch.stop_words import TEXTFOOLER_STOP_WORDS
from tests.attack.word_swaps.recipes.attacking import TEXTS, attacked, sure


def table(noise: float = 0.6) -> WordVectors:
    """Vectors in four clusters, for the words of ``TEXTS`` and some others."""
    words = {word.lower() for text in TEXTS for word in Words.of(text).words}
    words |= set(
        "place honest observed funny boys juvenile offers movie tale dim slow true".split()
    )
    rng = np.random.default_rng(0)
    names = sorted(words)
    centres = np.eye(4)[np.arange(len(names)) % 4]
    matrix = centres + noise * rng.normal(size=(len(names), 4))
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return WordVectors(names, matrix.astype(np.float32))


def tag(sentences: list[list[str]]) -> list[list[str]]:
    return [["NOUN" if len(word) % 3 else "ADJ" for word in words] for words in sentences]


def encode(texts: list[str]) -> np.ndarray:
    rows = np.zeros((len(texts), 8))
    for row, text in zip(rows, texts, strict=True):
        for word in text.split():
            rng = np.random.default_rng(zlib.crc32(word.encode("utf-8", "surrogatepass")))
            row += 1 + 0.5 * rng.normal(size=8)
    return rows


class TestTextFoolerConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> TextFooler:
        return TextFooler(vectors=table(), tagger=tag, encoder=encode, skip_short=False)


class TestTextFoolerAdjustedConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> TextFoolerAdjusted:
        return TextFoolerAdjusted(vectors=table(0.1), encoder=encode, min_similarity=0.9)


class TestGeneticConforms(AttackConformance):
    @pytest.fixture
    def attack(self) -> Genetic:
        return Genetic(vectors=table(), population=5, generations=3)


@pytest.mark.usefixtures("wordnet_folder")
class TestPWWSConforms(AttackConformance):
    @pytest.fixture
    def attack(self, wordnet_folder: Path) -> PWWS:
        return PWWS(wordnet=wordnet_folder)


def test_registered_under_their_names() -> None:
    assert attacks.get("pwws") is PWWS
    assert attacks.get("textfooler") is TextFooler
    assert attacks.get("textfooler-adjusted") is TextFoolerAdjusted
    assert attacks.get("genetic") is Genetic


def test_settings_hold_every_threshold() -> None:
    def parts(attack: Any) -> dict[str, Any]:
        return {part["name"]: part for part in attack.settings["constraints"]}

    found = parts(TextFooler(vectors=table(), tagger=tag, encoder=encode))
    assert found["word-cosine"]["minimum"] == 0.5
    assert found["part-of-speech"]["allow_verb_noun_swap"] is True
    similarity = found["sentence-similarity"]
    assert similarity["threshold"] == 0.840845057
    assert similarity["metric"] == "angular"
    assert (similarity["window"], similarity["skip_short"]) == (15, True)
    assert similarity["against"] == "previous"
    found = parts(TextFoolerAdjusted(vectors=table(), encoder=encode))
    assert found["word-cosine"]["minimum"] == 0.9
    assert found["sentence-similarity"]["threshold"] == 0.98
    assert found["sentence-similarity"]["metric"] == "cosine"
    assert "part-of-speech" not in found
    genetic = Genetic(vectors=table())
    assert parts(genetic)["word-cosine"]["max_distance"] == 0.5
    assert parts(genetic)["max-words-changed"]["share"] == 0.2
    assert genetic.settings["search_method"] == {
        "name": "genetic",
        "population": 60,
        "generations": 40,
    }
    assert genetic.settings["substitution"]["count"] == 8
    likely = Genetic(vectors=table(), language_model=len_of)
    assert parts(likely)["max-likelihood-drop"]["limit"] == 5.0


def len_of(texts: list[str]) -> list[float]:
    return [-float(len(text)) for text in texts]


def test_disabled_constraints() -> None:
    bare = TextFooler(vectors=table(), tagger=False, encoder=False)
    names = [part["name"] for part in bare.settings["constraints"]]
    assert names == ["no-repeat", "no-stop-words", "word-cosine"]
    more = attacked(bare).succeeded
    assert attacked(TextFooler(vectors=table(), tagger=tag, encoder=False)).succeeded <= more
    strict = TextFooler(
        vectors=table(), tagger=False, encoder=encode, min_similarity=1, skip_short=False
    )
    assert attacked(strict).succeeded == 0


def test_textfooler_keeps_its_own_stop_words() -> None:
    report = attacked(TextFooler(vectors=table(), tagger=False, encoder=False))
    for result in report.examples:
        words = Words.of(result.text).words
        assert not {words[i] for i in result.changed} & TEXTFOOLER_STOP_WORDS
    assert report.succeeded > 0


def test_of_several_successes_the_most_similar_is_taken() -> None:
    vectors = WordVectors(["dull", "dim", "slow"], np.eye(3, dtype=np.float32) + 1)

    def victim(texts: Any) -> Any:
        scores = [0.1 if "dull" in t else 0.9 if "slow" in t else 0.8 for t in texts]
        return np.array([[s, 1 - s] for s in scores])

    def like(texts: list[str]) -> np.ndarray:
        return np.array([[1.0, 0.1 if "dim" in t else 0.5 if "slow" in t else 0] for t in texts])

    settings: dict[str, Any] = {"vectors": vectors, "tagger": False, "skip_short": False}
    found = attacked(TextFooler(encoder=like, **settings), ["a dull end"], victim)
    assert found.examples[0].perturbed == "a dim end"
    found = attacked(TextFooler(encoder=False, **settings), ["a dull end"], victim)
    assert found.examples[0].perturbed == "a slow end"


def test_second_victim_needs_no_oracle_for_texts_already_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parts() -> tuple[Tagger, SentenceEncoder]:
        return (
            Tagger(tag, key="1", cache=tmp_path),
            SentenceEncoder(encode, key="1", cache=tmp_path),
        )

    def run(tagger: Tagger, encoder: SentenceEncoder, victim: Any) -> Any:
        attack = TextFooler(vectors=table(), tagger=tagger, encoder=encoder, skip_short=False)
        return attacked(attack, victim=victim)

    tagger, encoder = parts()
    first = run(tagger, encoder, hashing_classifier)
    counts = tagger.computed, encoder.computed
    assert min(counts) > 20

    def twin(texts: Any) -> Any:
        """A victim with the same ranking of texts and other probabilities."""
        return 0.25 + 0.5 * hashing_classifier(texts)

    run(tagger, encoder, twin)
    assert (tagger.computed, encoder.computed) == counts
    # In another process the file answers.
    tagger, encoder = parts()
    again = run(tagger, encoder, hashing_classifier)
    assert (tagger.computed, encoder.computed) == (0, 0)
    assert [r.perturbed for r in again.examples] == [r.perturbed for r in first.examples]


def test_adjusted_textfooler_with_a_grammar_constraint() -> None:
    class NoCommas(Constraint):
        name = "no-commas"

        def allows_text(self, original: Words, candidate: Words) -> bool:
            return "," not in candidate.text

    attack = TextFoolerAdjusted(
        vectors=table(), min_word_cosine=0.5, encoder=False, grammar=NoCommas()
    )
    assert [c["name"] for c in attack.settings["constraints"]][-1] == "no-commas"
    for result in attacked(attack).examples:
        assert not result.changed or "," not in result.text


def test_genetic_changes_few_words_and_depends_on_the_seed() -> None:
    attack = Genetic(vectors=table(), population=6, generations=5, max_word_distance=1.5)
    first = attacked(attack, seed=0)
    for result in first.examples:
        assert len(result.changed) <= -(-len(Words.of(result.text)) // 5)
    assert first.succeeded > 0

    def texts(report: Any) -> Any:
        return [(r.perturbed, r.queries) for r in report.examples]

    assert texts(attacked(attack, seed=0)) == texts(first)
    assert texts(attacked(attack, seed=1)) != texts(first)


def test_genetic_queries_a_generation_at_once() -> None:
    sizes: list[int] = []

    def counting(texts: Any) -> Any:
        sizes.append(len(texts))
        return sure(texts)

    attack = Genetic(vectors=table(), population=20, generations=3, max_word_distance=1.5)
    report = attacked(attack, TEXTS[:1], counting)
    # Batches hold distinct new texts only; what counts is how rarely the victim is called.
    assert report.queries > 20 * len(sizes)


def test_genetic_with_a_language_model() -> None:
    settings: dict[str, Any] = {
        "vectors": table(),
        "population": 20,
        "generations": 1,
        "max_word_distance": 1.5,
    }
    free = attacked(Genetic(**settings))
    held = attacked(Genetic(language_model=len_of, max_likelihood_drop=0.5, **settings))
    assert held.queries < free.queries
    # One generation makes one change, and no text that is longer is likely enough.
    assert any(len(str(r.perturbed)) > len(str(r.text)) for r in free.examples)
    assert all(len(str(r.perturbed)) <= len(str(r.text)) for r in held.examples)


def test_pwws_query_count(wordnet_folder: Path) -> None:
    data = TextDataset(["a dull end"], [0], classes=["x", "y"])
    attack = PWWS(wordnet=wordnet_folder)
    report = RobustnessEvaluator(attack, data, progress=False).evaluate(sure)
    synonyms = [len(attack.substitution.propose(word)) for word in ("dull", "end")]
    assert min(synonyms) > 3
    # The unchanged text, two with [UNK], and all synonyms twice: to rank and to replace.
    assert report.examples[0].queries == 1 + 2 + 2 * sum(synonyms)
    assert report.forward_rows < report.queries


def test_missing_wordnet_is_an_error_at_construction(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from rosearch import wordnet

    monkeypatch.setattr(wordnet, "_usual_places", list)
    monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)
    with pytest.raises(MissingResourceError, match="resources --get wordnet"):
        PWWS()
    with pytest.raises(MissingResourceError, match=r"index\.noun"):
        PWWS(wordnet=tmp_path)


@pytest.mark.parametrize("recipe", [TextFooler, TextFoolerAdjusted, Genetic, TextBugger])
def test_missing_vectors_are_an_error_at_construction(
    recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
    monkeypatch.setenv("TA_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("ROSEARCH_VECTORS", raising=False)
    with pytest.raises(MissingResourceError, match="counterfitting MODEL"):
        recipe()
    with pytest.raises(MissingResourceError, match="no word vectors at"):
        recipe(vectors=tmp_path / "none")


def test_thresholds_out_of_range() -> None:
    for recipe, wrong in (
        (TextFooler, {"neighbours": 0}),
        (TextFooler, {"min_word_cosine": "high"}),
        (TextFooler, {"window": 0, "encoder": encode}),
        (Genetic, {"population": 0}),
        (Genetic, {"generations": 0}),
        (Genetic, {"max_changed": 2}),
        (Genetic, {"max_word_distance": -1}),
    ):
        settings: dict[str, Any] = {"vectors": table(), **wrong}
        if recipe is TextFooler:
            settings = {"tagger": False, "encoder": False, **settings}
        with pytest.raises(ArgumentError):
            recipe(**settings)


def test_cached_synonyms_are_not_looked_up_again(
    wordnet_folder: Path, tmp_path: Path, dataset: TextDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
    labels = hashing_classifier(list(dataset.texts)).argmax(axis=1).tolist()
    data = TextDataset(dataset.texts, labels, classes=["a", "b"])
    first = RobustnessEvaluator(
        PWWS(wordnet=wordnet_folder), data, examples=20, progress=False
    ).evaluate(hashing_classifier)

    def refuse(*_: object) -> None:
        raise AssertionError("WordNet was read again.")

    # A new attack has no synonyms in memory, as in another process.
    again = PWWS(wordnet=wordnet_folder)
    monkeypatch.setattr(type(again.substitution.lookup.wordnet), "ranked", refuse)
    second = RobustnessEvaluator(again, data, examples=20, progress=False).evaluate(
        hashing_classifier
    )
    assert first.succeeded > 0
    assert second.examples == first.examples
