"""Rungs and inheritance give the students and reports of one whole evaluation."""

from __future__ import annotations

import itertools
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rosearch as rs
from rosearch.attack import AdversarialTexts
from rosearch.evolve import Parent
from rosearch.pipeline.rungs import attack_rung, mean_metrics, training_seeds
from rosearch.space import LatencyTable

SMALL = {"width": 16, "embedding_width": 16}
MEASURED = {"seconds", "latency"}


@pytest.fixture(scope="module")
def parts(fine_tuned: Callable[[int], Any]) -> tuple[rs.Distiller, rs.RobustnessEvaluator]:
    teacher, train, dev = fine_tuned(4)
    distiller = rs.Distiller(teacher, train, dev, epochs=3, learning_rate=1e-2, progress=False)
    attacks = ["deepwordbug", "pruthi"]
    return distiller, rs.RobustnessEvaluator(attacks, dev, examples=12, progress=False)


RUNGS = (
    rs.Rung(epochs=1, examples=4, attacks=("deepwordbug",)),
    rs.Rung(epochs=2, examples=8),
    rs.Rung(),
)


def exact(metrics: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in metrics.items() if k not in MEASURED}


def same(a: Any, b: Any) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in ours.items())


def test_last_rung_gives_the_metrics_of_a_whole_evaluation(parts: Any, tmp_path: Path) -> None:
    genome = rs.templates.text_cnn(**SMALL)
    whole = rs.Pipeline(*parts)(genome, seed=0)
    pipeline = rs.Pipeline(*parts, students=tmp_path, rungs=RUNGS)
    assert pipeline.rungs == 3
    seconds = 0.0
    for rung in range(3):
        metrics = pipeline(genome, seed=0, rung=rung)
        assert metrics["seconds"] > seconds
        seconds = metrics["seconds"]
        student = pipeline.distiller.distill(
            genome, seed=0, epochs=pipeline.plan[rung].epochs
        ).student
        assert same(pipeline.load(genome, seed=0, rung=rung), student)
    assert exact(metrics) == exact(whole)
    assert metrics.keys() == whole.keys()
    assert exact(pipeline(genome, seed=0)) == exact(whole)
    pipeline.finish(genome, seed=0, rung=2)
    assert [p.name for p in tmp_path.iterdir()] == [pipeline.where(genome, seed=0).name]


@pytest.mark.parametrize("names", [None, ("sour", "sweet")])
def test_joined_reports_name_classes_and_victim_as_a_whole_one(parts: Any, names: Any) -> None:
    distiller, attacker = parts
    dev = rs.TextDataset(distiller.dev.texts, distiller.dev.labels, classes=names)
    attacker = rs.RobustnessEvaluator(["deepwordbug", "pruthi"], dev, examples=8, progress=False)
    genome = rs.templates.bag_of_words(**SMALL)
    student = distiller.distill(genome, seed=0, epochs=1).student
    reports: dict[str, rs.RobustnessReport] = {}
    for rung in (rs.Rung(1, 4, ("deepwordbug",)), rs.Rung(1, 8, ("deepwordbug", "pruthi"))):
        joined, reports = attack_rung(attacker, student, rung, reports)
        whole = attacker.part(0, rung.examples, attacks=rung.attacks).evaluate(student)
        assert joined.settings == whole.settings
        assert str(joined) == str(whole)
        for name in whole.attacks:
            assert joined.attacks[name].settings == whole.attacks[name].settings
            assert str(reports[name]) == str(whole.attacks[name])
    named = names or distiller.teacher.model.config.id2label.values()
    assert all(f"class {name}: accuracy" in str(joined) for name in named)


