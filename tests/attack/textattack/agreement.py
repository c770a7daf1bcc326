"""Comparison of rosearch's attacks with TextAttack's, which is imported inside functions only."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rosearch.attack import Attack, RobustnessEvaluator, Substitution, Union, Words
from rosearch.attack.base import SearchContext
from rosearch.attack.word_swaps.candidates import WordSwaps
from rosearch.data import TextDataset

Outcome = tuple[str, str, int]
"""Verdict, final text and logical queries of one example."""

REVIEWS = """\
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
_FRAMES = (
    "{a} but {b} {n}, with a {c} {m} and no {o}.",
    "The {n}'s {m} is so {a} that its {o} {v}s {b}!",
    "a {a}, {b} {n} -- it's {c} enough to {v} any {m}",
    'What "{a}" {m}s {v} in this {n}: {b} {o}, {c} too ...',
    "{v} the {a}-{b} {n} for its {m} (and {o}); it's {c}.",
    "It {v}s, it's {a}",
    "If you {v} a {n} of {a} {m} and {b} {o}, this {c} one won't let you down, not in 2002.",
)
_PARTS = {
    "a": "dull clever sober ripe huge bleak keen honest moving tepid grim gentle sharp hollow",
    "b": "fresh rare talky slick tender funny loud weary brave sour vivid plain odd lively",
    "c": "fine smart weak neat tired warm bold flat rich stale quick shallow deep cold",
    "n": "film comedy drama story movie tale sequel romance thriller documentary",
    "m": "scene joke actor song plot script ending picture camera voice",
    "o": "charm heart wit pace tension beauty silence noise grief laughter",
    "v": "carry break move touch follow catch leave watch make need",
}


def sentences(count: int = 200) -> list[str]:
    """The reviews, and sentences composed of everyday words."""
    rng = np.random.default_rng(0)
    texts = dict.fromkeys(REVIEWS)
    while len(texts) < count:
        words = {part: str(rng.choice(choice.split())) for part, choice in _PARTS.items()}
        texts[str(rng.choice(_FRAMES)).format(**words)] = None
    return list(texts)[:count]


class BagOfWords:
    """A deterministic classifier: each word votes by a hash of its letters, earlier ones more."""

    def __init__(self, classes: int = 2) -> None:
        self.classes = classes
        self._votes = lru_cache(None)(self._vote)

    def _vote(self, word: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(word.encode())).normal(size=self.classes)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        logits = np.zeros((len(texts), self.classes))
        for row, text in zip(logits, texts, strict=True):
            for position, word in enumerate(Words.of(text).words):
                row += self._votes(word.lower()) / (1 + 0.1 * position)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
        return shares.astype(np.float32)


class Remembered:
    """A victim whose probabilities do not depend on the batch."""

    def __init__(self, victim: Callable[[Sequence[str]], np.ndarray]) -> None:
        self._row = lru_cache(None)(lambda text: np.asarray(victim([text]))[0])

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._row(text) for text in texts])


def some_wrong(labels: Sequence[int], classes: int = 2) -> list[int]:
    """The labels with every thirteenth changed."""
    return [(y + (k % 13 == 5)) % classes for k, y in enumerate(labels)]


def wrapper(textattack: Any, victim: Callable[[Sequence[str]], np.ndarray]) -> Any:
    """A function from texts to probabilities as TextAttack's model wrapper."""
    import torch

    class Wrapper(textattack.models.wrappers.ModelWrapper):
        def __init__(self) -> None:
            self.model = victim

        def __call__(self, texts: list[str], **_: Any) -> Any:
            return torch.tensor(np.asarray(victim(texts)))

    return Wrapper()


def attacked_by_textattack(
    attack: Any,
    texts: Sequence[str],
    labels: Sequence[int],
    before: Callable[[str], object] = lambda text: None,
) -> list[Outcome]:
    """Outcomes of a ``textattack.Attack``; ``before`` is called with each text."""
    out = []
    for text, label in zip(texts, labels, strict=True):
        before(text)
        result = attack.attack(text, int(label))
        status = {
            "SkippedAttackResult": "skipped",
            "SuccessfulAttackResult": "succeeded",
            "FailedAttackResult": "failed",
        }[type(result).__name__]
        final = result.perturbed_result
        out.append((status, final.attacked_text.text, final.num_queries))
    return out


def attacked_here(
    attack: Attack, texts: Sequence[str], labels: Sequence[int], victim: Any, **settings: Any
) -> list[Outcome]:
    """Outcomes of one of rosearch's attacks."""
    classes = settings.pop("classes", max(labels) + 1)
    data = TextDataset(texts, labels, classes=[str(k) for k in range(classes)])
    settings = {
        "examples": range(len(texts)),
        "skip_truncated": False,
        "progress": False,
        **settings,
    }
    report = RobustnessEvaluator([attack], data, **settings).evaluate(victim)
    assert not [r.error for r in report.examples if r.error]
    return [
        (r.status, str(r.text if r.perturbed is None else r.perturbed), r.queries)
        for r in report.examples
    ]


