"""TextAttack's attacks run here as they run alone, and our classifiers serve TextAttack."""

from __future__ import annotations

import gc
import importlib.util
import json
import pickle
import random
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
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
from rosearch.errors import DataError, EvaluationError, MissingResourceError
from rosearch.seeding import generator

ROOT = Path(__file__).parents[2]
# TextAttack's own, each time it is given a model that it does not know.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")

for package in ("textattack", "greenlet"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)

SENTENCES = """\
A gorgeously elaborate story, so huge that words cannot describe it.
Effective but too-tepid biopic, with a well-made opening and a dull, dull end!
If you sometimes like to go to the movies to have fun, it's a good place to start.
Emerges as something rare: an issue movie that's so honest and keenly observed.
It's so laddish and juvenile, only teenage boys could possibly find it funny ...
A thoughtful, provocative, insistently humanizing film; better men are hard to find.
Spiderman rocks
""".splitlines()


Parts = Callable[[], tuple[list[Any], Any, Any]]


def _pwws() -> Any:
    from textattack.constraints.pre_transformation import RepeatModification, StopwordModification
    from textattack.search_methods import GreedyWordSwapWIR
    from textattack.transformations import WordSwapWordNet

    constraints = [RepeatModification(), StopwordModification()]
    return constraints, WordSwapWordNet(), GreedyWordSwapWIR("weighted-saliency")


def _typos() -> Any:
    from textattack.constraints.overlap import LevenshteinEditDistance
    from textattack.search_methods import GreedyWordSwapWIR
    from textattack.transformations import (
        CompositeTransformation,
        WordSwapNeighboringCharacterSwap,
        WordSwapQWERTY,
        WordSwapRandomCharacterInsertion,
    )

    typos = [
        WordSwapNeighboringCharacterSwap(),
        WordSwapRandomCharacterInsertion(),
        WordSwapQWERTY(),
    ]
    search = GreedyWordSwapWIR()
    return [LevenshteinEditDistance(30)], CompositeTransformation(typos), search


def _genetic() -> Any:
    from textattack.constraints.overlap import MaxWordsPerturbed
    from textattack.search_methods import AlzantotGeneticAlgorithm

    constraints, transformation, _ = _pwws()
    constraints += [MaxWordsPerturbed(max_percent=0.4)]
    return constraints, transformation, AlzantotGeneticAlgorithm(pop_size=6, max_iters=4)


def _swarm() -> Any:
    from textattack.search_methods import ParticleSwarmOptimization

    constraints, transformation, _ = _pwws()
    return constraints, transformation, ParticleSwarmOptimization(pop_size=4, max_iters=3)


def _deletions() -> Any:
    from textattack.search_methods import GreedySearch
    from textattack.transformations import WordDeletion

    return [], WordDeletion(), GreedySearch()


def _insertions() -> Any:
    from textattack.constraints.pre_transformation import RepeatModification
    from textattack.search_methods import BeamSearch
    from textattack.transformations import WordInsertionRandomSynonym

    return [RepeatModification()], WordInsertionRandomSynonym(), BeamSearch(2)


ATTACKS = [_pwws, _typos, _genetic, _swarm, _deletions, _insertions]


def build(parts: Parts, victim: Any, *, budget: int | None = None, columns: bool = False) -> Any:
    from textattack import Attack
    from textattack.constraints.pre_transformation import InputColumnModification
    from textattack.goal_functions import UntargetedClassification

    constraints, transformation, search = parts()
    if columns:
        constraints += [InputColumnModification(["premise", "hypothesis"], {"premise"})]
    attack = Attack(UntargetedClassification(victim), constraints, transformation, search)
    if budget is not None:
        attack.goal_function.query_budget = budget
    return attack


def alone(attack: Any, texts: list[Any], labels: list[int], name: str) -> list[Any]:
    """What TextAttack makes of it by itself, its random draws seeded as the engine's."""
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
def test_as_it_runs_alone(textattack: Any, parts: Parts, budget: int | None) -> None:
    labels = labelled(SENTENCES)
    attack = build(parts, wrapper(hashing_classifier), budget=budget)
    expected = alone(attack, SENTENCES, labels, "theirs")
    ours = TextAttackAttack(build(parts, wrapper(hashing_classifier)), name="theirs")
    got = here(ours, SENTENCES, labels, query_budget=budget)
    assert got == expected
    if budget is None:
        assert {status for status, _, _ in got} >= {"skipped", "succeeded"}


