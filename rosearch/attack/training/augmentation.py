"""What attacks lend to training: texts changed at random, and texts that break the student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rosearch.attack.base import Attack, SearchContext
from rosearch.attack.base import attacks as registry
from rosearch.attack.engine.engine import run_attack
from rosearch.attack.engine.search_run import Example
from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import check_number, check_whole, public_settings
from rosearch.attack.text import AttackedInput, Words, check_side
from rosearch.attack.training.sources import Source, answered, settings_of, swaps_of
from rosearch.attack.victim.model import ModelVictim
from rosearch.attack.victim.tokenization import IncrementalTokenizer
from rosearch.attack.word_swaps.candidates import TextSwaps
from rosearch.data import Text, TextDataset
from rosearch.errors import DataError
from rosearch.seeding import generator

_ANSWERS = ("changed", "original")
_AT_ONCE = 512


class SubstitutionAugmentation:
    """Training texts with some words replaced at random, by what attacks replace words by.

    For ``Distiller(augmentation=...)``. Which words and by what depends on ``seed``, the text, the
    copy and, where ``redraw`` is set, the epoch, and on nothing else: all candidates of a search
    share the texts and the teacher's outputs for them. A text without a word that may be changed
    has no changed copy.

    Args:
        sources: What replaces words; of several, each word draws one.
        share: Words replaced, as a share of a text's; at least one.
        copies: Changed texts an example and epoch.
        redraw: Draw others every epoch; the teacher then reads them all once.
        answers: What they are trained to: ``"changed"``, the teacher's outputs for the changed
            text, or ``"original"``, those for the text as it was.
        attacked_side: Which text of a pair is changed: 0 the first, 1 the second.
        seed: Root of all draws.

    Raises:
        RegistryError: There is no attack of a name.
        MissingResourceError: A source needs a resource that is not on this machine.
        DataError: A source is none, or a number is out of range.
    """

    def __init__(
        self,
        sources: Source | Sequence[Source],
        *,
        share: float = 0.2,
        copies: int = 1,
        redraw: bool = False,
        answers: str = "changed",
        attacked_side: int = 1,
        seed: int = 0,
    ) -> None:
        self._sources = swaps_of(sources)
        self.share = check_number("share", share, least=0.0, most=1.0)
        self.copies = check_whole("copies", copies)
        self.redraw = bool(redraw)
        self.answers = _check_answers(answers)
        self.attacked_side = check_side(attacked_side)
        self.seed = check_whole("seed", seed, least=None)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every argument, as JSON has it; substitutions and constraints in full."""
        sources = settings_of(self._sources)
        return {"name": "substitution", "sources": sources, **public_settings(self)}

    def texts(self, dataset: TextDataset, *, epoch: int) -> list[tuple[int, Text]]:
        """Changed texts, each with the number of the example it was made from.

        Args:
            dataset: The training texts.
            epoch: Other epochs, other texts.
        """
        inputs = [AttackedInput(text, self.attacked_side) for text in dataset.texts]
        segmented = [one.words for one in inputs]
        words = sorted({word for text in segmented for word in text.words})
        for swaps in self._sources:
            swaps.substitution.prepare(words)
        found: list[tuple[int, Text]] = []
        tasks = [(copy, i) for copy in range(self.copies) for i in range(len(inputs))]
        for start in range(0, len(tasks), _AT_ONCE):
            part = tasks[start : start + _AT_ONCE]
            steps = [self._change(inputs[i], segmented[i], epoch, copy) for copy, i in part]
            for (_, i), changed in zip(part, answered(steps), strict=True):
                if changed.text != segmented[i].text:
                    found.append((i, inputs[i].whole(changed.text)))
        return found

    def _change(self, whole: AttackedInput, words: Words, epoch: int, copy: int) -> Asking[Words]:
        text = whole.text
        key = text if isinstance(text, str) else "\0".join(text)
        rng = generator(self.seed, "augmentation", epoch, copy, key)
        context = SearchContext(
            score=0.0,
            indices=tuple(range(len(words))),
            text_key=key,
            seed=int(rng.integers(2**62)),
            attack="augmentation",
            whole=text,
            side=whole.side,
        )
        starts = [swaps.start(words, context) for swaps in self._sources]
        current, left = words, max(1, round(self.share * len(words)))
        grown: list[tuple[int, int]] = []
        for index in rng.permutation(len(words)).tolist():
            if not left:
                break
            # A replacement of several words has moved those behind it.
            place = index + sum(by for before, by in grown if before < index)
            changed = yield from _replaced(starts, current, place, rng)
            if changed is not None:
                grown.append((index, len(changed) - len(current)))
                current, left = changed, left - 1
        return current

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in public_settings(self).items())
        names = ", ".join(swaps.substitution.name for swaps in self._sources)
        return f"SubstitutionAugmentation({names}; {shown})"


