"""What a result says of itself, and the students of a loaded study."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import rosearch as rs
from rosearch.errors import EvaluationError
from rosearch.fitness import Fitness
from tests.evolve.evaluations import FITNESS, SPACE, synthetic


class Stores:
    """``synthetic``, with a folder for each student."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, genome, *, seed):
        torch.manual_seed(seed)
        config = rs.StudentConfig(genome, vocab_size=30, num_labels=2)
        student = rs.StudentForSequenceClassification(config)
        student.save_pretrained(self.where(genome, seed=seed))
        return synthetic(genome, seed=seed)

    def where(self, genome, *, seed):
        return Path(self.folder, genome.key)


@pytest.mark.parametrize(
    ("fitness", "first"),
    [
        (FITNESS, ["fitness", "accuracy_under_attack", "accuracy", "compression"]),
        (Fitness({"compression": 9.0, "accuracy": -1.0}), ["fitness", "compression", "accuracy"]),
        (Fitness.pareto(["compression", "robustness"]), ["compression", "accuracy_under_attack"]),
    ],
)
def test_a_printed_search_tells_what_was_optimised_first(fitness, first):
    search = rs.Evolver(SPACE, synthetic, fitness).run(3, progress=False)
    line = repr(search).splitlines()[1]
    assert [part.split()[0] for part in line.split("in the search ")[1].split(", ")][
        : len(first)
    ] == first


def test_a_loaded_study_loads_the_student_that_was_stored(tmp_path):
    torch.manual_seed(0)
    url = f"sqlite:///{tmp_path}/search.db"
    rs.Evolver(SPACE, Stores(tmp_path), FITNESS, storage=url).run(2, progress=False)
    best = rs.load_search(url).best
    student = best.student
    assert student is best.student
    assert rs.Genome.from_dict(student.config.genome) == best.genome
    assert not student.training
    stored = Stores(tmp_path).where(best.genome, seed=best.seed)
    stored.rename(tmp_path / "elsewhere")
    with pytest.raises(EvaluationError, match=r"no such folder: was it moved"):
        _ = rs.load_search(url).best.student
