"""The command line, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import rosearch as rs
from rosearch import cli
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.report import made_up

CSV = 'text,label\n"a fine, moving film",1\na dull film,0\n"a ""great"" film",1\n'


@pytest.fixture
def study(tmp_path):
    """An SQLite file with a finished study."""
    file = tmp_path / "search.db"
    evolver = rs.Evolver(
        SPACE, synthetic, FITNESS, storage=f"sqlite:///{file}", study="films", population=4
    )
    evolver.run(candidates=6, progress=False)
    return file


@pytest.fixture
def model(tmp_path):
    """A folder with a tiny classifier and its tokenizer."""
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        BertTokenizerFast,
    )

    words = "[PAD] [UNK] [CLS] [SEP] [MASK] a film fine dull great moving ##s".split()
    letters = [c for k in range(26) for c in (chr(97 + k), f"##{chr(97 + k)}")]
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join([*words, *letters, ",", '"']))
    config = BertConfig(
        vocab_size=len(words) + len(letters) + 2, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, id2label={0: "bad", 1: "good"},
        label2id={"bad": 0, "good": 1},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_attack_writes_the_report(model, tmp_path, capsys):
    data, out, page = (tmp_path / name for name in ("data.csv", "out.json", "out.html"))
    data.write_text(CSV)
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug"]
    assert cli.main([*line, "--json", str(out), "--html", str(page)]) == 0
    report = rs.RobustnessReport.from_json(out.read_text())
    assert report.n == 3
    assert sorted(r.label for r in report.examples) == [0, 1, 1]
    assert capsys.readouterr().out == f"deepwordbug: {report.attacks['deepwordbug']}\n"
    assert "<!doctype html>" in page.read_text()
    assert cli.main([*line, "--examples", "2"]) == 0
    assert "n = 2" in capsys.readouterr().out


def test_attack_with_several_recipes(model, tmp_path, capsys):
    data = tmp_path / "data.csv"
    data.write_text(CSV)
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug", "pruthi"]
    assert cli.main(line) == 0
    out = capsys.readouterr().out
    assert [row.split(":")[0] for row in out.splitlines()] == [
        "deepwordbug", "pruthi", "all together",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'x,y,c\n"a, b",c d,good\nq,r,0\n'),
        ("a.tsv", "x\ty\tc\na, b\tc d\tgood\nq\tr\t0\n"),
        (
            "a.jsonl",
            '{"x": "a, b", "y": "c d", "c": "good"}\n\n{"x": "q", "y": "r", "c": 0}\n',
        ),
    ],
)
def test_files_of_texts_and_of_pairs(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    pairs = cli._from_file(path, ("x", "y"), "c", ["bad", "good"])
    assert pairs.texts == (("a, b", "c d"), ("q", "r"))
    assert np.array_equal(pairs.labels, [1, 0])
    assert pairs.classes == ("bad", "good")
    assert cli._from_file(path, ("y",), "c", ["bad", "good"]).texts == ("c d", "r")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        # Numbers of JSON are indices, also where the names of the classes are numbers.
        ("a.jsonl", '{"text": "x", "label": 0}\n{"text": "y", "label": 2}\n', [0, 2]),
        ("a.jsonl", '{"text": "x", "label": "1"}\n{"text": "y", "label": "3"}\n', [0, 2]),
        # A column is names or indices as a whole.
        ("a.csv", "text,label\nx,1\ny,3\n", [0, 2]),
        ("a.csv", "text,label\nx,0\ny,1\nz,2\n", [0, 1, 2]),
    ],
)
def test_classes_whose_names_are_numbers(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_text(content)
    found = cli._from_file(path, ("text",), "label", ["1", "2", "3"])
    assert list(found.labels) == expected


def test_a_file_that_cannot_be_written_is_told_before_the_attack(model, tmp_path, capsys):
    data = tmp_path / "a.csv"
    data.write_text("text,label\na good film,1\n")
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug"]
    assert cli.main([*line, "--json", str(tmp_path / "none" / "a.json")]) == 1
    said = capsys.readouterr()
    assert "none/a.json is not there" in said.err
    assert not said.out


def test_the_side_of_pairs_and_the_budget(model, tmp_path):
    data = tmp_path / "a.csv"
    data.write_text("x,y,label\na good film,a bad one,1\na dull film,a fine one,0\n")
    line = ["attack", str(model), "--data", str(data), "--text", "x,y", "--recipe", "deepwordbug"]
    out = tmp_path / "a.json"
    assert cli.main([*line, "--attacked-side", "0", "--query-budget", "5", "--json", str(out)]) == 0
    settings = json.loads(out.read_text())["settings"]
    assert (settings["attacked_side"], settings["query_budget"]) == (0, 5)


def test_quotes_in_a_tsv_are_quotes(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"odd\t1\nsay "so"\t0\n')
    assert cli._from_file(path, ("text",), "label", ["0", "1"]).texts == ('"odd', 'say "so"')


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "sentence,label\nx,1\n", "line 2 has no column 'text', only sentence, label"),
        ("a.csv", "text,label\nx,fine\n", "line 2: the label 'fine' is neither"),
        ("a.csv", "text,label\n", "has no examples"),
        ("a.csv", "text,label\nonly\n", "line 2 has no value in the column 'label'"),
        ("a.jsonl", "{x}\n", "line 1 is no JSON"),
        ("a.jsonl", "[1]\n", "line 1: expected a JSON object"),
        ("a.csv", "text,label\nx,7\n", "Label 7 of example 0 is outside"),
    ],
)
def test_bad_data_is_named(model, tmp_path, capsys, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    line = ["attack", str(model), "--data", str(path), "--recipe", "deepwordbug"]
    assert cli.main(line) == 1
    error = capsys.readouterr().err
    assert error.startswith("rosearch attack: error: ")
    assert said in error


def attacked_on(model, tmp_path, monkeypatch, *options):
    """The device that the model is on when it is attacked."""
    data, devices = tmp_path / "data.csv", []
    data.write_text(CSV)

    def evaluate(self, victim, tokenizer):
        devices.extend({str(tensor.device) for tensor in victim.state_dict().values()})
        return made_up.report()

    monkeypatch.setattr(rs.RobustnessEvaluator, "evaluate", evaluate)
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug", *options]
    assert cli.main(line) == 0
    return devices


def test_attack_runs_on_the_device_there_is(model, tmp_path, monkeypatch):
    monkeypatch.setattr("rosearch.tokens.default_device", lambda: torch.device("meta"))
    assert attacked_on(model, tmp_path, monkeypatch) == ["meta"]
    assert attacked_on(model, tmp_path, monkeypatch, "--device", "cpu") == ["cpu"]


@pytest.mark.parametrize("name", ["nowhere", "cuda:99"])
def test_a_device_that_is_not_there_is_named(model, tmp_path, capsys, name):
    data = tmp_path / "data.csv"
    data.write_text(CSV)
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug"]
    assert cli.main([*line, "--device", name]) == 1
    assert f"Expected --device cpu, cuda or cuda:0; {name} cannot" in capsys.readouterr().err


def test_an_unknown_recipe_is_named(model, tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    assert cli.main(["attack", str(model), "--data", str(path), "--recipe", "nothing"]) == 1
    assert "deepwordbug" in capsys.readouterr().err


def test_report_of_a_study(study, model, tmp_path, capsys):
    data, found = tmp_path / "data.csv", tmp_path / "best.json"
    data.write_text(CSV)
    attack = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug"]
    assert cli.main([*attack, "--json", str(found)]) == 0
    out = tmp_path / "report.html"
    line = ["report", str(study), "--out", str(out), "--robustness", f"best={found}"]
    assert cli.main([*line, "--title", "Films & more"]) == 0
    text = out.read_text()
    assert "<h1>Films &amp; more</h1>" in text
    assert "afresh, n = 3" in text
    assert f"written: {out}" in capsys.readouterr().out
    assert cli.main(["report", f"sqlite:///{study}", "films", "--out", str(out)]) == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (0.5, 200)),
        (["--majority", "0.6", "--accuracy-examples", "872"], (0.6, 872)),
        (["--majority", "none"], (None, 200)),
    ],
)
def test_report_takes_what_near_chance_means(study, tmp_path, monkeypatch, arguments, expected):
    asked = []

    def compute(search, *, majority, examples):
        asked.append((majority, examples))
        return made_up.statistics()

    monkeypatch.setattr("rosearch.report.html.statistics.compute", compute)
    out = tmp_path / "report.html"
    assert cli.main(["report", str(study), "--out", str(out), *arguments]) == 0
    assert asked == [expected]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.db"], "there is no file"),
        (["{study}", "other"], "no study 'other' is there. Studies: 'films'"),
        (["{study}", "--robustness", "best.json"], "Expected --robustness NAME=FILE"),
        (["{study}", "--robustness", "best=none.json"], "none.json"),
        (["{study}", "--import", "no_such_module"], "no_such_module"),
        (["{study}", "--majority", "half"], "Expected --majority SHARE, from 0 to 1, or none"),
    ],
)
def test_report_says_what_is_wrong(study, capsys, arguments, said):
    line = [a.replace("{study}", str(study)) for a in arguments]
    assert cli.main(["report", *line]) == 1
    assert said in capsys.readouterr().err


def test_resources(capsys):
    assert cli.main(["resources"]) == 0
    assert "WordNet" in capsys.readouterr().out


def test_help_needs_neither_torch_nor_transformers():
    code = (
        "import json, sys\nfrom rosearch.cli import main\n"
        "try:\n    main(['attack', '--help'])\nexcept SystemExit as end:\n    status = end.code\n"
        "print(json.dumps([status, [m for m in ('torch', 'transformers') if m in sys.modules]]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == [0, []]
    assert "--recipe" in ran.stdout
