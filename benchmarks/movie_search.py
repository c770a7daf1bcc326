"""What the table of genomes and the first search share: data, space, training, attack, fitness."""

from __future__ import annotations

from collections.abc import Sequence

import material  # noqa: F401 - makes the examples importable
from materials import movie_reviews

import rosearch as rs
from rosearch.attack import WordReplacements
from rosearch.distill import WordPerturbation

ATTACKS = ("pwws", "deepwordbug")
COMPRESSION = (4.6, 6.5)
FLOPS = 10e6
"""Most for 32 tokens, a 60th of the teacher's or less: what two cores train in seconds."""
RUNGS = (rs.Rung(epochs=3, examples=50), rs.Rung(epochs=5, examples=100))
FITNESS = rs.Fitness(
    {"robustness": 1.0, "accuracy": 1.0, "compression": 0.1},
    # Half of the sentences are of one class, and a student that answers nothing else cannot be
    # attacked.
    constraints={"accuracy": (0.6, None)},
)


def splits() -> tuple[rs.TextDataset, rs.TextDataset, rs.TextDataset]:
    """1,200 sentences to train on, 500 to measure on, and 500 that no search sees."""
    train, dev, test = movie_reviews().split(0.7, 0.15, 0.15, seed=0)
    return train.select(range(1200)), dev.select(range(500)), test.select(range(500))


def space(teacher: rs.Teacher) -> rs.SearchSpace:
    """The default space, between 4.6 and 6.5 times smaller than the teacher, and quick."""
    return rs.SearchSpace(teacher=teacher, compression=COMPRESSION, flops=(None, FLOPS))


def pipeline(
    teacher: rs.Teacher,
    train: rs.TextDataset,
    dev: rs.TextDataset,
    *,
    rungs: Sequence[rs.Rung] = RUNGS,
) -> rs.Pipeline:
    """Robust distillation and two attacks."""
    attacker = rs.RobustnessEvaluator(ATTACKS, dev, examples=100, progress=False)
    return rs.Pipeline(distiller(teacher, train, dev), attacker, rungs=rungs)


def distiller(
    teacher: rs.Teacher,
    train: rs.TextDataset,
    dev: rs.TextDataset,
    *,
    robust: bool = True,
    epochs: int = 5,
) -> rs.Distiller:
    """Training on each sentence and on its worst words, with all their weight from epoch 3 on.

    Not ``robust``: on the sentences alone, all else the same.
    """
    # With less time to rise the weight leaves most deep students with one answer to everything;
    # with more, few of any kind stand under attack.
    words = WordPerturbation(WordReplacements(ATTACKS), weight=0.8, ramp=0.4, learnt=0.0)
    return rs.Distiller(
        teacher,
        train,
        dev,
        epochs=epochs,
        learning_rate=2e-3,
        # In batches of 32, with half as many steps, more of the deep students settle on a constant.
        batch_size=16,
        perturbation=words if robust else None,
        progress=False,
    )
