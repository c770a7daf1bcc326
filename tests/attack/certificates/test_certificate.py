"""Certificates against all combinations, tried one by one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import (
    CharacterEdits,
    CharacterInsertion,
    MaxWordsChanged,
    NoRepeat,
    NoStopWords,
    RobustnessEvaluator,
    RobustnessReport,
    Substitution,
    Union,
    WordSwapAttack,
)
from rosearch.attack.certificates.certificate import (
    Certificate,
    certify,
    combinations,
    combined,
)
from rosearch.attack.certificates.text_parts import TextPart
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.make import make_victim
from rosearch.data import Text, TextDataset
from rosearch.encode import Chain, Encoding, encodings
from rosearch.encode.testing import Synonyms
from rosearch.operators.scopes import CONTRAST, NEGATION, cue_tokens
from rosearch.space import Genome, templates
from rosearch.student import StudentConfig, StudentForSequenceClassification

OPTIONS: Mapping[str, Sequence[str]] = {
    "good": ("great", "goood", "g ood", "won"),
    "film": ("movie", "fi lm", "flim"),
    "bad": ("awful", "badd", "take off"),
    "dull": ("derful", "boring", "dul", "dulll"),
    "great": ("good", "gerat", "derful"),
    "cast": ("casting", "cats", "caast"),
    "story": ("plot", "sotry", "st.ory"),
    "wonderful": ("won derful", "lovely"),
}
WORDS = [*OPTIONS, "the", "was", "and", "a", "won", "derful", "filmm", "sotry", ",", "."]


def cues(tokenizer: Any) -> list[tuple[int, int]]:
    """The tokenizer's, and "was" for "not", "and" for "but", which it does not know."""
    own = [("was", NEGATION), ("and", CONTRAST)]
    return [*cue_tokens(tokenizer), *((tokenizer.get_vocab()[word], kind) for word, kind in own)]


class Listed(Substitution):
    """Replacements by hand: synonyms, typos, cut words, words beside each other that join."""

    name = "listed"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return OPTIONS.get(word, ())


class InContext(Substitution):
    """The word before."""

    name = "in-context"

    def propose_in(self, text: Words, index: int, numbers: Sequence[float] = ()) -> Any:
        yield from ()
        return [text.words[index - 1]] if index else []


def attack(*constraints: Any) -> WordSwapAttack:
    return WordSwapAttack(Listed(), [NoRepeat(), *constraints], resegment=False)


def texts(count: int, *, words: int = 6, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=words)) for _ in range(count)]


def all_texts(attacked: AttackedInput, most: int | None = None) -> list[Text]:
    """Every text that the attack can make."""
    words = attacked.words
    found: list[Text] = []
    for new in itertools.product(*[(word, *OPTIONS.get(word, ())) for word in words.words]):
        changed = sum(a != b for a, b in zip(new, words.words, strict=True))
        if most is None or changed <= most:
            pieces = [*words.pieces]
            pieces[1::2] = new
            found.append(attacked.whole("".join(pieces)))
    return found


def fitted(dataset: TextDataset, name: str, **settings: Any) -> Encoding:
    return encodings.get(name).fit(dataset, **settings)


@pytest.fixture(scope="module")
def spellings(dataset: TextDataset) -> Mapping[str, Encoding | None]:
    return {
        "none": None,
        "spelling": fitted(dataset, "spelling"),
        "words alone": fitted(dataset, "spelling", joins=False, neighbours=False),
        "joins": fitted(dataset, "spelling", neighbours=False),
        "neighbours": fitted(dataset, "spelling", joins=False),
        "clusters": fitted(dataset, "typo_clusters"),
    }


def untrained(genome: Genome, tokenizer: Any, *, classes: int = 2, seed: int = 0) -> Any:
    """A student as it is initialized."""
    torch.manual_seed(seed)
    config = StudentConfig(
        genome,
        vocab_size=len(tokenizer),
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
        cues=cues(tokenizer) if genome.scopes else (),
        num_labels=classes,
    )
    return StudentForSequenceClassification(config).eval()