class AdversarialTexts:
    """Texts that an attack on the student has found, after A2T.

    For ``Distiller(adversary=...)``. Yoo and Qi: "Towards Improving Adversarial Training of NLP
    Models", Findings of EMNLP 2021, arXiv 2109.00544, algorithm 1: at the beginning of an epoch
    the current student is attacked on a share of the training texts, and what breaks it is
    trained on beside all texts.

    Args:
        attack: The attack: its name, or an instance.
        share: Training texts that are attacked, as a share of all, drawn anew each time. Those
            that the student gets wrong count and are left as they are.
        first: Epoch that begins with the first attack. The student of the first epoch has learnt
            nothing that could be attacked.
        every: Epochs from one attack to the next; those between train on the same texts again.
        keep: Keep the texts of earlier attacks too.
        failed: Train on what failed attacks ended with, too.
        answers: What they are trained to: ``"original"``, the teacher's outputs for the text as it
            was, or ``"changed"``, those for the changed text, by which many a teacher is fooled
            as the student is.
        query_budget: Most queries of one text; fewer make a faster, weaker attack.
        attacked_side: Which text of a pair is attacked: 0 the first, 1 the second.

    Raises:
        RegistryError: There is no attack of that name.
        MissingResourceError: The attack needs a resource that is not on this machine.
        DataError: ``attack`` is none, or a number is out of range.
    """

    def __init__(
        self,
        attack: str | Attack = "a2t",
        *,
        share: float = 0.2,
        first: int = 2,
        every: int = 1,
        keep: bool = False,
        failed: bool = False,
        answers: str = "original",
        query_budget: int | None = None,
        attacked_side: int = 1,
    ) -> None:
        made = registry.get(attack)() if isinstance(attack, str) else attack
        if not isinstance(made, Attack):
            raise DataError(
                f"Expected the name of an attack or an Attack instance, got {attack!r:.80}."
            )
        self.attack = made
        self.share = check_number("share", share, least=0.0, most=1.0)
        self.first = check_whole("first", first)
        self.every = check_whole("every", every)
        self.keep = bool(keep)
        self.failed = bool(failed)
        self.answers = _check_answers(answers)
        self.query_budget = (
            None if query_budget is None else check_whole("query_budget", query_budget)
        )
        self.attacked_side = check_side(attacked_side)
        # Texts are cut into the same pieces for all students of a teacher. Whoever attacks takes
        # one away, so that no two threads ever share it.
        self._tokens: list[IncrementalTokenizer] = []

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every argument, as JSON has it; the attack's in full."""
        return {"name": "adversarial-texts", **public_settings(self)}

    def texts(self, student: Any, dataset: TextDataset, *, seed: int) -> list[tuple[int, Text]]:
        """Texts that break the student, each with the number of the example it was made from.

        Args:
            student: A Hugging Face sequence classifier with its tokenizer as an attribute.
            dataset: Labelled texts.
            seed: Which texts are attacked, and random substitutions.

        Raises:
            EvaluationError: The attack fails on every text.
        """
        count = max(1, round(self.share * len(dataset)))
        chosen = generator(seed, "attacked").permutation(len(dataset))[:count]
        examples = [
            Example(int(i), dataset.texts[i], int(dataset.labels[i])) for i in np.sort(chosen)
        ]
        self.attack.prepare([AttackedInput(e.text, self.attacked_side).words for e in examples])
        victim = ModelVictim(student, student.tokenizer, classes=len(dataset.classes))
        tokens = self._tokens.pop() if self._tokens else victim.tokens
        if (tokens.tokenizer, tokens.max_length) == (
            victim.tokens.tokenizer,
            victim.tokens.max_length,
        ):
            victim.tokens = tokens
        results = run_attack(
            self.attack,
            examples,
            victim,
            seed=seed,
            query_budget=self.query_budget,
            attacked_side=self.attacked_side,
        )
        self._tokens.append(victim.tokens)
        wanted = ("succeeded", "failed") if self.failed else ("succeeded",)
        return [
            (result.index, result.perturbed)
            for result in results
            if result.status in wanted
            and result.perturbed is not None
            and result.perturbed != result.text
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_tokens": []}

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in public_settings(self).items())
        return f"AdversarialTexts({shown})"


def _replaced(
    starts: Sequence[TextSwaps], current: Words, index: int, rng: np.random.Generator
) -> Asking[Words | None]:
    """``current`` with one word replaced by a source drawn at random; by another if it has none."""
    for number in rng.permutation(len(starts)).tolist():
        candidates = yield from starts[number].candidates(current, index)
        if candidates.texts:
            chosen: Words = candidates.texts[int(rng.integers(len(candidates.texts)))]
            return chosen
    return None


def _check_answers(answers: str) -> str:
    if answers not in _ANSWERS:
        raise DataError(f"answers is 'changed' or 'original', got {answers!r:.80}.")
    return answers
