"""TextAttack's attacks have the same outcomes in rosearch as in TextAttack."""

from __future__ import annotations

import gc
import json
import pickle
import random
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import RobustnessEvaluator, Words
from rosearch.attack.goals import Goal
from rosearch.attack.testing import AttackConformance, hashing_classifier
from rosearch.attack.textattack import TextAttackAttack, wrapper
from rosearch.attack.textattack.loading import seed_generators
from rosearch.data import TextDataset
from rosearch.errors import ArgumentError, DataError, EvaluationError, MissingResourceError
from rosearch.seeding import generator
from tests.attack.textattack.attacks import (
    ATTACKS,
    SENTENCES,
    Parts,
    build,
    deletions,
    genetic,
    pwws,
    swarm,
    typos,
)

# TextAttack warns at the first use of a model that it does not know.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")


def alone(attack: Any, texts: list[Any], labels: list[int], name: str) -> list[Any]:
    """Outcomes in TextAttack, with the random generators seeded as in rosearch."""
    outcomes = []
    for text, label in zip(texts, labels, strict=True):
        key = text if isinstance(text, str) else "\0".join(text.values())
        seed_generators(int(generator(0, "attack", name, key, "textattack").integers(1 << 32)))
        result = attack.attack(text, label)
        kind = type(result).__name__.removesuffix("AttackResult").lower()
        final = result.perturbed_result
        status = {"successful": "succeeded"}.get(kind, kind)
        outcomes.append((status, final.attacked_text.tokenizer_input, final.num_queries))
    return outcomes


def here(attack: Any, texts: list[Any], labels: list[int], **settings: Any) -> list[Any]:
    victim = settings.pop("victim", hashing_classifier)
    settings = {"skip_truncated": False, "progress": False, **settings}
    data = TextDataset(texts, labels, classes=[str(k) for k in range(max(labels) + 1)])
    evaluator = RobustnessEvaluator(attack, data, examples=range(len(texts)), **settings)
    report = evaluator.evaluate(victim)
    assert [r.error for r in report.examples if r.error] == []
    return [
        (r.status, r.text if r.perturbed is None else r.perturbed, r.queries)
        for r in report.examples
    ]


def labelled(texts: list[Any]) -> list[int]:
    labels: list[int] = hashing_classifier(texts).argmax(axis=1).tolist()
    labels[3] = 1 - labels[3]  # one that is wrong before the attack
    return labels


@pytest.mark.parametrize("budget", [None, 9, 41])
@pytest.mark.parametrize("parts", ATTACKS)
def test_same_outcomes_as_in_textattack(textattack: Any, parts: Parts, budget: int | None) -> None:
    labels = labelled(SENTENCES)
    attack = build(parts, wrapper(hashing_classifier), budget=budget)
    expected = alone(attack, SENTENCES, labels, "theirs")
    ours = TextAttackAttack(build(parts, wrapper(hashing_classifier)), name="theirs")
    got = here(ours, SENTENCES, labels, query_budget=budget)
    assert got == expected
    if budget is None:
        assert {status for status, _, _ in got} >= {"skipped", "succeeded"}


def test_budget_of_the_attack_holds_too(textattack: Any) -> None:
    labels = labelled(SENTENCES)
    attack = build(pwws, wrapper(hashing_classifier), budget=20)
    ours = TextAttackAttack(attack)
    expected = alone(attack, SENTENCES, labels, ours.name)
    assert here(ours, SENTENCES, labels) == expected
    assert here(ours, SENTENCES, labels, query_budget=100) == expected


def test_second_text_of_a_pair(textattack: Any) -> None:
    pairs = [("People spoke of this film.", text) for text in SENTENCES]
    labels = labelled(pairs)
    columns = [OrderedDict(zip(("premise", "hypothesis"), pair, strict=True)) for pair in pairs]
    attack = build(pwws, wrapper(hashing_classifier), columns=True)
    expected = alone(attack, columns, labels, "theirs")
    assert here(TextAttackAttack(attack, name="theirs"), pairs, labels) == expected


def test_first_text_of_a_pair(textattack: Any) -> None:
    pairs = [(text, "People spoke of this film.") for text in SENTENCES]
    labels = labelled(pairs)
    results = here(TextAttackAttack("PWWSRen2019"), pairs, labels, attacked_side=0)
    assert {text[1] for _, text, _ in results} == {"People spoke of this film."}
    assert any(text != pair for (_, text, _), pair in zip(results, pairs, strict=True))