def student(genome: Genome, tokenizer: Any, *, classes: int = 2, seed: int = 0) -> Any:
    """A student with random token scores."""
    made = untrained(genome, tokenizer, classes=classes, seed=seed)
    assert made.token_scores is not None
    with torch.no_grad():
        made.token_scores.tokens.weight.normal_()
        made.token_scores.bias.normal_()
        made.token_scores.tokens.weight[tokenizer.pad_token_id] = 0
    if genome.bound:
        with torch.no_grad():
            made.classifier.weight.normal_(std=3.0)
    return made


def checked(
    victim: Any, attacked: AttackedInput, found: Certificate, label: int, most: int | None = None
) -> bool:
    """Whether all combinations are right, after comparing that with a certificate."""
    answers = victim.probabilities(all_texts(attacked, most)).argmax(axis=1)
    right = bool((answers == label).all())
    assert found.holds in (right, None), f"{attacked.text!r}: {found}, but {right}"
    return right


@pytest.mark.parametrize(
    "name", ["none", "spelling", "words alone", "joins", "neighbours", "clusters"]
)
@pytest.mark.parametrize("classes", [2, 3])
def test_sums_are_certified_exactly(
    name: str, classes: int, tokenizer: Any, spellings: Mapping[str, Encoding | None]
) -> None:
    model = student(templates.additive(), tokenizer, classes=classes)
    victim = make_victim(model, tokenizer, encoding=spellings[name])
    verdicts = []
    for text in texts(25, words=5, seed=classes):
        attacked = AttackedInput(text)
        label = int(victim.probabilities([text]).argmax())
        found = certify(victim, attack(), attacked, label)
        verdicts.append((found.holds, checked(victim, attacked, found, label)))
    assert (True, True) in verdicts
    assert (False, False) in verdicts
    if name in ("none", "words alone", "joins", "clusters"):
        assert all(holds is not None for holds, _ in verdicts)


@pytest.mark.parametrize("name", ["none", "spelling"])
def test_scopes_are_known(
    name: str, tokenizer: Any, spellings: Mapping[str, Encoding | None]
) -> None:
    model = student(templates.additive(scopes=True), tokenizer)
    victim = make_victim(model, tokenizer, encoding=spellings[name])
    verdicts = []
    for text in texts(60, words=7):
        attacked = AttackedInput(text)
        label = int(victim.probabilities([text]).argmax())
        found = certify(victim, attack(), attacked, label, limit=0)
        verdicts.append((found.holds, checked(victim, attacked, found, label)))
    assert (True, True) in verdicts
    assert (False, False) in verdicts


@pytest.mark.parametrize("bound", [0.5, 3.0])
def test_a_bounded_graph_lowers_what_is_certified(
    bound: float, tokenizer: Any, spellings: Mapping[str, Encoding | None]
) -> None:
    cnn = templates.text_cnn(width=16, embedding_width=8)
    model = student(replace(cnn, bound=bound), tokenizer)
    victim = make_victim(model, tokenizer, encoding=spellings["spelling"])
    reasons = set()
    for text in texts(40, words=5):
        attacked = AttackedInput(text)
        label = int(victim.probabilities([text]).argmax())
        for limit in (0, 1000):
            found = certify(victim, attack(), attacked, label, limit=limit)
            checked(victim, attacked, found, label)
            reasons.add((found.holds, found.reason))
            assert limit or found.reason != "enumeration"
    assert {(True, "bound"), (False, "bound"), (True, "enumeration")} <= reasons
    assert {holds for holds, reason in reasons if reason.startswith("more than 0")} == {None}


@pytest.mark.parametrize("most", [0, 1, 2])
def test_a_limit_of_changed_words_is_used(most: int, tokenizer: Any) -> None:
    model = student(templates.additive(), tokenizer)
    victim = make_victim(model, tokenizer)
    limited = attack(MaxWordsChanged(most))
    held = {}
    for text in texts(40):
        attacked = AttackedInput(text)
        label = int(victim.probabilities([text]).argmax())
        found = certify(victim, limited, attacked, label)
        held[text] = checked(victim, attacked, found, label, most)
        assert found.holds == held[text]
    assert all(held.values()) == (most == 0)


