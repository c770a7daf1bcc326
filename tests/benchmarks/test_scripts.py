"""Benchmarks of the search run, on next to nothing, and print their tables."""

from __future__ import annotations

import importlib
import re
import sys

import pytest


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a script of benchmarks/ with arguments; gives what it prints."""

    def main(name, arguments):
        monkeypatch.setattr(sys, "path", list(sys.path))  # some add a folder
        monkeypatch.setattr(sys, "argv", [name, *arguments.split()])
        module = importlib.import_module(name)
        for constant in {"ROUNDS", "PAST"} & set(vars(module)):
            monkeypatch.setattr(module, constant, 12)
        module.main()
        return capsys.readouterr().out

    return main


@pytest.mark.slow
def test_ledger(run):
    printed = run("ledger", "--rounds 3 --trials 20")
    assert re.search(r"in memory.* \d+ rounds a second", printed)
    assert re.search(r"sqlite, on 20 trials +[\d.]+ ms a round", printed)
    assert re.search(r" [1-9][\d.]* statements and [\d.]+ commits a round", printed)
    assert re.search(r"pool of 200 .* on 12 trials \(the best have \d+ nodes\)", printed)


def test_space(run):
    printed = run("space", "--genomes 20")
    for row in ("sample", "mutate", "cost of its parts", "cost of its student"):
        assert len(re.findall(rf"{row} +[\d,]+$", printed, re.MULTILINE)) == 3


def test_strategies(run):
    printed = run("strategies", "--seeds 2 --candidates 12 --workers 0 --strategies random")
    assert re.search(r"^random\b.*\d+%", printed, re.MULTILINE)


def test_prediction(run):
    assert re.search(r"\d\.\d\d", run("prediction", "--draws 1"))


def test_taggers(run, tmp_path):
    pytest.importorskip("textblob")
    rows = [("the", "DET"), ("good", "ADJ"), ("film", "NOUN"), ("ended", "VERB"), ("badly", "ADV")]
    lines = (f"{k}\t{word}\t_\t{tag}" for k, (word, tag) in enumerate(rows, start=1))
    (tmp_path / "small.conllu").write_text("# text\n" + "\n".join(lines) + "\n\n")
    printed = run("taggers", str(tmp_path / "small.conllu"))
    assert printed.startswith("4 words of small.conllu")
    assert re.search(r"\| textblob \S+ lower case \| 100.0 \| 100.0 \| 100.0 \|", printed)
