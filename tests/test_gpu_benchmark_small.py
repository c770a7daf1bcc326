"""The GPU benchmark runs with small sizes on any machine."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*has learnt nothing that counts")
def test_small_run_measures_every_part(capsys):
    gpu = importlib.import_module("gpu")
    rows = gpu.main(["--small"])
    names = " ".join(what for what, _, _ in rows)
    for part in (
        "device",
        "copy",
        "merge_normalize of 4",
        "depthwise 31 silu",
        "gated gelu",
        "feed_forward forward and backward",
        "student of 12 nodes",
        "one at a time",
        "rosearch, bfloat16 screen",
        "teacher's answers",
        "distilling 12 nodes",
    ):
        assert part in names
    assert all(figure for _, figure, _ in rows)
    # The table comes last, a line a row.
    printed = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in printed[-len(rows) :]] == [row[0] for row in rows]


def test_parts_after_the_time_limit_are_listed(capsys):
    gpu = importlib.import_module("gpu")
    rows = gpu.main(["--small", "--minutes", "-1", "--parts", "kernels", "student"])
    assert [row[:2] for row in rows] == [("kernels", "left out"), ("student", "left out")]