def test_a_function_is_certified_by_trying_all() -> None:
    def scores(given: list[str]) -> np.ndarray:
        good = [
            sum(word in ("good", "great", "film", "movie") for word in t.split()) for t in given
        ]
        return np.array([[1.5, count] for count in good], dtype=np.float32)

    victim = make_victim(scores)
    seen = set()
    for text in texts(40, words=4):
        attacked = AttackedInput(text)
        label = int(victim.probabilities([text]).argmax())
        found = certify(victim, attack(), attacked, label)
        assert found.holds == checked(victim, attacked, found, label)
        seen.add(found)
    assert seen == {Certificate(True, "enumeration"), Certificate(False, "enumeration")}
    victim.probabilities([text])
    assert certify(victim, attack(), AttackedInput("good film " * 3), 0, limit=9).holds is None


@pytest.mark.parametrize("side", [0, 1])
def test_one_side_of_a_pair(
    side: int, tokenizer: Any, spellings: Mapping[str, Encoding | None]
) -> None:
    model = student(templates.additive(), tokenizer)
    victim = make_victim(model, tokenizer, encoding=spellings["joins"])
    found = set()
    for pair in zip(texts(25, words=4), texts(25, words=4, seed=1), strict=True):
        attacked = AttackedInput(pair, side)
        label = int(victim.probabilities([pair]).argmax())
        certificate = certify(victim, attack(), attacked, label)
        assert certificate.holds == checked(victim, attacked, certificate, label)
        found.add(certificate.holds)
    assert found == {True, False}


@pytest.mark.parametrize("count", [40, 1500])
def test_long_texts_are_enumerated_at_once(count: int) -> None:
    victim = make_victim(lambda texts: [[0.4, 0.6]] * len(texts))
    text = "the " * count + "good"
    given = attack(MaxWordsChanged(2))
    assert certify(victim, given, AttackedInput(text), 1) == Certificate(True, "enumeration")
    assert certify(victim, attack(), AttackedInput(text + " film" * 30), 1).holds is None


def test_combinations_are_counted_and_listed() -> None:
    parts = [
        TextPart("a", ("a",), {"b": "b", "a": "a"}, 1, True),
        TextPart(" c", ("c", "d"), {}, 0, False),
        TextPart(" e", ("e",), {"f": "f", "g": "g"}, 1, True),
    ]
    for most in (None, 0, 1, 2, 5):
        found = list(combined(parts, most))
        assert len(set(found)) == len(found) == combinations(parts, most, 1000)
        expected = {
            (a, c, e)
            for a, c, e in itertools.product("ab", "cd", "efg")
            if most is None or (a != "a") + (e != "e") <= most
        }
        assert set(found) == expected


def test_rounding_of_large_scores(tokenizer: Any) -> None:
    model = student(templates.additive(), tokenizer)
    ids = tokenizer.convert_tokens_to_ids
    with torch.no_grad():
        model.token_scores.tokens.weight.zero_()
        model.token_scores.bias.zero_()
        model.token_scores.tokens.weight[ids("good")] = torch.tensor([0.0, 3e-4])
        model.token_scores.tokens.weight[ids("film")] = torch.tensor([1e3, 1e3])
    victim = make_victim(model, tokenizer)
    text = AttackedInput("good" + " film" * 8)
    swaps = WordSwapAttack(Listed(), [NoRepeat(), NoStopWords(["good"])], resegment=False)
    assert certify(victim, swaps, text, 1, limit=0).holds is None


