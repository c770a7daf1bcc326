"""Adversarial training on texts found by attacks on the student."""

from __future__ import annotations

from typing import Any

import numpy as np

from rosearch.attack.base import Attack, make_attack
from rosearch.attack.engine.attack_run import Example
from rosearch.attack.engine.engine import run_attack
from rosearch.attack.settings import Part
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.model import ModelVictim
from rosearch.checks import choice, number, whole_number
from rosearch.data import Text, TextDataset
from rosearch.seeding import generator


class AdversarialTexts(Part):
    """Adversarial texts of attacks on the student, for ``Distiller(adversary=...)``.

    After A2T (Yoo and Qi, "Towards Improving Adversarial Training of NLP Models", Findings of EMNLP
    2021, arXiv 2109.00544, algorithm 1): at the beginning of an epoch the current student is
    attacked on a share of the training texts, and the adversarial texts are trained on beside the
    training texts.

    Args:
        attack: The name of an attack, or an instance.
        share: Share of the training texts to attack, 0 to 1, drawn anew each time. Texts that the
            student gets wrong are among them but not attacked.
        first: Epoch that begins with the first attack. After one epoch at the earliest the student
            has learnt something that can be attacked.
        every: Epochs from one attack to the next; those between train on the same texts again.
        keep: Whether to keep the texts of earlier attacks.
        failed: Whether to train also on the final texts of failed attacks.
        answers: What adversarial texts are trained to: ``"original"``, the teacher outputs for the
            original texts, or ``"perturbed"``, those for the adversarial texts, which often fool
            the teacher too.
        query_budget: Maximum queries per text; fewer make a faster and weaker attack.
        attacked_side: Which text of a pair is attacked: 0 the first, 1 the second.

    Raises:
        ArgumentError: ``attack`` is not an attack, or another argument is out of range.
        MissingResourceError: The attack needs a resource that is not available.
        RegistryError: The attack is not registered.
    """

    name = "adversarial-texts"

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
        self.attack = make_attack("attack", attack)
        self.share = number("share", share, 0.0, 1.0)
        self.first = whole_number("first", first)
        self.every = whole_number("every", every)
        self.keep = bool(keep)
        self.failed = bool(failed)
        self.answers = choice("answers", answers, ("perturbed", "original"))
        self.query_budget = (
            None if query_budget is None else whole_number("query_budget", query_budget)
        )
        self.attacked_side = choice("attacked_side", attacked_side, (0, 1))

    def texts(self, student: Any, dataset: TextDataset, *, seed: int) -> list[tuple[int, Text]]:
        """Attack the student and return adversarial texts, each with its original's position.

        Args:
            student: A Hugging Face sequence classifier with its tokenizer as an attribute.
            dataset: Labelled texts.
            seed: Seed of the choice of texts and of random substitutions.

        Raises:
            EvaluationError: The attack fails with an error on every text.
        """
        count = max(1, round(self.share * len(dataset)))
        chosen = generator(seed, "attacked").permutation(len(dataset))[:count]
        examples = [
            Example(int(i), dataset.texts[i], int(dataset.labels[i])) for i in np.sort(chosen)
        ]
        self.attack.prepare([AttackedInput(e.text, self.attacked_side).words for e in examples])
        results = run_attack(
            self.attack,
            examples,
            ModelVictim(student, student.tokenizer),
            seed=seed,
            query_budget=self.query_budget,
            attacked_side=self.attacked_side,
        )
        wanted = ("succeeded", "failed") if self.failed else ("succeeded",)
        return [
            (result.index, result.perturbed)
            for result in results
            if result.status in wanted
            and result.perturbed is not None
            and result.perturbed != result.text
        ]
