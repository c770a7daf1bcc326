"""How much fitter the best of one search are than those of another, from what became of texts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rosearch as rs


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(sys, "path", list(sys.path))
    import lead_confirmed

    monkeypatch.setattr(lead_confirmed, "DATA", tmp_path)
    monkeypatch.setattr(lead_confirmed, "_RESAMPLES", 1000)
    lead_confirmed.confirmed.cache_clear()
    yield lead_confirmed
    lead_confirmed.confirmed.cache_clear()


def run(digits: str, *, compression: float = 4.0, seed: int = 0) -> dict[str, Any]:
    both = np.array(list(digits), dtype=int)
    shares = {
        "accuracy": float((both > 0).mean()),
        **{f"under_{name}": float((both == 2).mean()) for name in ("both", "textfooler")},
        **dict.fromkeys(("under_pwws", "under_deepwordbug", "under_textbugger"), 0.125),
        "under_genetic": 0.25,
        "worst_class_under_both": 0.125,
    }
    return {"seed": seed, "compression": compression, "outcomes": {"both": digits}, **shares}


def drawn(rng: np.random.Generator, right: float, stands: float, texts: int = 400) -> str:
    shares = [1 - right, right - stands, stands]
    return "".join(map(str, rng.choice(3, size=texts, p=shares)))


def test_texts_add_up_to_the_fitness_of_the_search(module: Any) -> None:
    found = module.text_fitness(run("0122", compression=4.0)).mean()
    fitness = rs.Fitness({"robustness": 1.0, "accuracy": 4.0, "compression": 0.1})
    metrics = {"accuracy": 0.75, "accuracy_under_attack": 0.5, "compression": 4.0}
    assert found == pytest.approx(fitness.score(metrics).values[0])


def test_intervals_hold_the_true_difference(module: Any) -> None:
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        these = [run(drawn(rng, 0.8, 0.5)) for _ in range(9)]
        those = [run(drawn(rng, 0.78, 0.46)) for _ in range(9)]
        found = module.difference(these, those)
        assert found.low < found.estimate < found.high
        hits += found.low <= 0.04 + 4 * 0.02 <= found.high
    assert hits >= 52


def test_what_genomes_share_by_seed_counts_once_a_seed(module: Any) -> None:
    rng = np.random.default_rng(3)
    levels = (0.95, 0.7, 0.45)
    those = [run(drawn(rng, 0.6, 0.3), seed=seed) for seed in range(3)]
    widths = []
    for genomes in (1, 3):
        these = [
            run(drawn(rng, level, level / 2), seed=seed)
            for _ in range(genomes)
            for seed, level in enumerate(levels)
        ]
        found = module.difference(these, those * genomes)
        widths.append(found.high - found.low)
    assert widths[1] > 0.85 * widths[0]  # of nine independent trainings: 0.6


def test_equal_texts_leave_the_compression_alone(module: Any) -> None:
    digits = drawn(np.random.default_rng(0), 0.8, 0.5)
    found = module.difference([run(digits, compression=8.0)], [run(digits, compression=4.0)])
    assert tuple(found) == pytest.approx((0.1, 0.1, 0.1))


def test_tables(module: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    levels = {"search": 0.9, "random": 0.7, "second": 0.9}
    made = {
        f"{kind} {place}": {
            "runs": [run(drawn(rng, level, level / 2), seed=seed) for seed in range(3)]
        }
        for kind, level in levels.items()
        for place in (1, 2, 3)
    }
    (tmp_path / "lead-films.json").write_text(json.dumps(made))
    head, *rows = module.differences("films")
    assert head[3:] == ["fitness", "accuracy", "under both", "of the fitness by size"]
    first, second, random = "chosen by a model", "chosen in the second round", "random samples"
    pairs = [(first, random), (second, first), (second, random)]
    expected = [[*pair, f"the best{n}"] for pair in pairs for n in ("", " 3")]
    assert [row[:3] for row in rows] == expected
    for *_, fitness, accuracy, under, size in (*rows[:2], *rows[4:]):
        lows = [
            float(cell.partition("(")[2].split(" to ")[0]) for cell in (fitness, accuracy, under)
        ]
        assert 0.5 < lows[0] < 0.2 * 4.5
        assert 12 < lows[1] < 20
        assert 0 < lows[2] < 10
        assert size == "+0.000"
    del made["random 3"]  # not confirmed yet
    (tmp_path / "lead-shows.json").write_text(json.dumps(made))
    names = [row[2] for row in module.differences("shows")[1:] if row[1] == random]
    assert names == ["the best", "the best"]
    made = module.confirmed("films")
    columns, *rows = module.students("films")
    assert [row[0] for row in rows] == list(made)
    assert {len(row) for row in rows} == {len(columns)}
    first = dict(zip(columns, rows[0], strict=True))
    assert 85 < float(first["accuracy"].split(" ± ")[0]) < 95
    assert first["genetic"] == "25.0 ± 0.0"


def test_the_parts_add_up_to_the_fitness(module: Any) -> None:
    rng = np.random.default_rng(2)
    these, those = (
        [run(drawn(rng, right, 0.4), compression=c)] for right, c in ((0.8, 6), (0.7, 5))
    )
    parts = [
        module.difference(these, those, lambda one, k=k: module.text_shares(k, one)).estimate
        for k in (1, 2)
    ]
    size = 0.1 * np.log2(6 / 5)
    whole = 4 * parts[0] / 100 + parts[1] / 100 + size
    assert module.difference(these, those).estimate == pytest.approx(whole)


def test_both_sides_of_textattack(module: Any, tmp_path: Path) -> None:
    one = {"accuracy": 0.8, "under_pwws": 0.5, "under_deepwordbug": 0.625}
    found = {"rosearch": one, "textattack": {"version": "0.3.11", **one, "under_pwws": 0.375}}
    (tmp_path / "lead-films-textattack.json").write_text(json.dumps(found))
    assert module.by_textattack("films") == [
        ["attacked by", "accuracy", "PWWS", "DeepWordBug"],
        ["TextAttack 0.3.11", "80.0", "37.5", "62.5"],
        ["rosearch", "80.0", "50.0", "62.5"],
    ]


def test_a_report_becomes_a_digit_for_each_text(module: Any, dataset: rs.TextDataset) -> None:
    import first_search

    texts = dataset[:12]

    def victim(given: Any) -> list[list[float]]:
        # Right about the first class, and about misspelt texts of neither.
        return [[0.6, 0.4] if text in texts.texts else [0.4, 0.6] for text in given]

    evaluator = rs.RobustnessEvaluator("deepwordbug", texts, progress=False)
    report = evaluator.evaluate(victim)
    found = first_search.outcomes_of(report)
    assert found == "".join("01"[one.label == 0] for one in report.examples)
    constant = evaluator.evaluate(lambda given: [[0.6, 0.4]] * len(given))
    assert first_search.outcomes_of(constant) == found.replace("1", "2")
    metrics = first_search.attacked({"one": evaluator}, victim, outcomes=(kept := {}))
    assert kept == {"one": found}
    assert metrics["accuracy"] == 0.5
    assert metrics["under_one"] == 0
