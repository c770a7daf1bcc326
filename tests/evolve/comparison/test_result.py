"""Curves, summaries, tables and plots of a comparison."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from rosearch.evolve.comparison.result import Comparison, SimulatedRun

NAN = math.nan


def run(seed, best, seconds=None):
    best = np.array(best, dtype=float)
    return SimulatedRun(seed, best, np.array(seconds or range(10, 10 + 10 * len(best), 10)) * 1.0)


HAND = Comparison(
    {
        "slow": (run(0, [NAN, 0.5, 0.9, 1.0]), run(1, [0.2, 0.2, 0.2, 0.995]), run(2, [0.1] * 4)),
        "fast": (run(0, [0.991, 1.0], [3, 5]), run(1, [0.5, 0.99], [3, 9]), run(2, [1.0], [4])),
    },
    best=1.0,
)


def test_reached_by_evaluations_and_seconds():
    assert HAND.target(0.01) == pytest.approx(0.99)
    assert HAND.reached("slow").tolist() == [4, 4, math.inf]
    assert HAND.reached("slow", by="seconds").tolist() == [40, 40, math.inf]
    assert HAND.reached("fast").tolist() == [1, 2, 1]
    assert HAND.reached("fast", by="seconds").tolist() == [3, 9, 4]
    assert HAND.reached("slow", share=0.1).tolist() == [3, 4, math.inf]


def test_target_of_a_negative_fitness_is_below_it():
    below = Comparison({"one": (run(0, [-3.0, -2.0]),)}, best=-2.0)
    assert below.target(0.01) == pytest.approx(-2.02)


def test_summary_against_the_baseline():
    slow, fast = HAND.summary()
    assert (slow.reached, slow.evaluations, slow.seconds) == (pytest.approx(2 / 3), 4, 40)
    assert slow.speedup == 1
    assert math.isnan(slow.p_value)
    assert (fast.reached, fast.evaluations, fast.seconds) == (1, 1, 4)
    assert fast.speedup == 10
    # Of the 20 orders of six values, the two extreme ones are as far apart; exact where untied.
    assert 0.05 < fast.p_value < 0.1
    assert fast.final == 1.0
    other = HAND.summary(baseline="fast")
    assert other[0].speedup == pytest.approx(0.1)
    assert math.isnan(other[1].p_value)


def test_coverage_of_the_intervals():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        times = rng.exponential(size=40)
        runs = tuple(run(i, [1.0], [t]) for i, t in enumerate(times))
        low, high = Comparison({"one": runs}, best=1.0).summary()[0].seconds_interval
        inside += low <= math.log(2) <= high
    assert 0.93 < inside / 400 <= 0.99


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 9])
def test_interval_needs_six_runs(count):
    # From 6 runs on the extremes hold the median with 1 - 2 / 2**6 = 0.97.
    runs = tuple(run(i, [1.0], [i + 1.0]) for i in range(count))
    found = Comparison({"one": runs}, best=1.0)
    (one,) = found.summary()
    for interval in (one.seconds_interval, one.evaluations_interval):
        assert all(math.isnan(end) for end in interval) == (count < 6)
    assert ("nan" in str(found), " to " in str(found)) == (False, count >= 6)
    if count >= 6:
        low, high = one.seconds_interval
        held = sum(math.comb(count, k) for k in range(int(low), int(high))) / 2**count
        assert 0.95 <= held < 1


def test_median_of_an_even_number_of_runs():
    four = [run(i, [0.1 * i, 1 - 0.001 * i], [1.0, 2.0 + i]) for i in range(4)]
    (one,) = Comparison({"one": tuple(four)}, best=1.0).summary()
    assert (one.seconds, one.final) == (3.5, pytest.approx(0.9985))
    _, median, low, high = Comparison({"one": tuple(four)}, best=1.0).curve("one")
    assert median.tolist() == pytest.approx([0.15, 0.9985])
    assert (low < median).all()
    assert (high > median).all()
    half = (*four[:2], run(2, [0.1]), run(3, [0.1]))
    (one,) = Comparison({"one": half}, best=1.0).summary()
    assert (one.reached, one.evaluations, one.seconds) == (0.5, math.inf, math.inf)


def test_speedup_of_searches_that_take_no_time():
    free = tuple(run(i, [1.0], [0.0]) for i in range(6))
    other = tuple(run(i, [1.0], [5.0]) for i in range(6))
    first, second = Comparison({"free": free, "also free": free}, best=1.0).summary()
    assert math.isnan(first.speedup)
    assert math.isnan(second.speedup)
    found = Comparison({"other": other, "free": free}, best=1.0)
    assert [s.speedup for s in found.summary()] == [1, math.inf]
    assert found.summary(baseline="free")[0].speedup == 0
    assert "inf" in str(found)


def test_curves_are_steps():
    places, median, low, high = HAND.curve("slow")
    assert places.tolist() == [1, 2, 3, 4]
    assert median.tolist() == [0.1, 0.2, 0.2, 0.995]
    assert np.isnan(low[0])
    assert low[1:].tolist() == [0.1, 0.1, 0.1]
    assert (high >= median).all()
    places, median, *_ = HAND.curve("fast", by="seconds")
    assert places[-1] == 9
    assert np.isnan(median[places < 3]).all()
    assert median[(places >= 3) & (places < 4)].tolist() == pytest.approx(
        [0.5] * ((places >= 3) & (places < 4)).sum()
    )
    assert median[-1] == 1.0


def test_table_data_frame_and_plot(tmp_path):
    text = str(HAND)
    assert "against slow" in text
    assert text.splitlines()[2].split()[:3] == ["slow", "67%", "4"]
    assert "10.00" in text
    frame = HAND.to_pandas()
    assert len(frame) == 12 + 5
    assert frame.groupby("strategy")["seconds"].max().to_dict() == {"slow": 40, "fast": 9}
    for by in ("evaluations", "seconds"):
        figure = HAND.plot(tmp_path / f"{by}.png", by=by)
        assert (tmp_path / f"{by}.png").stat().st_size > 5000
        axes = figure.axes[0]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == [
            "slow", "fast", "best known",
        ]  # fmt: skip


def test_runs_that_found_nothing_feasible_are_below_the_others():
    def final(*finals):
        runs = tuple(run(seed, [final]) for seed, final in enumerate(finals))
        return Comparison({"r": runs}, best=1.0).summary()[0].final

    assert final(0.5, NAN, 0.9) == 0.5
    assert final(0.5, NAN, 0.9, 0.7) == pytest.approx(0.6)
    assert math.isnan(final(NAN, 0.5, NAN))
    assert math.isnan(final(NAN, 0.5))


def test_p_value_is_nan_without_scipy(monkeypatch):
    assert not math.isnan(HAND.summary()[1].p_value)
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    assert math.isnan(HAND.summary()[1].p_value)
    assert str(HAND)