def test_metrics_of_several_trainings_are_means(parts: Any, tmp_path: Path) -> None:
    genome = rs.templates.bag_of_words(**SMALL)
    rungs = [*RUNGS[:1], replace(RUNGS[1], trainings=2), rs.Rung(trainings=3)]
    pipeline = rs.Pipeline(*parts, students=tmp_path, rungs=rungs)
    seeds = training_seeds(0, 3)
    assert seeds[0] == 0
    assert len(set(seeds)) == 3
    single = [rs.Pipeline(*parts, rungs=RUNGS) for _ in seeds]
    for rung, count in enumerate((1, 2, 3)):
        found = [
            one(genome, seed=seed, rung=rung)
            for one, seed in zip(single, seeds[:count], strict=False)
        ]
        metrics = pipeline(genome, seed=0, rung=rung)
        for name in ("accuracy", "accuracy_under_attack", "mean_queries", "parameters"):
            assert metrics[name] == pytest.approx(np.mean([one[name] for one in found]))
        assert metrics.get("trainings", 1) == count
        accuracies = [one["accuracy"] for one in found]
        if count > 1:
            assert metrics["accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))
            under = [one["accuracy_under_attack"] for one in found]
            assert metrics["accuracy_under_attack_std"] == pytest.approx(np.std(under, ddof=1))
        assert metrics["compression"] == pipeline.cost(genome)["compression"]
    assert exact(metrics) == exact(pipeline(genome, seed=0))
    assert len({one["accuracy"] for one in found}) > 1  # or nothing would be told here
    assert same(
        pipeline.load(genome, seed=0, rung=2), pipeline.distiller.distill(genome, seed=0).student
    )
    pipeline.finish(genome, seed=0, rung=2)
    assert [p.name for p in tmp_path.iterdir()] == [pipeline.where(genome, seed=0).name]


def test_a_candidate_whose_second_training_fails_leaves_no_student(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genome = rs.templates.bag_of_words(**SMALL)
    pipeline = rs.Pipeline(*parts, students=tmp_path, rungs=[RUNGS[0], rs.Rung(trainings=2)])
    pipeline(genome, seed=0, rung=0)
    distill = rs.Distiller.distill

    def failing(self: Any, *args: Any, seed: int, **options: Any) -> Any:
        if seed != 0:
            raise rs.errors.EvaluationError("as this test wants it")
        return distill(self, *args, seed=seed, **options)

    monkeypatch.setattr(rs.Distiller, "distill", failing)
    with pytest.raises(rs.errors.EvaluationError):
        pipeline(genome, seed=0, rung=1)
    pipeline.finish(genome, seed=0, rung=0)
    pipeline.discard(genome, seed=0, rung=0)
    assert not list(tmp_path.iterdir())


def test_metrics_of_trainings() -> None:
    one = {"accuracy": 0.7, "accuracy_under_attack": 0.4, "compression": 5.1, "seconds": 2.0}
    assert mean_metrics([one]) == one
    other = one | {"accuracy": 0.8, "accuracy_under_attack": 0.4, "seconds": 3.0}
    found = mean_metrics([one, other, other])
    assert found["seconds"] == 8.0
    assert found["trainings"] == 3
    assert found["accuracy"] == pytest.approx(2.3 / 3)
    assert found["accuracy_under_attack"] == 0.4  # fmean of three is another number
    assert found["accuracy_under_attack_std"] == pytest.approx(0, abs=1e-12)


def test_a_rung_of_one_training_has_the_settings_of_before(parts: Any) -> None:
    one, two = (rs.Pipeline(*parts, rungs=[rs.Rung(trainings=n)]).settings for n in (1, 2))
    assert one["rungs"][0].keys() == {"epochs", "examples", "attacks"}
    assert two["rungs"] == [{**one["rungs"][0], "trainings": 2}]


def test_a_rung_uses_its_own_examples_and_attacks(parts: Any) -> None:
    distiller, attacker = parts
    genome = rs.templates.bag_of_words(**SMALL)
    pipeline = rs.Pipeline(distiller, attacker, rungs=RUNGS)
    metrics = pipeline(genome, seed=0, rung=0)
    result = distiller.distill(genome, seed=0, epochs=1)
    report = attacker.part(0, 4, attacks=["deepwordbug"]).evaluate(result.student)
    assert report.n == 4
    assert metrics["accuracy"] == result.accuracy
    assert metrics["accuracy_under_attack"] == report.accuracy_under_attack
    assert metrics["mean_queries"] == report.mean_queries


def test_an_unchanged_student_is_attacked_on_new_examples_only(
    parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    distiller, attacker = parts
    attacked: list[tuple[str, int]] = []
    evaluate = rs.RobustnessEvaluator.evaluate

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        attacked.extend((a.name, i) for a in self.attacks for i in self.indices)
        return evaluate(self, *args, **kwargs)

    monkeypatch.setattr(rs.RobustnessEvaluator, "evaluate", counted)
    rungs = [rs.Rung(examples=4, attacks=["pruthi"]), rs.Rung(examples=9), rs.Rung()]
    pipeline = rs.Pipeline(distiller, attacker, rungs=rungs)
    genome = rs.templates.bag_of_words(**SMALL)
    for rung in range(3):
        metrics = pipeline(genome, seed=0, rung=rung)
    assert len(attacked) == len(set(attacked)) == 24
    assert exact(metrics) == exact(rs.Pipeline(distiller, attacker)(genome, seed=0))


@pytest.mark.parametrize("missing", ["all", "training", "attacks"])
def test_missing_files_are_made_again(parts: Any, tmp_path: Path, missing: str) -> None:
    genome = rs.templates.bag_of_words(**SMALL)
    pipeline = rs.Pipeline(*parts, students=tmp_path, rungs=[RUNGS[0], RUNGS[2]])
    first = pipeline(genome, seed=1, rung=0)
    (folder,) = (tmp_path / ".work").iterdir()
    for file in list(folder.iterdir()):
        if missing == "all" or file.name.startswith(missing):
            file.unlink()
    metrics = pipeline(genome, seed=1, rung=1)
    assert exact(metrics) == exact(rs.Pipeline(*parts)(genome, seed=1))
    assert exact(pipeline(genome, seed=1, rung=0)) == exact(first)  # a rung done again
    assert exact(pipeline(genome, seed=1, rung=1)) == exact(metrics)


def test_a_truncated_results_file_is_made_again(parts: Any, tmp_path: Path) -> None:
    genome = rs.templates.bag_of_words(**SMALL)
    pipeline = rs.Pipeline(*parts, students=tmp_path, rungs=[RUNGS[0], RUNGS[2]])
    pipeline(genome, seed=1, rung=0)
    (file,) = (tmp_path / ".work").glob("*/attacks.json")
    file.write_text(file.read_text()[:50])
    assert exact(pipeline(genome, seed=1, rung=1)) == exact(rs.Pipeline(*parts)(genome, seed=1))


def test_a_repeated_rung_reports_the_first_wall_time(parts: Any, tmp_path: Path) -> None:
    clock = itertools.count().__next__  # every evaluation takes one second
    genome = rs.templates.bag_of_words(**SMALL)
    pipeline = rs.Pipeline(*parts, students=tmp_path, rungs=RUNGS, clock=clock)
    told = [pipeline(genome, seed=0, rung=rung)["seconds"] for rung in (0, 0, 0, 1, 1, 0, 2)]
    assert told == [1, 1, 1, 2, 2, 1, 3]


def test_training_state_of_a_parent_with_other_weights_is_not_used(
    parts: Any, tmp_path: Path
) -> None:
    rungs = [RUNGS[0], RUNGS[2]]
    pipeline = rs.Pipeline(*parts, students=tmp_path, rungs=rungs, inherit=True)
    genome = rs.templates.bag_of_words(**SMALL)
    parent = Parent(0, rs.templates.text_cnn(**SMALL), 0, rung=1)
    pipeline(genome, seed=1, rung=0, parent=parent)
    # On another machine the parent has been trained again.
    origin = pipeline.load(parent.genome, **parent.arguments)
    with torch.no_grad():
        next(origin.parameters()).flatten()[0].add_(1e-6)
    folder = pipeline.where(parent.genome, **parent.arguments)
    shutil.rmtree(folder)
    origin.save_pretrained(folder)
    metrics = pipeline(genome, seed=1, rung=1, parent=parent)
    result = parts[0].distill(genome, seed=1, parent=origin)
    assert metrics["accuracy"] == result.accuracy
    assert same(pipeline.load(genome, seed=1, rung=1, parent=parent), result.student)


@pytest.mark.parametrize("has_folder", [True, False])
def test_missing_ancestors_are_trained_once(
    parts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_folder: bool
) -> None:
    trained: list[int] = []
    distill = rs.Distiller.distill

    def counted(self: Any, genome: Any, *, seed: int, **kwargs: Any) -> Any:
        trained.append(seed)
        return distill(self, genome, seed=seed, **kwargs)

    monkeypatch.setattr(rs.Distiller, "distill", counted)
    pipeline = rs.Pipeline(*parts, students=tmp_path if has_folder else None, inherit=True)
    genome = rs.templates.bag_of_words(**SMALL)
    line = Parent(0, genome, 10)
    for number in (1, 2):
        line = Parent(number, genome, 10 + number, parent=line)
    for seed in (20, 21):
        pipeline(genome, seed=seed, parent=line)
    assert trained == [10, 11, 12, 20, 21]


def test_rungs_before_adversarial_training_warn(parts: Any) -> None:
    distiller, attacker = parts
    adversary = AdversarialTexts("deepwordbug", first=3)
    robust = rs.Distiller(
        distiller.teacher, distiller.train, distiller.dev, epochs=3, adversary=adversary,
        progress=False,
    )  # fmt: skip
    with pytest.warns(RuntimeWarning, match=r"first_counted") as caught:
        rs.Pipeline(robust, attacker, rungs=RUNGS)
    told = [str(warning.message) for warning in caught]
    assert len(told) == 2
    for place, epochs in enumerate((1, 2)):
        assert f"rungs[{place}] ends after epochs={epochs}" in told[place]
        assert "starts in epoch 3" in told[place]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rs.Pipeline(robust, attacker, rungs=[rs.Rung(examples=4), rs.Rung()])
        rs.Pipeline(distiller, attacker, rungs=RUNGS)


def test_a_child_inherits_and_its_ancestors_can_be_trained_again(
    parts: Any, tmp_path: Path
) -> None:
    pipeline = rs.Pipeline(*parts, students=tmp_path, rungs=[RUNGS[0], RUNGS[2]], inherit=True)
    space = rs.SearchSpace(nodes=(1, 3), widths=(16,), embedding_widths=(16,))
    grand = rs.templates.text_cnn(**SMALL)
    middle = space.mutate(grand, seed=1)
    child = space.mutate(middle, seed=2)
    first = Parent(0, grand, 0, rung=0)
    second = Parent(1, middle, 5, rung=1, parent=first)
    pipeline(grand, **first.arguments)
    for rung in range(2):
        pipeline(middle, seed=5, rung=rung, parent=first)
    metrics = pipeline(child, seed=7, rung=0, parent=second)
    by_hand = parts[0].distill(grand, seed=0, epochs=1).student
    by_hand = parts[0].distill(middle, seed=5, parent=by_hand).student
    by_hand = parts[0].distill(child, seed=7, epochs=1, parent=by_hand).student
    assert same(pipeline.load(child, seed=7, rung=0, parent=second), by_hand)
    assert not same(pipeline.load(child, seed=7, rung=0), by_hand)
    shutil.rmtree(tmp_path)  # no student is kept any more
    assert exact(pipeline(child, seed=7, rung=0, parent=second)) == exact(metrics)
    other = replace(second, seed=6)
    assert pipeline.where(child, seed=7, parent=other) != pipeline.where(
        child, seed=7, parent=second
    )


def test_latency_table_gives_latency_before_training(parts: Any) -> None:
    genome = rs.templates.text_cnn(**SMALL)
    space = rs.SearchSpace(
        operators=["convolution", "max_pooling"], nodes=(1, 4), widths=(16,), embedding_widths=(16,)
    )
    table = LatencyTable.measure(space, repeats=2)
    genome = space.sample(seed=0)
    pipeline = rs.Pipeline(*parts, latencies=table)
    latency = pipeline.cost(genome)["latency"]
    assert latency > 0
    assert pipeline(genome, seed=0)["latency"] == latency
    assert "latency" not in rs.Pipeline(*parts).cost(genome)
    with pytest.raises(ValueError, match="latencies are for 32 tokens and length=16"):
        rs.Pipeline(*parts, latencies=table, length=16)


@pytest.mark.parametrize(
    ("rungs", "text"),
    [
        ([rs.Rung(epochs=1)], "last rung must be the whole evaluation"),
        (
            [rs.Rung(epochs=4), rs.Rung()],
            r"rungs\[0\].epochs must be a whole number from 1 to 3, got 4",
        ),
        (
            [rs.Rung(epochs=2), rs.Rung(epochs=1), rs.Rung()],
            r"rungs\[1\].epochs must be a whole number from 2 to 3, got 1",
        ),
        (
            [rs.Rung(examples=13), rs.Rung()],
            r"rungs\[0\].examples must be a whole number from 1 to 12, got 13",
        ),
        ([rs.Rung(attacks=["pwws"]), rs.Rung()], "must be a list of the evaluator's attacks"),
        ([rs.Rung(attacks=()), rs.Rung()], "must be a list of the evaluator's attacks"),
        (
            [rs.Rung(attacks=["pruthi"]), rs.Rung(attacks=["deepwordbug"]), rs.Rung()],
            "leaves out the attack 'pruthi'",
        ),
        (
            [rs.Rung(examples=4, trainings=2), rs.Rung()],
            r"rungs\[1\].trainings must be a whole number from 2, got 1",
        ),
        ([rs.Rung(trainings=0)], r"rungs\[0\].trainings must be a whole number from 1, got 0"),
        ([(1, 25)], r"rungs\[0\] must be a Rung, got \(1, 25\)"),
    ],
)
def test_invalid_rungs_are_refused(parts: Any, rungs: Any, text: str) -> None:
    with pytest.raises(rs.errors.ArgumentError, match=text):
        rs.Pipeline(*parts, rungs=rungs)


def test_an_unknown_rung_is_refused(parts: Any) -> None:
    with pytest.raises(ValueError, match="has rungs 0 to 2"):
        rs.Pipeline(*parts, rungs=RUNGS)(rs.templates.bag_of_words(**SMALL), seed=0, rung=3)
    with pytest.raises(ValueError, match="has rungs"):
        rs.Pipeline(*parts)(rs.templates.bag_of_words(**SMALL), seed=0, rung=0)


@pytest.mark.slow
def test_a_search_with_rungs_and_inheritance(parts: Any, tmp_path: Path) -> None:
    space = rs.SearchSpace(nodes=(1, 3), widths=(16,), embedding_widths=(8, 16))
    fitness = rs.Fitness({"robustness": 1.0, "accuracy": 1.0})
    given: dict[str, Any] = {"population": 2, "fidelity": rs.SuccessiveHalving(2), "seed": 1}

    def pipeline(**own: Any) -> rs.Pipeline:
        return rs.Pipeline(*parts, rungs=[RUNGS[0], RUNGS[2]], inherit=True, **own)

    kept = pipeline(students=tmp_path / "students")
    search = rs.Evolver(space, kept, fitness, **given).run(6, progress=False)
    other = rs.Evolver(space, pipeline(), fitness, **given).run(6, progress=False)
    assert [(t.key, t.state, t.parent, exact(dict(t.metrics))) for t in search.trials] == [
        (t.key, t.state, t.parent, exact(dict(t.metrics))) for t in other.trials
    ]
    assert any(t.parent is not None for t in search.trials)
    wanted = {t.weights for t in search.front} | {search.best.weights}
    assert {str(path) for path in (tmp_path / "students").iterdir()} == wanted
    report = parts[1].evaluate(other.best.student)
    assert report.accuracy_under_attack == search.best.metrics["accuracy_under_attack"]
