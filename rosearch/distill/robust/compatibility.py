"""Which options of robust distillation go with which other settings."""

from __future__ import annotations

import math
from typing import Any

from rosearch.checks import choice, refused
from rosearch.distill.robust.freelb import EmbeddingPerturbation
from rosearch.distill.robust.perturbed_texts import Adversary, Augmentation
from rosearch.distill.robust.word_perturbation import WordPerturbation
from rosearch.distill.robust.worst_case import WorstCase
from rosearch.errors import ArgumentError
from rosearch.space import Genome

_EXAMPLES = {
    "augmentation": "an instance such as rosearch.distill.UnigramNoise()",
    "adversary": "an instance such as rosearch.attack.AdversarialTexts('pwws')",
}


def check_robust_training(
    augmentation: Augmentation | None,
    adversary: Adversary | None,
    perturbation: Any,
    *,
    needs: frozenset[str],
    epochs: int,
    compiled: Any,
) -> None:
    """Validate the options of robust distillation against the other settings of a Distiller.

    Args:
        augmentation: The augmentation, if any.
        adversary: The adversary, if any.
        perturbation: The perturbation, if any.
        needs: Teacher outputs that the losses read.
        epochs: Epochs of the whole training.
        compiled: How students are compiled, if at all.

    Raises:
        ArgumentError: An option has the wrong type or does not fit the other settings.
    """
    per_token = sorted(needs & {"hidden_states", "values"})
    for name, part in (("augmentation", augmentation), ("adversary", adversary)):
        if part is None:
            continue
        if isinstance(part, type) or not callable(getattr(part, "texts", None)):
            raise refused(name, _EXAMPLES[name], part)
        choice(f"{name}.answers", part.answers, ("perturbed", "original"))
        if part.answers == "original" and per_token:
            raise ArgumentError(
                f"{name} has answers='original', but a loss compares {per_token[0]} token by "
                f"token, and a perturbed text has other tokens than its original. Use "
                f"answers='perturbed', or leave out that loss."
            )
    if adversary is not None and adversary.first > epochs:
        raise ArgumentError(
            f"The adversary's first attack is in epoch {adversary.first}, but there are only "
            f"{epochs} epochs. Lower first, or train longer."
        )
    if perturbation is None or isinstance(perturbation, WorstCase):
        return
    if not isinstance(perturbation, (EmbeddingPerturbation, WordPerturbation)):
        expected = "a WorstCase, a WordPerturbation or an EmbeddingPerturbation"
        raise refused("perturbation", expected, perturbation)
    if compiled:
        raise ArgumentError(
            "perturbation cannot be combined with compile: it changes the embedding in every pass, "
            "and a compiled student is fixed."
        )
    if isinstance(perturbation, WordPerturbation):
        _check_word_perturbation(perturbation, per_token, epochs)


def check_genome(
    genome: Genome,
    perturbation: Any,
    *,
    needs: frozenset[str],
    teacher_reads: str,
    teacher_encodes: bool,
) -> None:
    """Validate a genome against the settings of a Distiller.

    Args:
        genome: The architecture.
        perturbation: The perturbation, if any.
        needs: Teacher outputs that the losses read.
        teacher_reads: Whether the teacher reads ``"original"`` or ``"encoded"`` texts.
        teacher_encodes: Whether the teacher applies an encoding of its own.

    Raises:
        ArgumentError: The genome's token scores or encodings do not fit the other settings.
    """
    if genome.bound == 0 and isinstance(perturbation, WordPerturbation):
        raise ArgumentError(
            f"A WordPerturbation trains a graph, and genome {genome.key[:8]} has token scores "
            f"alone, whose worst case is exact. Use WorstCase(...) instead."
        )
    per_token = sorted(needs & {"hidden_states", "values"})
    if genome.encodings and per_token and teacher_reads == "original":
        raise ArgumentError(
            f"A loss compares {per_token[0]} token by token, and genome {genome.key[:8]} "
            f"encodes texts, which have other tokens than their originals. Use "
            f"teacher_reads='encoded', or leave out that loss."
        )
    if genome.encodings and per_token and teacher_encodes:
        raise ArgumentError(
            f"A loss compares {per_token[0]} token by token, and the teacher applies its own "
            f"encoding to what genome {genome.key[:8]} has encoded. Use a teacher without an "
            f"encoding, or leave out that loss."
        )


def _check_word_perturbation(
    perturbation: WordPerturbation, per_token: list[str], epochs: int
) -> None:
    if perturbation.gradient == "previous" and epochs == 1:
        raise ArgumentError(
            "With gradient='previous' the first epoch perturbs no text, and there is only one. "
            "Train longer, or use gradient='current'."
        )
    longest = (epochs - 1) / epochs
    if perturbation.ramp > longest:
        raise ArgumentError(
            f"ramp={perturbation.ramp} reaches the full weight after "
            f"{perturbation.ramp * epochs:.1f} of {epochs} epochs, so no epoch starts with it, and "
            f"only such epochs should be the best. Train longer, or lower the ramp to at most "
            f"{math.floor(100 * longest) / 100}."
        )
    if per_token:
        raise ArgumentError(
            f"A WordPerturbation trains perturbed texts to the teacher's outputs for the original, "
            f"but a loss compares {per_token[0]} token by token, and the two have different "
            f"tokens. Leave out that loss, or use an augmentation or adversary with "
            f"answers='perturbed'."
        )