def test_hugging_face_victim(
    textattack: Any, trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    texts = [str(text) for text in dataset.texts[:20]]
    labels = [int(label) for label in dataset.labels[:20]]
    theirs = textattack.models.wrappers.HuggingFaceModelWrapper(trained_bert, tokenizer)
    expected = alone(build(pwws, theirs), texts, labels, "theirs")
    ours = alone(build(pwws, wrapper(trained_bert, tokenizer)), texts, labels, "theirs")
    assert ours == expected
    trained_bert.tokenizer = tokenizer
    attack = TextAttackAttack("PWWSRen2019")
    assert here(attack, texts, labels, victim=trained_bert) == expected


class TestRecipe(AttackConformance):
    @pytest.fixture
    def attack(self, textattack: Any) -> TextAttackAttack:
        return TextAttackAttack("PWWSRen2019")


class TestRandomAttack(AttackConformance):
    """Random draws depend on the text only."""

    @pytest.fixture
    def attack(self, textattack: Any) -> TextAttackAttack:
        return TextAttackAttack(build(typos, wrapper(hashing_classifier)))


@pytest.mark.parametrize("parts", [genetic, swarm])
def test_order_and_number_in_flight_change_no_outcome(textattack: Any, parts: Parts) -> None:
    attack = TextAttackAttack(build(parts, wrapper(hashing_classifier)))
    texts = [text for i, text in enumerate(SENTENCES) if i != 3]
    labels = hashing_classifier(texts).argmax(axis=1).tolist()
    together = here(attack, texts, labels)
    assert here(attack, texts[::-1], labels[::-1], in_flight=1) == together[::-1]
    assert here(attack, texts, labels, in_flight=3) == together


def test_settings_name_version_and_parts(textattack: Any) -> None:
    settings = TextAttackAttack("DeepWordBugGao2018", options={"use_all_transformations": False})
    known = dict(settings.settings)
    assert known["name"] == "textattack:DeepWordBugGao2018"
    assert "textattack 0.3" in known["version"]
    assert known["options"] == {"use_all_transformations": False}
    assert "WordSwapRandomCharacterSubstitution" in known["parts"]
    assert "max_edit_distance" in known["parts"]
    assert " at 0x" not in known["parts"]
    assert json.loads(json.dumps(known)) == known


def test_unsupported_attacks_are_refused(textattack: Any) -> None:
    from textattack.goal_functions import TargetedClassification

    with pytest.raises(ArgumentError, match=r"recipe must be one of .*'PWWSRen2019'"):
        TextAttackAttack("PWWSRen2018")
    with pytest.raises(ArgumentError, match="name of a TextAttack recipe"):
        TextAttackAttack(3)
    with pytest.raises(DataError, match="InputReduction"):
        TextAttackAttack("InputReductionFeng2018")
    with pytest.raises(DataError, match="victim"):
        TextAttackAttack("HotFlipEbrahimi2017")
    attack = build(pwws, wrapper(hashing_classifier))
    with pytest.raises(ArgumentError, match="options are for recipes"):
        TextAttackAttack(attack, options={"a": 1})
    attack.search_method.wir_method = "gradient"
    attack.is_black_box = False
    with pytest.raises(DataError, match="gradients"):
        TextAttackAttack(attack)
    attack = build(pwws, wrapper(hashing_classifier))
    attack.goal_function = TargetedClassification(wrapper(hashing_classifier), target_class=1)
    with pytest.raises(DataError, match="goal="):
        TextAttackAttack(attack)


def test_missing_resource_is_an_error_at_construction(
    textattack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textattack.transformations import WordSwapWordNet

    def look_up(self: Any, word: str, random: bool = False) -> Any:
        raise LookupError("no such corpus")

    monkeypatch.setattr(WordSwapWordNet, "_get_replacement_words", look_up)
    with pytest.raises(MissingResourceError, match=r"no such corpus.*rosearch resources"):
        TextAttackAttack("PWWSRen2019")


class Least(Goal):
    """Class 0, whatever the true class is."""

    name = "class-0"

    def judge(self, probabilities: np.ndarray, label: int) -> Any:
        from rosearch.attack import Answer

        return Answer(probabilities[:, 0], probabilities.argmax(axis=1) == 0, probabilities)


def test_goal_of_the_evaluator_decides(textattack: Any) -> None:
    texts = [text for text in SENTENCES if hashing_classifier([text], 3)[0].argmax() != 0]
    labels = hashing_classifier(texts, 3).argmax(axis=1).tolist()
    data = TextDataset(texts, labels, classes=("a", "b", "c"))
    attack = TextAttackAttack("PWWSRen2019")
    evaluator = RobustnessEvaluator(attack, data, examples=None, goal=Least(), progress=False)
    report = evaluator.evaluate(lambda given: hashing_classifier(given, 3))
    succeeded = [r for r in report.examples if r.status == "succeeded"]
    assert succeeded
    assert all(r.perturbed_predicted == 0 for r in succeeded)


def test_truncated_words_are_kept_when_others_move(textattack: Any) -> None:
    from rosearch.attack import FunctionVictim

    class ShortSighted(FunctionVictim):
        def visible(self, attacked: Any, words: Words) -> range:
            return range(3)

    attack = TextAttackAttack(build(deletions, wrapper(hashing_classifier)))
    victim = ShortSighted(hashing_classifier)
    settings = {"skip_truncated": True, "victim": victim}
    for _, text, _ in here(attack, SENTENCES, labelled(SENTENCES), **settings):
        assert Words.of(text).words[-2:] in [Words.of(s).words[-2:] for s in SENTENCES[:-1]] or (
            text in ("Spiderman rocks", "Spiderman", "rocks")
        )


def greenlets() -> int:
    from greenlet import greenlet

    gc.collect()
    found = [o for o in gc.get_objects() if issubclass(type(o), greenlet)]
    return sum(bool(o) and not o.dead for o in found)


def interrupted(stop: type) -> Callable[[list[str]], np.ndarray]:
    """A victim that answers once and then raises."""
    calls: list[int] = []

    def victim(texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        if len(calls) > 1:
            raise stop
        return hashing_classifier(texts)

    return victim


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, ValueError])
def test_interrupted_searches_end(textattack: Any, stop: type) -> None:
    attack = TextAttackAttack("PWWSRen2019")
    here(attack, SENTENCES, labelled(SENTENCES))  # starts the threads that PyTorch keeps
    before, threads = greenlets(), set(threading.enumerate())
    with pytest.raises(EvaluationError if stop is ValueError else stop):
        here(attack, SENTENCES, labelled(SENTENCES), victim=interrupted(stop))
    assert greenlets() == before
    assert set(threading.enumerate()) <= threads


def test_search_that_catches_its_exit_ends(textattack: Any) -> None:
    from textattack.search_methods import GreedySearch

    tries = []

    class Stubborn(GreedySearch):
        def perform_search(self, initial_result: Any) -> Any:
            text = initial_result.attacked_text
            for i in range(5):
                try:
                    self.get_goal_results([text.replace_word_at_index(0, f"x{i}")])
                except BaseException:  # noqa: BLE001, PERF203
                    tries.append(1)
            return initial_result

    attack = TextAttackAttack(build(lambda: (*pwws()[:2], Stubborn()), wrapper(len)))
    before, state = greenlets(), random.getstate()
    tries.clear()
    with pytest.raises(KeyboardInterrupt):
        here(attack, SENTENCES, labelled(SENTENCES), victim=interrupted(KeyboardInterrupt))
    assert tries
    assert greenlets() == before
    assert random.getstate() == state


def test_global_generators_are_not_drawn_from(textattack: Any) -> None:
    attack = TextAttackAttack(build(genetic, wrapper(hashing_classifier)))
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    expected = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    TextAttackAttack("DeepWordBugGao2018")
    here(attack, SENTENCES, labelled(SENTENCES))
    drawn = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002
    assert drawn == expected


def test_other_seeds_give_other_draws(textattack: Any) -> None:
    attack = TextAttackAttack(build(typos, wrapper(hashing_classifier)))
    labels = labelled(SENTENCES)
    assert here(attack, SENTENCES, labels, seed=1) != here(attack, SENTENCES, labels, seed=2)


def test_pickled_attack_has_the_same_outcomes(textattack: Any) -> None:
    attack = TextAttackAttack(build(genetic, wrapper(hashing_classifier)), name="mine")
    twin = pickle.loads(pickle.dumps(attack))
    again = pickle.loads(pickle.dumps(twin))
    assert again.settings == twin.settings == attack.settings
    labels = labelled(SENTENCES)
    assert here(twin, SENTENCES, labels) == here(attack, SENTENCES, labels)
    assert here(again, SENTENCES, labels) == here(attack, SENTENCES, labels)