def test_encodings_chained(dataset: TextDataset, tokenizer: Any) -> None:
    exchanges = Synonyms()
    spelling = encodings.get("spelling").fit(dataset, exchanges=exchanges)
    train = dataset.with_texts(spelling(dataset.texts))
    classes = encodings.get("word_classes").fit(train, exchanges=exchanges, strength=0.5)
    model = student(templates.additive(), tokenizer)
    victim = make_victim(model, tokenizer, encoding=Chain([spelling, classes]))
    held = set()
    for text in texts(40, words=5, seed=5):
        for given in (text, text.replace("good", "good`")):
            attacked = AttackedInput(given)
            label = int(victim.probabilities([given]).argmax())
            found = certify(victim, attack(), attacked, label)
            checked(victim, attacked, found, label)
            held.add(found.holds)
    assert {True, False} <= held


def test_a_victim_that_fails_is_undecided(dataset: TextDataset) -> None:
    def fails(given: list[str]) -> np.ndarray:
        if any("flim movie" in text for text in given):
            raise ValueError("no such text")
        return np.array([[1.0, 0.0]] * len(given))

    data = TextDataset(["film film", "a cast"], [0, 0], classes=dataset.classes)
    evaluator = RobustnessEvaluator(attack(), data, examples=2, certify=True, progress=False)
    report = evaluator.evaluate(fails)
    found = {result.text: result.certified for result in report.examples}
    assert found == {"film film": None, "a cast": True}
    plain = RobustnessEvaluator(attack(), data, examples=2, progress=False).evaluate(fails)
    assert report.forward_rows == plain.forward_rows


@pytest.mark.parametrize(
    "substitution",
    [
        CharacterEdits(),
        Union(
            [
                CharacterInsertion(letters=" ", skip_first=True, skip_last=True),
                Listed(),
                CharacterEdits(),
            ]
        ),
    ],
    ids=["edits", "splits and edits"],
)
@pytest.mark.parametrize("name", ["none", "spelling"])
def test_no_search_breaks_a_certified_text(
    name: str,
    substitution: Substitution,
    tokenizer: Any,
    dataset: TextDataset,
    spellings: Mapping[str, Encoding | None],
) -> None:
    model = student(templates.additive(), tokenizer)
    with torch.no_grad():  # so that some texts withstand any typo
        model.token_scores.tokens.weight[tokenizer.convert_tokens_to_ids("film")] = torch.tensor(
            [60.0, -60.0]
        )
    given = WordSwapAttack(substitution, [NoRepeat(), NoStopWords(["film", "movie"])])
    evaluator = RobustnessEvaluator(given, dataset, examples=60, progress=False)
    victim = evaluator.victim(model, tokenizer, encoding=spellings[name])
    report = evaluator.evaluate(victim)
    held = 0
    for result in report.examples:
        found = certify(victim, given, AttackedInput(result.text), result.label)
        assert not (found.holds and (result.broken or result.predicted != result.label))
        held += found.holds is True
    assert held > 0


def test_evaluators_report_it(tokenizer: Any, dataset: TextDataset) -> None:
    model = student(templates.additive(), tokenizer, seed=3)
    both = [attack(), WordSwapAttack(InContext(), [NoRepeat()], name="in-context")]
    evaluator = RobustnessEvaluator(both, dataset, examples=60, certify=True, progress=False)
    report = evaluator.evaluate(model, tokenizer)
    listed, context = report.attacks.values()
    assert 0 < (listed.certified or 0) <= listed.accuracy_under_attack
    assert listed.undecided == 0
    assert context.certified == 0
    assert context.undecided == report.undecided == context.accuracy_under_attack
    assert report.certified == 0
    assert f"certified {listed.certified:.1%}, undecided 0.0%" in str(listed)
    assert "certified" in listed.to_html()
    assert RobustnessReport.from_json(report.to_json()) == report
    for result in listed.examples:
        if result.broken or result.predicted != result.label:
            assert result.certified is False

    plain = RobustnessEvaluator(both, dataset, examples=60, progress=False)
    report = plain.evaluate(model, tokenizer)
    assert report.certified is None
    assert report.undecided is None
    assert "certif" not in str(report) + str(dict(plain.settings)) + report.to_html()
    older = report.to_json().replace(', "certified": null', "")
    assert "certified" not in older
    assert RobustnessReport.from_json(older) == report
