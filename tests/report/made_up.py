"""Studies of many candidates that took no training."""

from __future__ import annotations

import math
from dataclasses import replace

from rosearch.attack.report.results import AttackResult
from rosearch.attack.report.summary import summarise
from rosearch.evolve import Failure, SearchResult, TrialRecord
from rosearch.fitness import Fitness
from rosearch.report import Enrichment, Forest, Importance, Relation, Statistics
from rosearch.seeding import generator
from rosearch.space import SearchSpace

FITNESS = Fitness({"robustness": 2.0, "accuracy": 1.0}, constraints={"compression": (4.0, None)})
PARETO = Fitness.pareto(["robustness", "accuracy", "compression"])
SPACE = SearchSpace(nodes=(0, 6), widths=(64, 96, 128, 160))


def settings(fitness=FITNESS, examples=100):
    attacker = {"attacks": [{"name": "pwws"}], "seed": 3, "examples": list(range(examples))}
    return {
        "evaluate": {"callable": "Pipeline", "settings": {"attacker": attacker, "length": 32}},
        "fitness": fitness.settings,
        "seed": 7,
    }


def metrics(genome, seed):
    """Figures in which convolutions make a student robust and width makes it right."""
    rng = generator(seed, "metrics")
    names = [node.operator for node in genome.nodes]
    share = sum("convolution" in name for name in names) / max(len(names), 1)
    parameters = 2e6 + 3e4 * genome.width + 1e5 * len(names)
    under = round(100 * min(0.9, 0.08 + 0.25 * share + 0.04 * rng.random())) / 100
    accuracy = round(0.74 + genome.width / 2500 + 0.03 * rng.random(), 3)
    return {
        "accuracy": accuracy,
        "accuracy_under_attack": under,
        "attack_success_rate": 1 - under / accuracy,
        "mean_queries": 100 + 80 * rng.random(),
        "parameters": parameters,
        "compression": 22.7e6 / parameters,
        "flops": 4e6 * (1 + len(names)),
        "latency": 0.0008 * (1 + len(names)),
        "seconds": 8 + 6 * rng.random(),
    }


def trial(number, fitness=FITNESS, failure=None, state="complete"):
    genome = SPACE.sample(seed=number)
    seed = 1000 + number
    found = metrics(genome, seed) if state == "complete" else {}
    return TrialRecord(
        number=number,
        genome=genome,
        key=genome.key,
        seed=seed,
        state=state,
        metrics=found,
        score=fitness.score(found) if found else None,
        seconds=found.get("seconds", math.pi if failure else None),
        failure=failure,
    )


def study(count=60, fitness=FITNESS, name="movie reviews", failure="CUDA out of memory"):
    """``count`` candidates, one of them failed and the last one running."""
    trials = [trial(k, fitness) for k in range(count)]
    if count > 10:
        failed = Failure("OutOfMemoryError", failure, f"Traceback ...\n{failure}")
        trials[5] = trial(5, failure=failed, state="failed")
        trials[-1] = trial(count - 1, state="running")
    versions = {"python": "3.11.7", "rosearch": "0.1.0", "torch": "2.13.0"}
    return SearchResult.from_trials(
        name, trials, fitness, settings=settings(fitness), versions=versions
    )


def report(texts=("a fine film", "a <b>dull</b> film", "fine & dandy"), attack="pwws"):
    """A report in which every second example is broken."""
    rows = []
    for k, text in enumerate(texts * 5):
        broken = k % 2 == 0
        rows.append(
            AttackResult(
                attack, k, text, 1, 1, "succeeded" if broken else "failed",
                text.replace("f", "g"), 0 if broken else 1, (1,), 3, 12,
            )
        )  # fmt: skip
    return summarise(rows, forward_rows=99, seconds=1.0, settings={"attacks": [attack]})


def statistics():
    """Statistics with a row in every table, one of them without an end."""
    relation = Relation(
        name="family_convolution", measure="accuracy_under_attack", given=(), estimate=0.6,
        low=0.4, high=0.8, p=0, p_corrected=0, n=58,
    )  # fmt: skip
    partial = replace(relation, name="depth", given=("parameters", "accuracy"), low=-0.2)
    importance = Importance(
        name="depth", measure="accuracy_under_attack", estimate=0.2, low=0.1, high=0.3, p=0,
        p_corrected=0, n=58,
    )  # fmt: skip
    attention = Enrichment(
        name="attention", kind="operator", estimate=math.inf, low=1.5, high=math.inf, p=0.01,
        p_corrected=0.04, front_with=5, front=9, others_with=0, others=49, n=58,
    )  # fmt: skip
    return Statistics(
        study="movie reviews", n=58, left_out={"failed": 1}, measures=("accuracy_under_attack",),
        objectives=("accuracy",), front=(1, 2), confidence=0.95, correction="holm", majority=0.5,
        examples=200, seed=0,
        correlations=(relation,), partial=(partial,),
        forests=(Forest("accuracy_under_attack", 0.5, 0.3, 0.7, 58),),
        importances=(importance,),
        enrichment=(attention,),
        groups=(), unused={}, findings=tuple(f"Finding {k}." for k in range(8)),
        notes=("A note.",),
    )  # fmt: skip
