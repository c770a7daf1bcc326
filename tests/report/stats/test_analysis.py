"""Statistics of whole studies: findings, rows that are left out, arguments."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import rosearch as rs
from rosearch.errors import ArgumentError, MissingResourceError, StatisticsError
from rosearch.report import statistics
from rosearch.report.stats.records import RELATIVE_ROBUSTNESS
from rosearch.space import SearchSpace
from tests.report.studies import column, genomes, noise, result, standard, study, trial


def few(genome):
    """Three descriptors, for tests that are not about descriptors."""
    return {"width": genome.width, "nodes": len(genome.nodes), "outputs": len(genome.outputs)}


def quick(search, **settings):
    return statistics(search, **({"trees": 0, "resamples": 100, "describe": few} | settings))


def found(relations, measure):
    """Descriptors whose relation with one measure counts as shown."""
    return {
        r.name
        for r in relations
        if r.measure == measure and r.p_corrected < 0.05 and r.excludes_null
    }


@pytest.fixture(scope="module")
def planted():
    """Width raises robustness and attention raises accuracy; nothing else has an effect."""
    rng = np.random.default_rng(0)
    width = standard(np.log(column("width")))
    attention = standard(column("family_attention"))
    accuracy = 0.8 + 0.02 * attention + rng.normal(0, 0.02, 150)
    return study(0.2 + 0.03 * width + 0.5 * (accuracy - 0.8) + rng.normal(0, 0.02, 150), accuracy)


@pytest.fixture(scope="module")
def report(planted):
    return statistics(planted, resamples=300, trees=30)


def test_planted_relations_are_found(report):
    assert report.n == 150
    assert report.measures == ("accuracy_under_attack", "accuracy", RELATIVE_ROBUSTNESS)
    assert "width" in found(report.correlations, "accuracy_under_attack")
    assert "width" in found(report.correlations, RELATIVE_ROBUSTNESS)
    assert "width" not in found(report.correlations, "accuracy")
    assert "family_attention" in found(report.correlations, "accuracy")
    # Attention makes robust only through accuracy.
    assert "family_attention" not in found(report.correlations, RELATIVE_ROBUSTNESS)
    # With parameters held fixed, width still does.
    assert "width" in found(report.partial, RELATIVE_ROBUSTNESS)
    right = [r for r in report.partial if r.measure == "accuracy"]
    assert max(right, key=lambda r: abs(r.estimate)).name == "family_attention"
    given = {(r.measure, r.given) for r in report.partial}
    assert given == {
        (RELATIVE_ROBUSTNESS, ("parameters", "accuracy")),
        ("accuracy", ("parameters",)),
    }
    assert "parameters" not in {r.name for r in report.partial}
    by_name = {r.name: r for r in report.correlations if r.measure == "accuracy"}
    assert by_name["family_attention"].low > 0.3
    assert by_name["family_attention"].estimate < by_name["family_attention"].high


def test_the_forest_finds_a_planted_relation(report):
    forests = {forest.measure: forest for forest in report.forests}
    assert forests["accuracy_under_attack"].predicts
    assert 0.2 < forests["accuracy"].r2 < 0.7
    needs = [i for i in report.importances if i.measure == RELATIVE_ROBUSTNESS]
    best = max(needs, key=lambda i: i.estimate)
    assert best.name == "width"
    assert best.excludes_null
    assert best.p_corrected < 0.01
    assert any("width is important for predicting robustness" in s for s in report.findings)
    unrelated = {"family_recurrence", "pooling_max", "residuals"}
    assert not [i for i in needs if i.name in unrelated and i.p_corrected < 0.05]


def test_findings_give_n_and_interval_and_agree_with_the_tables(report):
    text = "\n".join(report.findings)
    assert "Higher family_attention goes with higher accuracy: rank correlation 0." in text
    for sentence in report.findings:
        assert "n = 150" in sentence
        told = re.match(r"Higher (\S+) .*goes with (?:higher|lower) ([^:]+): rank", sentence)
        if told:
            measure = told[2].replace(" ", "_")
            assert told[1] in found(report.correlations, measure)
            assert "95 % interval" in sentence


def test_a_study_without_relations_says_so():
    report = statistics(study(*noise(3)), resamples=100, trees=10)
    assert not found(report.correlations, "accuracy")
    assert report.importances == ()
    sentences = [s for s in report.findings if "no descriptor is shown" in s.lower()]
    assert len(sentences) == 5
    assert any("does not predict accuracy" in s for s in report.findings)
    # 73 or so tests at n = 150: the figure for a power of 0.8 by Fisher's transformation.
    assert 0.30 < float(sentences[0].split("correlation of ")[1][:4]) < 0.40
    assert int(sentences[0].split("needs n = ")[1].rstrip(".")) > 150


@pytest.mark.slow
def test_false_findings_are_rarer_than_promised():
    # 24 studies without any relation; Holm promises a false claim in at most 5 % of them for each
    # table. More than 4 of 24 would happen once in 170 times at exactly that rate.
    false = {"correlations": 0, "partial": 0, "enrichment": 0}
    for seed in range(24):
        robustness, accuracy = noise(seed, 100)
        report = quick(study(robustness, accuracy), describe=None)
        shown = [s for s in report.findings if " goes with " in s]
        plain = [s for s in shown if "held fixed" not in s]
        false["correlations"] += bool(plain)
        false["partial"] += len(shown) > len(plain)
        false["enrichment"] += any(" frequent in the front: " in s for s in report.findings)
    assert max(false.values()) <= 4, false


def test_equal_arguments_give_equal_results_and_the_seed_matters(planted):
    first = quick(planted, seed=1)
    assert first == quick(planted, seed=1)
    other = quick(planted, seed=2)
    assert other != first
    assert [r.estimate for r in other.correlations] == [r.estimate for r in first.correlations]


def test_students_near_chance_are_left_out():
    robustness, accuracy = noise(0, 60)
    accuracy[:12], robustness[:12] = 0.5, 0.5  # constant answers, which no attack changes
    search = study(robustness, accuracy)
    report = quick(search)
    assert report.left_out == {"near_chance": 12}
    assert report.n == 48
    assert any("12 no better than the majority class" in note for note in report.notes)
    assert not set(report.front) & set(range(12))
    every = quick(search, majority=None)
    assert every.n == 60
    assert set(every.front) & set(range(12))
    # The share of the largest class and the number of examples decide.
    assert quick(search, majority=0.4).n == 60
    assert quick(search, majority=0.4, examples=50).n == 48


def test_notes_state_the_assumptions_on_chance():
    search = study(*noise(0, 40))
    report = quick(search, majority=0.6, examples=300)
    assert (report.majority, report.examples) == (0.6, 300)
    data = report.to_dict()
    assert (data["majority"], data["examples"]) == (0.6, 300)
    assert any("share of 0.6" in note and "300 examples" in note for note in report.notes)
    every = quick(search, majority=None)
    assert every.majority is None
    assert any("near chance are included" in note for note in every.notes)
    with pytest.raises(StatisticsError, match=r"majority=0\.9 and examples=300"):
        quick(search, majority=0.9, examples=300)


def test_accuracy_in_percent_is_refused_unless_majority_is_none():
    robustness, accuracy = noise(0, 40)
    with pytest.raises(StatisticsError, match="majority=None"):
        quick(study(robustness, accuracy * 100))
    assert quick(study(robustness, accuracy * 100), majority=None).n == 40


def test_left_out_trials_are_counted_by_reason():
    robustness, accuracy = noise(1, 40)
    bad = {"accuracy": 0.8, "accuracy_under_attack": 0.1, "compression": 5.0}
    search = study(
        robustness,
        accuracy,
        extra=[
            trial(40, genomes()[41], bad, "failed"),
            trial(41, genomes()[42], bad, "running"),
            dataclasses.replace(
                trial(42, genomes()[43], bad), metrics=bad | {"accuracy": math.nan}
            ),
            trial(43, genomes()[0], bad),  # the first architecture again
        ],
    )
    report = quick(search)
    assert report.left_out == {"failed": 1, "running": 1, "not_finite": 1, "repeated": 1}
    assert report.n == 40


def test_repeated_trials_of_an_architecture_are_averaged():
    robustness, accuracy = noise(1, 40)
    twice = study(robustness, accuracy)
    again = [dataclasses.replace(t, number=t.number + 40) for t in twice.trials]
    both = quick(result([*twice.trials, *again]))
    once = quick(twice)
    assert both.n == 40
    assert both.correlations == once.correlations
    assert set(both.front) == set(once.front) | {number + 40 for number in once.front}


def test_candidates_are_compared_at_one_rung():
    robustness, accuracy = noise(1, 60)
    search = study(robustness, accuracy)
    low = [{**t.metrics, "accuracy": t.metrics["accuracy"] - 0.1} for t in search.trials]
    trials = [
        dataclasses.replace(t, rungs=(low[i], t.metrics), rung=1) if i < 30
        else dataclasses.replace(t, state="stopped", metrics=low[i], rungs=(low[i],), rung=0)
        for i, t in enumerate(search.trials)
    ]  # fmt: skip
    search = rs.SearchResult("rungs", tuple(trials), ())
    last = quick(search)
    assert last.n == 30
    assert last.left_out == {"stopped": 30}
    assert any("rung=0 compares all" in note for note in last.notes)
    assert last.correlations == quick(study(robustness[:30], accuracy[:30])).correlations
    first = quick(search, rung=0)
    assert first.n == 60
    assert first.left_out == {}
    # A shift of all accuracies changes no rank.
    whole = quick(study(robustness, accuracy))
    assert [r.estimate for r in first.correlations] == [r.estimate for r in whole.correlations]
    with pytest.raises(StatisticsError, match="60 stopped at a lower rung"):
        quick(search, rung=2)


def test_too_few_architectures_are_refused_with_the_counts():
    robustness, accuracy = noise(1, 25)
    accuracy[:10] = 0.5
    with pytest.raises(StatisticsError, match=r"at least 20 .* has 15\..*10 no better"):
        quick(study(robustness, accuracy))
    with pytest.raises(StatisticsError, match="has 0"):
        quick(rs.SearchResult("empty", (), ()))
    assert quick(study(robustness, accuracy), majority=None).n == 25


def test_a_constant_measure_is_noted_and_not_tested():
    _, accuracy = noise(1, 40)
    report = statistics(study(np.zeros(40), accuracy), resamples=100, trees=10, describe=few)
    assert report.measures == ("accuracy",)
    assert {forest.measure for forest in report.forests} == {"accuracy"}
    assert any("accuracy_under_attack is 0 for every architecture" in n for n in report.notes)
    nothing = statistics(study(np.zeros(40), np.full(40, 0.8)), resamples=100, trees=10)
    assert nothing.measures == ()
    assert nothing.correlations == nothing.partial == nothing.importances == ()


def test_notes_mention_ties():
    robustness, accuracy = noise(1, 40)
    robustness[:20] = 0
    notes = quick(study(robustness, accuracy)).notes
    assert any(
        "20 of 40 architectures share one value of accuracy_under_attack" in n for n in notes
    )


def test_collinear_descriptors_are_tested_once():
    robustness, accuracy = noise(1, 60)

    def describe(genome):
        return {
            "nodes": len(genome.nodes),
            "twice": 2 * len(genome.nodes) + 1,
            "width": genome.width,
            "constant": 3,
            "rare": genome.key == genomes()[0].key,
        }

    report = quick(study(robustness, accuracy), describe=describe)
    assert report.groups == (("nodes", "twice"),)
    assert report.unused == {
        "constant": "is 3 for every architecture",
        "rare": "differs from its most frequent value in only 1 architectures",
    }
    assert {r.name for r in report.correlations} == {"nodes", "width"}
    assert any("nodes = twice" in note for note in report.notes)
    # The number of parameters is held fixed though it is no descriptor here.
    assert {r.given for r in report.partial} == {("parameters", "accuracy"), ("parameters",)}


def test_custom_descriptors_must_be_finite_and_have_the_same_names():
    search = study(*noise(1, 40))
    with pytest.raises(StatisticsError, match="'odd' is missing or not finite"):
        quick(search, describe=lambda genome: {"odd": math.inf})
    with pytest.raises(StatisticsError, match="same names"):
        quick(search, describe=lambda genome: {str(len(genome.nodes)): 1.0})


def test_front_is_over_the_chosen_metrics():
    robustness, accuracy = noise(1, 60)
    search = study(robustness, accuracy)
    size = column("parameters", 60)
    report = quick(search)
    assert report.objectives == ("accuracy", "accuracy_under_attack", "compression")
    alone = quick(search, front=("parameters",))
    assert alone.front == tuple(np.flatnonzero(size == size.min()))  # fewer is better
    own = quick(search, front="search")
    assert own.objectives == ("search.front",)
    assert own.front == tuple(t.number for t in search.front)
    with pytest.raises(ArgumentError, match="must be 'search' or metrics of the study"):
        quick(search, front=("speed",))


@pytest.mark.parametrize(
    "settings",
    [
        {"majority": 1.5},
        {"examples": 0},
        {"correction": "none"},
        {"confidence": 95},
        {"resamples": 10},
        {"trees": -1},
        {"rung": -1},
    ],
)
def test_arguments_out_of_range_are_refused(settings):
    with pytest.raises(ArgumentError, match=f"{next(iter(settings))} must be"):
        quick(study(*noise(1, 40)), **settings)


def test_an_unknown_metric_leaves_no_architectures():
    with pytest.raises(StatisticsError, match="40 with a missing or non-finite metric"):
        quick(study(*noise(1, 40)), robustness="robust")


def test_statistics_of_a_stored_search(tmp_path):
    from tests.evolve.evaluations import FITNESS, SPACE, synthetic

    def describe(genome):
        return {"convolutions": sum("convolution" in node.operator for node in genome.nodes)}

    evolver = rs.Evolver(SPACE, synthetic, FITNESS, storage=f"sqlite:///{tmp_path}/s.db", seed=0)
    report = rs.statistics(evolver.run(candidates=25), trees=0, resamples=100, describe=describe)
    assert report.n + sum(report.left_out.values()) == 25
    assert "convolutions" in found(report.correlations, "accuracy_under_attack")


def test_json_and_pandas_hold_all_tables(report):
    data = json.loads(report.to_json())
    assert data == report.to_dict()
    assert data["n"] == 150
    assert len(data["correlations"]) == len(report.correlations)
    assert data["correlations"][0]["name"] == report.correlations[0].name
    assert data["findings"] == list(report.findings)
    frame = report.to_pandas()
    assert frame["table"].value_counts().to_dict() == {
        name: len(getattr(report, name))
        for name in ("correlations", "partial", "forests", "importances", "enrichment")
    }
    assert list(frame.columns[:6]) == ["table", "name", "measure", "given", "estimate", "low"]
    assert frame["estimate"].notna().all()
    forest = frame[frame["table"] == "forests"].iloc[0]
    assert forest["estimate"] == report.forests[0].r2


def test_an_infinite_odds_ratio_is_none_in_json(report):
    one = dataclasses.replace(report.enrichment[0], estimate=math.inf, high=math.inf)
    data = json.loads(dataclasses.replace(report, enrichment=(one,)).to_json())
    assert data["enrichment"][0]["estimate"] is None
    assert data["enrichment"][0]["low"] == one.low


def test_the_text_shows_findings_tables_and_notes(report):
    text = str(report)
    assert text.startswith("Statistics of the study 'study': 150 architectures\n\nFindings\n- ")
    assert "Rank correlations, n = 150" in text
    assert "Permutation importances, n = 150" in text
    assert "treat them as independent" in text.splitlines()[-1]
    empty = dataclasses.replace(report, correlations=(), partial=(), importances=(), enrichment=())
    assert "Rank correlations" not in str(empty)


def test_a_missing_package_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    search = study(*noise(1, 40))
    with pytest.raises(MissingResourceError, match=r"sklearn .*pip install 'rosearch\[report"):
        statistics(search, resamples=100)
    assert quick(search).n == 40  # without forests nothing of it is needed
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingResourceError, match="needs pandas"):
        quick(search)


def test_the_example_of_the_documentation_runs():
    page = (Path(__file__).parents[3] / "docs" / "statistics.md").read_text(encoding="utf-8")
    example = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1]
    names = {}
    exec(compile(example, "statistics.md", "exec"), names)
    findings = names["report"].findings
    assert any("Higher width goes with higher accuracy under attack" in f for f in findings)
    assert any("No descriptor is shown to relate to accuracy (" in f for f in findings)


@pytest.mark.usefixtures("encodings")
def test_encodings_are_descriptors():
    rng = np.random.default_rng(0)
    space = SearchSpace(encodings=["lower_case", "merged"])
    trials = []
    for number in range(80):
        genome = space.sample(seed=number)
        strength = sum(e.parameters.get("strength", 0) for e in genome.encodings)
        under = 0.2 + 0.5 * strength + rng.normal(0, 0.02)
        accuracy = rng.normal(0.8, 0.02)
        metrics = {"accuracy": accuracy, "accuracy_under_attack": under, "compression": 5.0}
        trials.append(trial(number, genome, metrics))
    report = statistics(result(trials), resamples=100, trees=0)
    names = {r.name for r in report.correlations} | set(chain(*report.groups))
    encodings = {name for name in names if name.startswith("encoding_")}
    assert encodings == {"encoding_lower_case", "encoding_merged", "encoding_merged.strength"}
    planted = found(report.correlations, "accuracy_under_attack") & encodings
    assert planted
    assert "encoding_lower_case" not in planted
    assert {e.name for e in report.enrichment if e.kind == "encoding"} == {"lower_case", "merged"}


def test_studies_without_encodings_have_no_descriptors_of_them(report):
    names = {r.name for r in report.correlations} | set(report.unused)
    assert not [name for name in names if name.startswith("encoding")]
    assert {e.kind for e in report.enrichment} == {"operator", "edge"}


@pytest.fixture(scope="module")
def confounded():
    """Characters make robust and go with many nodes; nodes have no effect of their own."""
    rng = np.random.default_rng(3)
    nodes = column("nodes")
    reads = np.array([f"in_{'ab'[int(x)]}" for x in nodes + rng.normal(0, 2, 150) > nodes.mean()])
    robust = 0.2 + 0.1 * (reads == "in_b") + rng.normal(0, 0.02, 150)
    inputs = dict(zip([g.key for g in genomes()], reads, strict=True))

    def described(genome):
        one = {f"input_{name}": float(inputs[genome.key] == name) for name in ("in_a", "in_b")}
        return few(genome) | one

    return study(robust, 0.8 + rng.normal(0, 0.01, 150)), described


def test_a_category_is_held_fixed_in_correlations_forests_and_findings(confounded):
    search, describe = confounded
    plain = quick(search, describe=describe, trees=5)
    assert {"nodes", "input_in_a"} <= found(plain.correlations, "accuracy_under_attack")
    assert plain.forests[0].predicts
    held = quick(search, describe=describe, given=["input"], trees=5)
    relations = (*held.correlations, *held.partial)
    assert not {r.name for r in relations} & {"input_in_a", "input_in_b"}
    assert found(held.correlations, "accuracy_under_attack") == set()
    assert found(held.partial, RELATIVE_ROBUSTNESS) == set()
    assert {r.given for r in held.correlations} == {("input",), ("input", "accuracy")}
    assert {r.given for r in held.partial} == {
        ("parameters", "input"),
        ("parameters", "input", "accuracy"),
    }
    assert not held.forests[0].predicts
    text = " ".join(held.findings)
    assert "With input held fixed, no descriptor is shown to relate to accuracy under" in text
    assert "With parameters, input and accuracy held fixed, no descriptor" in text
    assert "does not predict accuracy under attack with input held fixed" in text
    one = quick(search, describe=describe, given=["input_in_b"])
    for ours, theirs in zip(held.correlations, one.correlations, strict=True):
        assert ours.estimate == pytest.approx(theirs.estimate)
        assert ours.p == pytest.approx(theirs.p)  # two columns that sum to 1 are one


def test_what_is_held_fixed_must_be_descriptors(confounded):
    search, describe = confounded
    with pytest.raises(ArgumentError, match=r"given must be a sequence .* got 'input'"):
        quick(search, describe=describe, given="input")
    with pytest.raises(ArgumentError, match=r"each of given must be .*width.*got 'widht'"):
        quick(search, describe=describe, given=["widht"])


def test_inputs_are_descriptors(report):
    tested = {name for group in report.groups for name in group}
    tested |= {r.name for r in report.correlations} | set(report.unused)
    assert {f"input_{name}" for name in rs.operators.EMBEDDINGS} <= tested
