"""The composition: genome in, numbers out, students kept and loaded."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import rosearch as rs
from rosearch.attack import AdversarialTexts, SubstitutionAugmentation, WordReplacements
from rosearch.distill import WordPerturbation, WorstCase
from rosearch.student import StudentForSequenceClassification, student_cost

SMALL = {"width": 16, "embedding_width": 16}
KEYS = {
    "accuracy",
    "accuracy_under_attack",
    "worst_class_under_attack",
    "attack_success_rate",
    "mean_queries",
    "parameters",
    "compression",
    "flops",
    "latency",
    "seconds",
}


@pytest.fixture(scope="module")
def pipeline(
    fine_tuned: Callable[[int], Any], tmp_path_factory: pytest.TempPathFactory
) -> rs.Pipeline:
    teacher, train, dev = fine_tuned(12)
    distiller = rs.Distiller(teacher, train, dev, epochs=2, learning_rate=1e-2, progress=False)
    attacker = rs.RobustnessEvaluator(["deepwordbug"], dev, examples=20, progress=False)
    return rs.Pipeline(distiller, attacker, students=tmp_path_factory.mktemp("students"))


def test_measures_what_the_parts_measure(pipeline: rs.Pipeline) -> None:
    genome = rs.templates.text_cnn(**SMALL)
    metrics = pipeline(genome, seed=0)
    assert set(metrics) == KEYS
    assert all(isinstance(value, float) for value in metrics.values())
    result = pipeline.distiller.distill(genome, seed=0)
    report = pipeline.attacker.evaluate(result.student)
    assert metrics["accuracy"] == result.accuracy
    assert metrics["accuracy_under_attack"] == report.accuracy_under_attack
    assert metrics["attack_success_rate"] == report.attack_success_rate
    classes = [rates.accuracy_under_attack for rates in report.by_class.values()]
    assert metrics["worst_class_under_attack"] == min(classes)
    own = sum(p.numel() for p in result.student.parameters())
    assert metrics["parameters"] == own
    assert metrics["compression"] == pytest.approx(pipeline.distiller.teacher.parameters / own)


def test_seconds_are_by_the_clock(pipeline: rs.Pipeline) -> None:
    genome = rs.templates.text_cnn(**SMALL)
    ticks = iter(range(100))

    def clock() -> float:
        return 10.0 * next(ticks)

    parts = pipeline.distiller, pipeline.attacker
    counted = rs.Pipeline(*parts, clock=clock)
    assert counted(genome, seed=0)["seconds"] == 10
    assert counted.settings["clock"] == "clock"
    of_processor = rs.Pipeline(*parts, clock=time.process_time)
    assert 0 < of_processor(genome, seed=0)["seconds"] < 60
    assert of_processor.settings["clock"] == "process_time"
    assert "clock" not in pipeline.settings


def test_cost_builds_no_student_and_equals_the_measured_cost(
    pipeline: rs.Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = rs.SearchSpace(widths=(16, 32), embedding_widths=(16, 24))
    genomes = [*(space.sample(seed=seed) for seed in range(10)), rs.templates.bigru(**SMALL)]
    config = pipeline.distiller.config
    measured = [student_cost(config(genome), length=pipeline.length) for genome in genomes]
    # A search with limits asks for every genome that it draws, hundreds for one candidate.
    monkeypatch.setattr(StudentForSequenceClassification, "__init__", None)
    for genome, cost in zip(genomes, measured, strict=True):
        told = pipeline.cost(genome)
        assert {name: told[name] for name in cost} == cost
        assert told["compression"] == pipeline.distiller.teacher.parameters / cost["parameters"]


def test_asks_for_a_process_for_each_core_that_has_memory(
    pipeline: rs.Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(threads: int | None = None) -> int:
        monkeypatch.setattr(pipeline.distiller, "threads", threads)
        return pipeline.processes

    module = "rosearch.pipeline.pipeline"
    monkeypatch.setattr(f"{module}.batches_at_once", lambda: 8)
    monkeypatch.setattr(f"{module}.free_memory", lambda: None)
    assert asked() == 8
    assert asked(3) == 2
    assert asked(16) == 1
    monkeypatch.setattr(pipeline.distiller, "device", torch.device("cuda"))
    assert asked() == 1
    monkeypatch.setattr(pipeline.distiller, "device", torch.device("cpu"))
    monkeypatch.setattr(f"{module}.free_memory", lambda: 9 * 2**30)
    monkeypatch.setattr(f"{module}.own_memory", lambda: 2 * 2**30)
    assert asked() == 4
    monkeypatch.setattr(f"{module}.own_memory", lambda: 2**20)
    assert asked() == 8
    monkeypatch.setattr(f"{module}.free_memory", lambda: 2**20)
    assert asked() == 1


@pytest.mark.slow
def test_a_search_in_processes_of_its_own_finds_what_a_serial_one_does(
    pipeline: rs.Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    space = rs.SearchSpace(nodes=(0, 2), widths=(16,), embedding_widths=(16,))

    def found(**settings: Any) -> list[Any]:
        evolver = rs.Evolver(space, pipeline, rs.Fitness({"robustness": 1.0}), overlap=2)
        trials = evolver.run(2, progress=False, **settings).trials
        measured = {"latency", "seconds"}
        kept = [{k: v for k, v in t.metrics.items() if k not in measured} for t in trials]
        return [(t.key, metrics) for t, metrics in zip(trials, kept, strict=True)]

    serial = found(executor=1)
    monkeypatch.setattr(rs.Pipeline, "processes", 2)
    with caplog.at_level("INFO", "rosearch"):
        assert found() == serial
    assert "2 candidates at a time, each in a process of its own" in caplog.messages


def test_stored_student_has_the_evaluated_weights(pipeline: rs.Pipeline) -> None:
    genome = rs.templates.bigru(**SMALL)
    pipeline(genome, seed=5)
    folder = pipeline.where(genome, seed=5)
    kept = pipeline.load(genome, seed=5)
    trained = pipeline.distiller.distill(genome, seed=5).student
    assert all(
        torch.equal(a, b) for a, b in zip(kept.parameters(), trained.parameters(), strict=True)
    )
    assert kept.tokenizer is not None
    pipeline.discard(genome, seed=5)
    assert not folder.exists()
    again = pipeline.load(genome, seed=5)  # trained again, to the same weights
    assert all(
        torch.equal(a, b) for a, b in zip(kept.parameters(), again.parameters(), strict=True)
    )
    assert not list(folder.parent.glob(".rosearch-draft-*"))


def test_keep_all_keeps_discarded_students_readable_by_others(
    pipeline: rs.Pipeline, tmp_path: Path
) -> None:
    genome = rs.templates.bag_of_words(**SMALL)
    keeping = rs.Pipeline(pipeline.distiller, pipeline.attacker, students=tmp_path, keep_all=True)
    keeping(genome, seed=0)
    keeping.discard(genome, seed=0)
    kept = keeping.where(genome, seed=0)
    assert (kept / "model.safetensors").exists()
    # And whoever may read what is new there may read them.
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").touch()
    assert kept.stat().st_mode == (tmp_path / "new").stat().st_mode
    for path in kept.iterdir():
        assert path.stat().st_mode == (tmp_path / "new" / "file").stat().st_mode


def test_pickled_copy_gives_the_same_metrics(pipeline: rs.Pipeline) -> None:
    copy = pickle.loads(pickle.dumps(pipeline))
    assert copy.settings == pipeline.settings
    genome = rs.templates.bag_of_words(**SMALL)
    ours, theirs = pipeline(genome, seed=1), copy(genome, seed=1)
    for key in KEYS - {"latency", "seconds"}:
        assert ours[key] == theirs[key]


def test_errors_under_attack_count_as_successful_attacks(
    pipeline: rs.Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    genome = rs.templates.bag_of_words(**SMALL)
    pipeline(genome, seed=0)

    def search(self: Any, text: Any, context: Any) -> Any:
        if len(text.text) % 2:
            raise RuntimeError("the attack fails on this text")
        yield [text.replace(0, "x")]
        return text

    monkeypatch.setattr(rs.attacks.get("deepwordbug"), "search", search)
    report = pipeline.attacker.evaluate(pipeline.load(genome, seed=0))
    assert report.errors > 0
    failing = pipeline(genome, seed=0)
    assert failing["accuracy_under_attack"] == report.accuracy_under_attack_bounds.low
    assert failing["accuracy_under_attack"] < report.accuracy_under_attack


def test_pipelines_with_other_settings_use_other_folders(pipeline: rs.Pipeline) -> None:
    genome = rs.templates.bag_of_words(**SMALL)
    own = pipeline.distiller
    longer = rs.Distiller(
        own.teacher, own.train, own.dev, epochs=3, learning_rate=1e-2, progress=False
    )
    other = rs.Pipeline(longer, pipeline.attacker, students=pipeline.students)
    pipeline(genome, seed=2)
    other(genome, seed=2)
    assert pipeline.where(genome, seed=2) != other.where(genome, seed=2)
    other.discard(genome, seed=2)
    assert pipeline.where(genome, seed=2).is_dir()


def test_length_beyond_the_students_is_refused(pipeline: rs.Pipeline) -> None:
    with pytest.raises(ValueError, match="length must be a whole number from 1 to 64, got 65"):
        rs.Pipeline(pipeline.distiller, pipeline.attacker, length=65)


def test_other_number_of_classes_is_refused(pipeline: rs.Pipeline) -> None:
    three = rs.TextDataset(["good", "bad", "so so"], [0, 1, 2])
    attacker = rs.RobustnessEvaluator("deepwordbug", three, progress=False)
    with pytest.raises(rs.errors.DataError, match="teacher has 2 classes, the attacker's"):
        rs.Pipeline(pipeline.distiller, attacker)


def test_without_folder_no_student_is_stored(pipeline: rs.Pipeline) -> None:
    bare = rs.Pipeline(pipeline.distiller, pipeline.attacker)
    assert bare.where(rs.templates.bag_of_words(), seed=0) is None
    bare.discard(rs.templates.bag_of_words(), seed=0)


@pytest.mark.slow
def test_search_end_to_end(pipeline: rs.Pipeline, tmp_path: Path) -> None:
    space = rs.SearchSpace(nodes=(0, 3), widths=(16, 32), embedding_widths=(8, 16))
    own = rs.Pipeline(pipeline.distiller, pipeline.attacker, students=tmp_path / "students")
    fitness = rs.Fitness({"robustness": 1.0, "accuracy": 1.0, "compression": 0.1})
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    settings: dict[str, Any] = {"storage": storage, "population": 3, "seed": 0}
    evolver = rs.Evolver(space, own, fitness, study="small", **settings)
    search = evolver.run(candidates=6, progress=False)
    assert len(search.trials) == 6
    best = search.best
    assert best.genome in space
    assert best.score.values == max(t.score.values for t in search.trials)
    report = pipeline.attacker.evaluate(best.student)
    assert report.accuracy_under_attack == best.metrics["accuracy_under_attack"]
    read = rs.load_search(storage).best
    assert Path(read.weights or "").is_absolute()
    loaded = read.student.state_dict()
    assert all(torch.equal(v.cpu(), loaded[k]) for k, v in best.student.state_dict().items())
    # The study has its candidates: nothing runs again, in this or another process.
    again = rs.Evolver(space, own, fitness, study="small", **settings).run(candidates=6)
    assert [t.genome for t in again.trials] == [t.genome for t in search.trials]
    changed = rs.Distiller(
        own.distiller.teacher, own.distiller.train, own.distiller.dev, epochs=2,
        learning_rate=1e-2, progress=False, temperature=5.0,
    )  # fmt: skip
    other = rs.Pipeline(changed, own.attacker)
    with pytest.raises(rs.errors.StudyMismatchError, match="temperature"):
        rs.Evolver(space, other, fitness, study="small", **settings)


@pytest.mark.parametrize(
    "hardening",
    [
        lambda side: {"augmentation": SubstitutionAugmentation("pruthi", attacked_side=side)},
        lambda side: {"adversary": AdversarialTexts("deepwordbug", attacked_side=side)},
        lambda side: {
            "perturbation": WordPerturbation(
                WordReplacements("deepwordbug", attacked_side=side), ramp=0.0
            )
        },
        lambda side: {
            "perturbation": WorstCase(WordReplacements("deepwordbug", attacked_side=side))
        },
    ],
)
@pytest.mark.parametrize("attacked", [0, 1])
def test_training_perturbs_the_text_of_pairs_that_is_attacked(
    hardening: Callable[[int], Any], attacked: int, pipeline: rs.Pipeline
) -> None:
    known = pipeline.distiller
    pairs, singles = (
        rs.TextDataset([make(text) for text in data.texts], data.labels, classes=data.classes)
        for data, make in ((known.dev, lambda text: (text, text)), (known.dev, str))
    )

    def combine(data: rs.TextDataset, side: int) -> rs.Pipeline:
        return rs.Pipeline(
            rs.Distiller(known.teacher, data, data, epochs=2, progress=False, **hardening(side)),
            rs.RobustnessEvaluator("deepwordbug", data, examples=3, attacked_side=attacked),
        )

    combine(pairs, attacked)
    combine(singles, 1 - attacked)
    with pytest.raises(rs.errors.ArgumentError, match=f"attacker attacks text {attacked}"):
        combine(pairs, 1 - attacked)