def test_the_attack_s_own_budget_holds_too(textattack: Any) -> None:
    labels = labelled(SENTENCES)
    attack = build(_pwws, wrapper(hashing_classifier), budget=20)
    ours = TextAttackAttack(attack)
    expected = alone(attack, SENTENCES, labels, ours.name)
    assert here(ours, SENTENCES, labels) == expected
    assert here(ours, SENTENCES, labels, query_budget=100) == expected


def test_the_second_of_a_pair(textattack: Any) -> None:
    pairs = [("People spoke of this film.", text) for text in SENTENCES]
    labels = labelled(pairs)
    columns = [OrderedDict(zip(("premise", "hypothesis"), pair, strict=True)) for pair in pairs]
    attack = build(_pwws, wrapper(hashing_classifier), columns=True)
    expected = alone(attack, columns, labels, "theirs")
    assert here(TextAttackAttack(attack, name="theirs"), pairs, labels) == expected


def test_the_first_of_a_pair(textattack: Any) -> None:
    pairs = [(text, "People spoke of this film.") for text in SENTENCES]
    labels = labelled(pairs)
    results = here(TextAttackAttack("PWWSRen2019"), pairs, labels, attacked_side=0)
    assert {text[1] for _, text, _ in results} == {"People spoke of this film."}
    assert any(text != pair for (_, text, _), pair in zip(results, pairs, strict=True))


