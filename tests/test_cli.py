"""The command line, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

import rosearch as rs
from rosearch import cli
from rosearch.errors import MissingResourceError
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
    BertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    return folder


def test_attack_writes_the_report(model, tmp_path, capsys):
    data, out, page = (tmp_path / name for name in ("data.csv", "out.json", "out.html"))
    data.write_text(CSV)
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug"]
    assert cli.main([*line, "--json", str(out), "--html", str(page)]) == 0
    report = rs.RobustnessReport.from_json(out.read_text())
    assert report.n == 3
    assert sorted(r.label for r in report.examples) == [0, 1, 1]
    said = capsys.readouterr().out
    assert said == f"{report}\n"
    assert said.startswith("deepwordbug: accuracy ")
    assert "<!doctype html>" in page.read_text()
    assert cli.main([*line, "--examples", "2"]) == 0
    assert "n = 2" in capsys.readouterr().out


def test_attack_with_several_recipes(model, tmp_path, capsys):
    data = tmp_path / "data.csv"
    data.write_text(CSV)
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug"]
    line += ["--recipe", "pruthi"]
    assert cli.main(line) == 0
    out = capsys.readouterr().out
    assert [row.split(":")[0] for row in out.splitlines() if row[0] != " "] == [
        "deepwordbug", "pruthi", "all together",
    ]  # fmt: skip


def test_a_stopped_attack_goes_on(teacher_folder, dataset, tmp_path, capsys, monkeypatch):
    from rosearch.attack.victim.model import ModelVictim

    data, kept = tmp_path / "data.csv", tmp_path / "kept.jsonl"
    rows = [f'"{dataset.texts[i]}",{dataset.labels[i]}\n' for i in range(8)]
    data.write_text("".join(["text,label\n", *rows]))
    line = ["attack", str(teacher_folder), "--data", str(data), "--recipe", "deepwordbug"]
    assert cli.main(line) == 0
    expected = capsys.readouterr().out
    line += ["--checkpoint", str(kept)]
    compute, calls = ModelVictim.compute, []

    def stopped(self, keys):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return compute(self, keys)

    monkeypatch.setattr(ModelVictim, "compute", stopped)
    assert cli.main(line) == 130
    assert cli.main(line) == 0
    assert capsys.readouterr().out == expected
    before = len(calls)
    assert cli.main(line) == 0
    assert capsys.readouterr().out == expected
    assert len(calls) == before
    assert cli.main([*line, "--seed", "3"]) == 1
    assert "seed: 0 in the checkpoint, 3 now" in capsys.readouterr().err


def test_missing_output_folder_is_refused_before_the_attack(model, tmp_path, capsys):
    data = tmp_path / "a.csv"
    data.write_text("text,label\na good film,1\n")
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug"]
    assert cli.main([*line, "--json", str(tmp_path / "none" / "a.json")]) == 2
    said = capsys.readouterr()
    assert "none/a.json does not exist" in said.err
    assert not said.out


def test_attacked_side_and_query_budget(model, tmp_path):
    data = tmp_path / "a.csv"
    data.write_text("x,y,label\na good film,a bad one,1\na dull film,a fine one,0\n")
    line = ["attack", str(model), "--data", str(data), "--text", "x,y", "--recipe", "deepwordbug"]
    out = tmp_path / "a.json"
    assert cli.main([*line, "--attacked-side", "0", "--query-budget", "5", "--json", str(out)]) == 0
    settings = json.loads(out.read_text())["settings"]
    assert (settings["attacked_side"], settings["query_budget"]) == (0, 5)


def test_bad_data_is_reported(model, tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("sentence,label\nx,1\n")
    line = ["attack", str(model), "--data", str(path), "--recipe", "deepwordbug"]
    assert cli.main(line) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert "line 2 has no column 'text'" in error


def attacked_on(model, tmp_path, monkeypatch, *options):
    """The device that the model is on when it is attacked."""
    data, devices = tmp_path / "data.csv", []
    data.write_text(CSV)

    def evaluate(self, victim, tokenizer, *, checkpoint):
        devices.extend({str(tensor.device) for tensor in victim.state_dict().values()})
        return made_up.report()

    monkeypatch.setattr(rs.RobustnessEvaluator, "evaluate", evaluate)
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug", *options]
    assert cli.main(line) == 0
    return devices


def test_attack_uses_the_default_device(model, tmp_path, monkeypatch):
    monkeypatch.setattr("rosearch.tokens.default_device", lambda: torch.device("meta"))
    assert attacked_on(model, tmp_path, monkeypatch) == ["meta"]
    assert attacked_on(model, tmp_path, monkeypatch, "--device", "cpu") == ["cpu"]


@pytest.mark.parametrize("name", ["nowhere", "cuda:99"])
def test_unknown_device_is_refused(model, tmp_path, capsys, name):
    data = tmp_path / "data.csv"
    data.write_text(CSV)
    line = ["attack", str(model), "--data", str(data), "--recipe", "deepwordbug"]
    assert cli.main([*line, "--device", name]) == 2
    assert f"cpu, cuda or cuda:0; {name} cannot be used" in capsys.readouterr().err


def test_unknown_recipe_lists_the_known_ones(model, tmp_path, capsys):
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
    assert "separately, n = 3" in text
    printed = capsys.readouterr().out
    assert f"written: {out}" in printed
    assert printed.index("best, measured separately: ") < printed.index("in the search fitness")
    assert cli.main(["report", f"sqlite:///{study}", "films", "--out", str(out)]) == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (0.5, 200)),
        (["--majority", "0.6", "--accuracy-examples", "872"], (0.6, 872)),
        (["--majority", "none"], (None, 200)),
    ],
)
def test_report_passes_on_majority_and_examples(study, tmp_path, monkeypatch, arguments, expected):
    asked = []

    def compute(search, *, majority, examples):
        asked.append((majority, examples))
        return made_up.statistics()

    monkeypatch.setattr("rosearch.report.html.report.compute", compute)
    out = tmp_path / "report.html"
    assert cli.main(["report", str(study), "--out", str(out), *arguments]) == 0
    assert asked == [expected]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.db"], "there is no file"),
        (["{study}", "other"], "there is no study 'other'. Studies: 'films'"),
        (["{study}", "--robustness", "best.json"], "must be NAME=FILE, such as best=best.json"),
        (["{study}", "--robustness", "best=none.json"], "none.json"),
        (["{study}", "--import", "no_such_module"], "no_such_module"),
        (["{study}", "--majority", "half"], "'half' is not a valid float"),
        (["{study}", "--majority", "1.5"], "1.5 is not in the range 0<x<1"),
    ],
)
def test_report_refuses_bad_arguments(study, capsys, arguments, said):
    line = [a.replace("{study}", str(study)) for a in arguments]
    assert cli.main(["report", *line]) in (1, 2)
    assert said in capsys.readouterr().err


def test_resources(capsys):
    assert cli.main(["resources"]) == 0
    assert "WordNet" in capsys.readouterr().out


def test_resources_are_fetched(tmp_path, monkeypatch, capsys):
    def fetch(folder):
        if folder is None:
            raise MissingResourceError("pip failed")
        return folder

    monkeypatch.setattr("rosearch.attack.resources.fetch_wordnet", fetch)
    assert cli.main(["resources", "--get", "wordnet", "--to", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}\n"
    assert cli.main(["resources", "--get", "wordnet"]) == 1
    assert "pip failed" in capsys.readouterr().err
    assert cli.main(["resources", "--to", str(tmp_path)]) == 2
    assert "add --get wordnet" in capsys.readouterr().err


def test_help_needs_neither_torch_nor_transformers():
    code = (
        "import json, sys\nfrom rosearch.cli import main\n"
        "status = main(['attack', '--help'])\n"
        "print(json.dumps([status, [m for m in ('torch', 'transformers') if m in sys.modules]]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == [0, []]
    assert "--recipe" in ran.stdout


def test_files_of_other_kinds(model, tmp_path, capsys):
    rows = [{"text": "a good film", "label": "good"}, {"text": "a dull film", "label": 0}]
    line = ["attack", str(model), "--recipe", "deepwordbug", "--query-budget", "3", "--data"]
    for name, content in {"a.json": json.dumps(rows), "b.tsv": "a good film\tgood\n"}.items():
        (tmp_path / name).write_text(content)
    assert cli.main([*line, str(tmp_path / "a.json")]) == 0
    assert "n = 2" in capsys.readouterr().out
    assert cli.main([*line, str(tmp_path / "b.tsv"), "--text", "0", "--label", "1"]) == 0
    assert "n = 1" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_refused_before_the_model_is_loaded(tmp_path, capsys):
    for name, said in {
        "a.txt": "must end in .csv",
        "b.csv": "b.csv, line 2: encoding error",
    }.items():
        (tmp_path / name).write_bytes(b"text,label\n\xff,1\n")
        line = ["attack", "no/such-model", "--recipe", "deepwordbug", "--data"]
        assert cli.main([*line, str(tmp_path / name)]) == 1
        assert said in capsys.readouterr().err
