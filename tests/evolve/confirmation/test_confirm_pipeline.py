"""A pipeline's way through a search's processes and the confirmation of its winners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import rosearch as rs
from rosearch.errors import DataError, EvaluationError

# Two students of a tiny teacher, trained for one epoch, answer as a coin does.
pytestmark = pytest.mark.filterwarnings("ignore:.*learnt nothing:UserWarning")

FITNESS = rs.Fitness({"robustness": 1.0, "accuracy": 1.0, "compression": 0.1})
SPACE = rs.SearchSpace(
    operators=["convolution", "identity", "max_pooling"],
    nodes=(0, 2),
    widths=(16, 32),
    embedding_widths=(16,),
    embeddings=["subword_embedding"],
    poolings=("mean", "max"),
)


@pytest.fixture(scope="module")
def parts(
    fine_tuned: Callable[[int], Any],
) -> tuple[rs.Distiller, rs.TextDataset, rs.TextDataset]:
    """What distils, text for the search's attacker, and text that it does not see."""
    teacher, train, held_out = fine_tuned(2)
    dev, test = held_out.split(20, 20, seed=0)
    distiller = rs.Distiller(teacher, train, dev, epochs=1, learning_rate=1e-2, progress=False)
    return distiller, dev, test


def attacking(data: rs.TextDataset) -> rs.RobustnessEvaluator:
    return rs.RobustnessEvaluator(["deepwordbug"], data, examples=6, progress=False)


def search(pipeline: rs.Pipeline) -> rs.Evolver:
    return rs.Evolver(SPACE, pipeline, FITNESS, population=3, seed=0)


@pytest.mark.slow
def test_the_winners_of_a_pipeline_are_confirmed(parts: Any, tmp_path: Path) -> None:
    distiller, dev, test = parts
    found = search(rs.Pipeline(distiller, attacking(dev))).run(3, progress=False)
    with pytest.raises(DataError, match="held-out text"):
        rs.confirm(found, rs.Pipeline(distiller, attacking(dev)), progress=False)
    pipeline = rs.Pipeline(distiller, attacking(test), students=tmp_path / "students")
    settings = {"top": 2, "seeds": 2, "progress": False, "storage": tmp_path / "confirm.json"}
    apart = rs.confirm(found, pipeline, executor=1, **settings)
    assert [len(c.runs) for c in apart.candidates] == [2, 2]
    assert not any(c.failures for c in apart.candidates)
    (best, _) = apart.candidates
    run = best.runs[0]
    again = pipeline(best.genome, seed=run.seed)
    for name in ("accuracy", "accuracy_under_attack", "attack_success_rate", "parameters"):
        assert run.metrics[name] == again[name]
    assert "accuracy_under_attack" in str(apart)
    there = rs.confirm(found, rs.Pipeline(distiller, attacking(test)), **settings)  # from the file
    assert [c.runs for c in there.candidates] == [c.runs for c in apart.candidates]


def test_a_pipeline_that_cannot_be_sent_is_refused_before_the_first_candidate(parts: Any) -> None:
    distiller, dev, test = parts
    pipeline = rs.Pipeline(distiller, attacking(test))
    pipeline.hook = lambda: None  # type: ignore[attr-defined]
    evolver = search(pipeline)
    with pytest.raises(EvaluationError, match=r"cannot be sent to worker processes .*lambda"):
        evolver.run(2, executor=2, progress=False)
    assert evolver.result.trials == ()
    found = search(rs.Pipeline(distiller, attacking(dev))).result
    with pytest.raises(EvaluationError, match="cannot be sent to worker processes"):
        rs.confirm(
            found, pipeline, genomes={"one": SPACE.sample(seed=0)}, executor=2, progress=False
        )