def test_a_hugging_face_victim(
    textattack: Any, trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    texts = [str(text) for text in dataset.texts[:20]]
    labels = [int(label) for label in dataset.labels[:20]]
    theirs = textattack.models.wrappers.HuggingFaceModelWrapper(trained_bert, tokenizer)
    expected = alone(build(_pwws, theirs), texts, labels, "theirs")
    ours = alone(build(_pwws, wrapper(trained_bert, tokenizer)), texts, labels, "theirs")
    assert ours == expected
    trained_bert.tokenizer = tokenizer
    attack = TextAttackAttack("PWWSRen2019")
    assert here(attack, texts, labels, victim=trained_bert) == expected


class TestRecipe(AttackConformance):
    @pytest.fixture
    def attack(self, textattack: Any) -> TextAttackAttack:
        return TextAttackAttack("PWWSRen2019")


class TestRandomAttack(AttackConformance):
    """Random draws depend on the text alone, whatever the order and the company."""

    @pytest.fixture
    def attack(self, textattack: Any) -> TextAttackAttack:
        return TextAttackAttack(build(_typos, wrapper(hashing_classifier)))


@pytest.mark.parametrize("parts", [_genetic, _swarm])
def test_order_and_company_change_nothing(textattack: Any, parts: Parts) -> None:
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


def test_what_cannot_run_is_refused(textattack: Any) -> None:
    from textattack.goal_functions import TargetedClassification

    with pytest.raises(DataError, match="Did you mean 'PWWSRen2019'"):
        TextAttackAttack("PWWSRen2018")
    with pytest.raises(DataError, match="name of a TextAttack recipe"):
        TextAttackAttack(3)
    with pytest.raises(DataError, match="InputReduction"):
        TextAttackAttack("InputReductionFeng2018")
    with pytest.raises(DataError, match="victim"):
        TextAttackAttack("HotFlipEbrahimi2017")
    attack = build(_pwws, wrapper(hashing_classifier))
    with pytest.raises(DataError, match="options="):
        TextAttackAttack(attack, options={"a": 1})
    attack.search_method.wir_method = "gradient"
    attack.is_black_box = False
    with pytest.raises(DataError, match="gradients"):
        TextAttackAttack(attack)
    attack = build(_pwws, wrapper(hashing_classifier))
    attack.goal_function = TargetedClassification(wrapper(hashing_classifier), target_class=1)
    with pytest.raises(DataError, match="goal="):
        TextAttackAttack(attack)


def test_a_missing_resource_is_found_at_construction(
    textattack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textattack.transformations import WordSwapWordNet

    def look_up(self: Any, word: str, random: bool = False) -> Any:
        raise LookupError("no such corpus")

    monkeypatch.setattr(WordSwapWordNet, "_get_replacement_words", look_up)
    with pytest.raises(MissingResourceError, match=r"no such corpus.*rosearch\.attack\.resources"):
        TextAttackAttack("PWWSRen2019")


class Least(Goal):
    """The class 0, whatever the true one is."""

    name = "class-0"

    def judge(self, probabilities: np.ndarray, label: int) -> Any:
        from rosearch.attack import Answer

        return Answer(probabilities[:, 0], probabilities.argmax(axis=1) == 0, probabilities)


def test_the_evaluator_s_goal_counts(textattack: Any) -> None:
    texts = [text for text in SENTENCES if hashing_classifier([text], 3)[0].argmax() != 0]
    labels = hashing_classifier(texts, 3).argmax(axis=1).tolist()
    data = TextDataset(texts, labels, classes=("a", "b", "c"))
    attack = TextAttackAttack("PWWSRen2019")
    evaluator = RobustnessEvaluator(attack, data, examples=None, goal=Least(), progress=False)
    report = evaluator.evaluate(lambda given: hashing_classifier(given, 3))
    succeeded = [r for r in report.examples if r.status == "succeeded"]
    assert succeeded
    assert all(r.perturbed_predicted == 0 for r in succeeded)


def test_words_out_of_sight_stay_when_others_move(textattack: Any) -> None:
    from rosearch.attack.victim import FunctionVictim

    class ShortSighted(FunctionVictim):
        def visible_words(self, attacked: Any, words: Words) -> int:
            return 3

    attack = TextAttackAttack(build(_deletions, wrapper(hashing_classifier)))
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
def test_searches_that_are_left_in_the_middle_end(textattack: Any, stop: type) -> None:
    attack = TextAttackAttack("PWWSRen2019")
    here(attack, SENTENCES, labelled(SENTENCES))  # starts the threads that PyTorch keeps
    before, threads = greenlets(), set(threading.enumerate())
    with pytest.raises(EvaluationError if stop is ValueError else stop):
        here(attack, SENTENCES, labelled(SENTENCES), victim=interrupted(stop))
    assert greenlets() == before
    assert set(threading.enumerate()) <= threads


def test_a_search_that_swallows_its_end_ends(textattack: Any) -> None:
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

    attack = TextAttackAttack(build(lambda: (*_pwws()[:2], Stubborn()), wrapper(len)))
    before, state = greenlets(), random.getstate()
    tries.clear()
    with pytest.raises(KeyboardInterrupt):
        here(attack, SENTENCES, labelled(SENTENCES), victim=interrupted(KeyboardInterrupt))
    assert tries
    assert greenlets() == before
    assert random.getstate() == state


def test_users_generators_are_not_drawn_from(textattack: Any) -> None:
    attack = TextAttackAttack(build(_genetic, wrapper(hashing_classifier)))
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


def test_another_seed_gives_other_draws(textattack: Any) -> None:
    attack = TextAttackAttack(build(_typos, wrapper(hashing_classifier)))
    labels = labelled(SENTENCES)
    assert here(attack, SENTENCES, labels, seed=1) != here(attack, SENTENCES, labels, seed=2)


def test_an_attack_object_travels(textattack: Any) -> None:
    attack = TextAttackAttack(build(_genetic, wrapper(hashing_classifier)), name="mine")
    twin = pickle.loads(pickle.dumps(attack))
    again = pickle.loads(pickle.dumps(twin))
    assert again.settings == twin.settings == attack.settings
    labels = labelled(SENTENCES)
    assert here(twin, SENTENCES, labels) == here(attack, SENTENCES, labels)
    assert here(again, SENTENCES, labels) == here(attack, SENTENCES, labels)


@pytest.mark.parametrize("classes", [2, 5, 300])
def test_probabilities_are_not_taken_for_logits(textattack: Any, classes: int) -> None:
    """TextAttack softmaxes a second time where a row's sum is off by more than 1e-6."""
    from textattack.goal_functions import UntargetedClassification
    from textattack.shared import AttackedText

    def rough(texts: list[str]) -> np.ndarray:
        shares = hashing_classifier(texts, classes)
        return (shares * np.linspace(1 - 3e-5, 1 + 3e-5, len(texts))[:, None]).astype(np.float32)

    texts = [*SENTENCES, *(f"{text} And so on." for text in SENTENCES)]
    goal = UntargetedClassification(wrapper(rough))
    goal.init_attack_example(AttackedText(texts[0]), 0)
    results, _ = goal.get_results([AttackedText(text) for text in texts])
    given = np.stack([np.asarray(result.raw_output) for result in results])
    np.testing.assert_allclose(given, hashing_classifier(texts, classes), rtol=1e-4)


def test_the_wrapper_takes_pairs_and_names_nan(textattack: Any) -> None:
    pairs = [("a", "fine film"), ("a", "dull film")]
    given = wrapper(hashing_classifier)(pairs)
    np.testing.assert_allclose(given.numpy(), hashing_classifier(pairs), rtol=1e-6)
    assert given.dtype is torch.float32
    with pytest.raises(EvaluationError, match="NaN for 'a'"):
        wrapper(lambda texts: np.full((len(texts), 2), np.nan))(["a"])


UNDISTURBED = """
import json, logging, logging.handlers, os, random, sys, warnings
import numpy as np, torch
stream = open(sys.argv[1], "w")
handler = logging.StreamHandler(stream)
memory = logging.handlers.MemoryHandler(100, target=handler)
logging.getLogger().setLevel("ERROR")
logging.getLogger().addHandler(memory)
logging.getLogger("mine").setLevel("DEBUG")
logging.getLogger("mine").addHandler(handler)
logging.getLogger("textattack.shared.utils.install").setLevel("CRITICAL")
warnings.filterwarnings("error", message="mine")
os.environ["MINE"] = "1"
import rosearch, rosearch.attack.textattack as interop
import nltk, transformers
from rosearch.attack.testing import hashing_classifier

def state():
    logs = [logging.root, *map(logging.getLogger, ("mine", "textattack", "flair", "transformers",
        "textattack.shared.utils.install"))]
    return {
        "environ": sorted(os.environ.items()),
        "filters": [str(f) for f in warnings.filters],
        "loggers": [[l.level, len(l.handlers), l.propagate, l.disabled] for l in logs],
        "random": hash(random.getstate()),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
        "download": nltk.download.__module__ if hasattr(nltk.download, "__module__") else "method",
        "stanza": "stanza" in sys.modules,
        "levels": logging.root.manager.disable,
        "out": [sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    }

before = state()
assert "textattack" not in sys.modules
attack = interop.TextAttackAttack("PWWSRen2019")
assert "textattack" in sys.modules
data = rosearch.TextDataset(["A fine film.", "A dull film, and a long one."], [0, 1])
labels = hashing_classifier(list(data.texts)).argmax(axis=1).tolist()
data = rosearch.TextDataset(list(data.texts), labels, classes=("a", "b"))
report = rosearch.RobustnessEvaluator(attack, data, progress=False).evaluate(hashing_classifier)
assert report.attacked == 2, report
interop.wrapper(hashing_classifier)(["a"])
after = state()
assert after == before, [(k, before[k], after[k]) for k in before if before[k] != after[k]]
logging.getLogger("mine").warning("still here")
print("fine")
"""


@pytest.mark.slow
def test_importing_and_attacking_leaves_the_process_as_it_was(
    wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ROSEARCH_WORDNET", str(wordnet_folder))
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    log = tmp_path / "log"
    out = subprocess.run(
        [sys.executable, "-c", UNDISTURBED, str(log)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout == "fine\n"
    assert out.stderr == ""
    assert log.read_text() == 2 * "still here\n"  # through its own handler and the root's
    # TextAttack is not told that its own downloads were made.
    assert not list(home.glob(".cache/textattack/post_install_check_?"))


@pytest.mark.slow
def test_unpickling_in_a_new_process_imports_quietly(
    textattack: Any, wordnet_folder: Path, tmp_path: Path
) -> None:
    payload = tmp_path / "attack.pickle"
    attack = TextAttackAttack(build(_genetic, wrapper(hashing_classifier)), name="mine")
    payload.write_bytes(pickle.dumps(attack))
    code = (
        "import pickle, sys, rosearch.attack; from pathlib import Path; "
        "attack = pickle.loads(Path(sys.argv[1]).read_bytes()); "
        "assert 'textattack' not in sys.modules; attack._loaded(); print(attack.name)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(payload)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (out.stdout, out.stderr) == ("mine\n", "")