def with_our_draws(textattack: Any, attack: Any, parts: Sequence[int] | None = None) -> Any:
    """A TextAttack transformation with rosearch's proposals and random numbers.

    Args:
        textattack: The package.
        attack: A :class:`~rosearch.attack.WordSwapAttack` with a union as substitution.
        parts: Positions of the parts of the union to use. Default: all.

    Returns:
        The transformation; call its method ``begin`` with each text before the attack.
    """
    substitution = attack.substitution
    chosen = range(len(substitution.parts)) if parts is None else parts
    starts = np.cumsum([0, *(part.draws for part in substitution.parts)]).tolist()

    class Ours(textattack.transformations.WordSwap):
        deterministic = False  # the numbers change with the text

        def begin(self, text: str) -> None:
            words = Words.of(text)
            context = SearchContext(0.0, tuple(range(len(words))), text, 0, attack.name)
            self.swaps = WordSwaps(substitution).start(words, context)

        def _get_transformations(self, current_text: Any, indices_to_modify: Any) -> list[Any]:
            texts = []
            for index in sorted(indices_to_modify):
                word, numbers = current_text.words[index], self.swaps.random_numbers(index)
                for place in chosen:
                    part: Substitution = substitution.parts[place]
                    given = numbers[starts[place] : starts[place + 1]]
                    texts += [
                        current_text.replace_word_at_index(index, new)
                        for new in part.propose(word, given)
                    ]
            return texts

    assert isinstance(substitution, Union)
    return Ours()


@contextlib.contextmanager
def sorting_stably(textattack: Any) -> Iterator[None]:
    """TextAttack's searches with a stable sort instead of NumPy's default."""
    from textattack.search_methods import beam_search, greedy_word_swap_wir

    class Stable(np.ndarray):
        def argsort(self, *_: Any, **__: Any) -> np.ndarray:
            return np.argsort(np.asarray(self), kind="stable")

    class Shim:
        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def array(self, *values: Any) -> np.ndarray:
            return np.array(*values).view(Stable)

    modules = (beam_search, greedy_word_swap_wir)
    for module in modules:
        module.np = Shim()
    try:
        yield
    finally:
        for module in modules:
            module.np = np


def check_agreement(
    textattack: Any,
    attack: Attack,
    build: Callable[[Any], Any],
    texts: Sequence[str],
    labels: Sequence[int],
    victim: Any,
    *,
    model_wrapper: Any = None,
    before: Callable[[str], object] = lambda text: None,
    allowed: float = 0.05,
) -> list[Outcome]:
    """Assert that both attacks agree on all texts but a few, where ties explain the difference.

    Args:
        textattack: The package.
        attack: Rosearch's attack.
        build: Makes TextAttack's attack from a model wrapper.
        texts: The texts to attack.
        labels: Their classes.
        victim: The victim of rosearch's attack.
        model_wrapper: The victim of TextAttack's. Default: ``victim``, a function, wrapped.
        before: Called with each text before TextAttack attacks it.
        allowed: Share of the texts on which they may disagree, by verdict and text, and by queries.
            How many have ties depends on the processor, which rounds batches of other sizes
            otherwise: none, or one in thirty.

    Returns:
        The outcomes of rosearch's attack.
    """
    found = compare(textattack, attack, build, texts, labels, victim, model_wrapper, before)
    odd = [pair for pair in found if pair[0] != pair[1]]
    print(f"{attack.name}: {len(odd)} of {len(texts)} outcomes differ, by ties")
    for parts in ((0, 1), (2,)):
        wrong = sum(any(ours[p] != theirs[p] for p in parts) for ours, theirs in odd)
        assert wrong <= allowed * len(texts), odd[:5]
    return [ours for ours, _ in found]


def compare(
    textattack: Any,
    attack: Attack,
    build: Callable[[Any], Any],
    texts: Sequence[str],
    labels: Sequence[int],
    victim: Any,
    model_wrapper: Any,
    before: Callable[[str], object],
) -> list[tuple[Outcome, Outcome]]:
    """Outcomes of both attacks; an AssertionError where they differ and no tie explains it.

    Where they differ, both are run again with probabilities that do not depend on the batch, and
    with a stable sort in TextAttack. If the outcomes are then equal, the cause was scores that are
    equal, or equal up to rounding.
    """
    theirs = build(model_wrapper or wrapper(textattack, victim))
    expected = attacked_by_textattack(theirs, texts, labels, before)
    found = list(zip(attacked_here(attack, texts, labels, victim), expected, strict=True))
    odd = [k for k, (a, b) in enumerate(found) if a != b]
    if odd:
        plain = probabilities(model_wrapper) if model_wrapper is not None else victim
        some = [texts[k] for k in odd], [labels[k] for k in odd]
        _check_ties(textattack, attack, build, *some, plain, before)
    return found


def _check_ties(
    textattack: Any,
    attack: Attack,
    build: Callable[[Any], Any],
    texts: Sequence[str],
    labels: Sequence[int],
    victim: Callable[[Sequence[str]], np.ndarray],
    before: Callable[[str], object],
) -> None:
    same = Remembered(victim)
    classes = same(texts[:1]).shape[1]
    with sorting_stably(textattack):
        expected = attacked_by_textattack(build(wrapper(textattack, same)), texts, labels, before)
    got = attacked_here(attack, texts, labels, same, classes=classes)
    assert got == expected, "no tie explains this disagreement"


def statuses(outcomes: Sequence[Outcome]) -> set[str]:
    """The verdicts that occur."""
    return {status for status, _, _ in outcomes}


def probabilities(model_wrapper: Any) -> Callable[[Sequence[str]], np.ndarray]:
    """TextAttack's wrapper of a Hugging Face model as a function to probabilities."""
    import torch

    def call(texts: Sequence[str]) -> np.ndarray:
        return torch.softmax(torch.as_tensor(model_wrapper(list(texts))), dim=1).cpu().numpy()

    return call
