# ruff: noqa: RUF001 - look-alikes of letters are the point of some cases
"""Same words, texts, verdicts and query counts as TextAttack 0.3.11, where it is installed."""

from __future__ import annotations

import importlib.util
import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import PWWS, DeepWordBug, RobustnessEvaluator, Words
from rosearch.attack.base import SearchContext
from rosearch.attack.constraints import STOP_WORDS
from rosearch.attack.resources import _read, find_wordnet
from rosearch.attack.swaps import WordSwaps
from rosearch.data import TextDataset
from rosearch.errors import MissingResourceError

if importlib.util.find_spec("textattack") is None:
    pytest.skip("textattack is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def textattack(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """TextAttack with the NLTK data it reads, made here so that nothing is downloaded."""
    try:
        source = find_wordnet()
    except MissingResourceError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("nltk")
    corpora = folder / "corpora"
    (corpora / "stopwords").mkdir(parents=True)
    (corpora / "stopwords" / "english").write_text("\n".join(sorted(STOP_WORDS)) + "\n")
    (corpora / "wordnet").mkdir()
    for kind in ("index", "data"):
        for part in ("noun", "verb", "adj", "adv"):
            name = f"{kind}.{part}"
            (corpora / "wordnet" / name).write_bytes(_read(source, name))
    others = ("lexnames", "index.sense", "cntlist.rev", "README", "LICENSE", "citation.bib")
    for name in (*others, "noun.exc", "verb.exc", "adj.exc", "adv.exc"):
        if (source / name).is_file():
            (corpora / "wordnet" / name).write_bytes(_read(source, name))
    (corpora / "omw-1.4" / "eng").mkdir(parents=True)
    for name in ("LICENSE", "README", "citation.bib"):
        (corpora / "omw-1.4" / name).write_text("")
    import nltk

    nltk.data.path.insert(0, str(folder))
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(nltk, "download", lambda *_, **__: True)
        import textattack

        textattack.shared.logger.setLevel("ERROR")
        yield textattack
    nltk.data.path.remove(str(folder))


class BagOfWords:
    """A deterministic classifier: a logit of each word by a hash of its letters."""

    def __init__(self, classes: int = 2) -> None:
        self.classes = classes

    def __call__(self, texts: list[str]) -> np.ndarray:
        return np.stack([self.row(text) for text in texts])

    def row(self, text: str) -> np.ndarray:
        import zlib

        total = np.zeros(self.classes, dtype=np.float64)
        words = Words.of(text).words
        for position, word in enumerate(words):
            seed = zlib.crc32(word.lower().encode())
            total += np.random.default_rng(seed).normal(size=self.classes) / (1 + 0.1 * position)
        logits = torch.tensor(total[None], dtype=torch.float32)
        return torch.softmax(logits, dim=1)[0].numpy()


SENTENCES = """\
The Rock is destined to be the 21st Century's new ''Conan'', and he's going to make a splash.
a gorgeously elaborate continuation of the trilogy -- so huge that words can't describe it
Effective but too-tepid biopic, with a well-made opening and a dull, dull end!
If you sometimes like to go to the movies to have fun, Wasabi is a good place to start.
Emerges as something rare: an issue movie that's so honest and keenly observed.
It's so laddish and juvenile, only teenage boys could possibly find it funny ...
[A] sober and affecting chronicle of the leveling effect of loss.
What really surprises about Wisegirls is its low-key quality and genuine tenderness.
(Wendigo is) why we go to the cinema: to be fed through the eye, the heart, the mind.
one of the greatest family-oriented, fantasy-adventure movies ever
Ultimately, it ponders the reasons we need stories so much; and it's rather moving.
An utterly compelling 'who wrote it' in which the reputation of a great author is at stake
Illuminating if overly talky documentary.
A masterpiece four years in the making?
The movie's ripe, enrapturing beauty will tempt those willing to probe its mysteries ;)
Offers a breath of the fresh air of true sophistication, e.g. in the U.S. scenes of 1999.
A thoughtful, provocative, insistently humanizing film; better men are hard to find.
With a cast that includes some of the top actors working in independent film, Lovely & Amazing
involves us because it is so incisive, so bleakly amusing about how we go about our lives.
A disturbing and frighteningly evocative assembly of imagery and hypnotic music by Philip Glass.
Not for everyone, but for those with whom it will connect, it's a nice departure.
scores a few points for doing what it does with a dedicated and good-hearted professionalism
Occasionally melodramatic, it's also extremely effective @ times -- *truly* so.
Spiderman rocks
""".splitlines()


@pytest.mark.parametrize(
    "text",
    [
        *SENTENCES,
        "",
        ">>>>",
        "it's 'quoted' -- and -dashed- *starred* x@y.com _under_ a'",
        "naïve café ∆ ×times˗ `tick` ñandú 🙂 ok",
        "tabs\tand\nlines\u00a0here\x1fthere",
        "Ƽ ᏎƷ ᒿ 𝟕 б ৭ Ȣ ᴢ",
    ],
)
def test_words_are_segmented_alike(textattack: Any, text: str) -> None:
    from textattack.shared.utils import words_from_text

    assert list(Words.of(text).words) == words_from_text(text)


def test_arbitrary_text_is_segmented_alike(textattack: Any) -> None:
    from hypothesis import given
    from hypothesis import strategies as st
    from textattack.shared.utils import words_from_text

    alphabet = st.one_of(
        st.characters(codec="utf-8").filter(lambda c: not "\u4e00" <= c <= "\u9fff"),
        st.sampled_from("ab'-_*@ .,˗`×"),
    )

    @given(st.text(alphabet))
    def check(text: str) -> None:
        assert list(Words.of(text).words) == words_from_text(text)

    check()


def attacked_by_textattack(
    textattack: Any, recipe: Any, texts: list[str], labels: list[int]
) -> list[tuple[str, str, int]]:
    out = []
    for text, label in zip(texts, labels, strict=True):
        result = recipe.attack(text, int(label))
        status = {
            "SkippedAttackResult": "skipped",
            "SuccessfulAttackResult": "succeeded",
            "FailedAttackResult": "failed",
        }[type(result).__name__]
        final = result.perturbed_result
        out.append((status, final.attacked_text.text, final.num_queries))
    return out


def attacked_here(attack: Any, texts: list[str], labels: list[int], **kw: Any) -> Any:
    data = TextDataset(texts, labels, classes=[str(k) for k in range(max(labels) + 1)])
    kw = {"examples": range(len(texts)), "skip_truncated": False, "progress": False, **kw}
    victim = kw.pop("victim")
    report = RobustnessEvaluator([attack], data, **kw).evaluate(victim)
    return [
        (r.status, r.perturbed if r.perturbed is not None else r.text, r.queries)
        for r in report.examples
    ]


def wrapper(textattack: Any, victim: Any) -> Any:
    class Wrapper(textattack.models.wrappers.ModelWrapper):
        def __init__(self) -> None:
            self.model = victim

        def __call__(self, texts: list[str], **_: Any) -> Any:
            return torch.tensor(victim(texts))

    return Wrapper()


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("budget", [None, 1, 2, 7, 40, 90])
def test_pwws(textattack: Any, classes: int, budget: int | None) -> None:
    from textattack.attack_recipes import PWWSRen2019

    victim = BagOfWords(classes)
    labels = victim(SENTENCES).argmax(axis=1).tolist()
    labels[3] = (labels[3] + 1) % classes  # one that is wrong before the attack
    theirs = PWWSRen2019.build(wrapper(textattack, victim))
    if budget is not None:
        theirs.goal_function.query_budget = budget
    expected = attacked_by_textattack(textattack, theirs, SENTENCES, labels)
    got = attacked_here(PWWS(), SENTENCES, labels, victim=victim, query_budget=budget)
    assert got == expected
    if budget is None:
        assert {status for status, _, _ in got} >= {"skipped", "succeeded"}


@pytest.mark.parametrize("limit", [3, 30])
@pytest.mark.parametrize("budget", [None, 1, 10, 25])
def test_deepwordbug(textattack: Any, budget: int | None, limit: int) -> None:
    """With our random edits plugged in as a transformation, everything else agrees."""
    from textattack import Attack
    from textattack.constraints.overlap import LevenshteinEditDistance
    from textattack.constraints.pre_transformation import (
        RepeatModification,
        StopwordModification,
    )
    from textattack.goal_functions import UntargetedClassification
    from textattack.search_methods import GreedyWordSwapWIR
    from textattack.transformations import WordSwap

    attack = DeepWordBug(max_edit_distance=limit)

    class Ours(WordSwap):
        original: str = ""

        def _get_transformations(self, current_text: Any, indices_to_modify: Any) -> list[Any]:
            words = Words.of(self.original)
            context = SearchContext(0.0, tuple(range(len(words))), self.original, 0, "deepwordbug")
            swaps = WordSwaps(attack.substitution).start(words, context)
            return [
                current_text.replace_word_at_index(i, new)
                for i in indices_to_modify
                for new in attack.substitution.propose(current_text.words[i], swaps.numbers[i])
            ]

    victim = BagOfWords()
    labels = victim(SENTENCES).argmax(axis=1).tolist()
    transformation = Ours()
    theirs = Attack(
        UntargetedClassification(wrapper(textattack, victim)),
        [RepeatModification(), StopwordModification(), LevenshteinEditDistance(limit)],
        transformation,
        GreedyWordSwapWIR(),
    )
    if budget is not None:
        theirs.goal_function.query_budget = budget
    expected = []
    for text, label in zip(SENTENCES, labels, strict=True):
        transformation.original = text
        expected += attacked_by_textattack(textattack, theirs, [text], [label])
    got = attacked_here(attack, SENTENCES, labels, victim=victim, query_budget=budget)
    assert got == expected


def test_character_edits_have_the_same_range(textattack: Any) -> None:
    """Every edit TextAttack can draw can be drawn here, and none besides."""
    import textattack.transformations as t

    theirs = [
        t.WordSwapNeighboringCharacterSwap(),
        t.WordSwapRandomCharacterSubstitution(),
        t.WordSwapRandomCharacterDeletion(),
        t.WordSwapRandomCharacterInsertion(),
    ]
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - TextAttack draws from it
    edits = DeepWordBug().substitution
    rng = np.random.default_rng(0)
    for word in ("a", "ab", "cat", "aa"):
        drawn = {
            w for _ in range(6000) for part in theirs for w in part._get_replacement_words(word)
        }
        ours = {w for _ in range(6000) for w in edits.propose(word, rng.random(6))}
        assert ours == drawn - {word}


def test_a_hugging_face_victim(
    textattack: Any, trained_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    from textattack.attack_recipes import PWWSRen2019

    texts = [str(text) for text in dataset.texts[:40]]
    labels = [int(label) for label in dataset.labels[:40]]
    theirs = textattack.models.wrappers.HuggingFaceModelWrapper(trained_bert, tokenizer)
    expected = attacked_by_textattack(textattack, PWWSRen2019.build(theirs), texts, labels)
    trained_bert.tokenizer = tokenizer
    got = attacked_here(PWWS(), texts, labels, victim=trained_bert)
    assert got == expected
    assert sum(status == "succeeded" for status, _, _ in got) > 5
