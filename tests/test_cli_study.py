"""The commands of a study: from a configuration file to an ONNX model."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tomllib

import rosearch as rs
from rosearch import cli, cli_config
from rosearch.encode import ENCODING_FILE
from rosearch.encode.tokenizer import EncodedTokenizer
from rosearch.errors import ArgumentError, DataError
from rosearch.student import onnx_folder
from tests.report.studies import column, standard, study

CHANGES = {
    "pipeline.distiller.epochs": 1,
    "pipeline.distiller.batch_size": 16,
    "pipeline.attacker.attacks": '["deepwordbug"]',
    "pipeline.attacker.examples": 6,
    "pipeline.attacker.query_budget": 20,
    "space.nodes": "[0, 1]",
    "space.widths": "[16, 32]",
    "space.embedding_widths": "[16]",
    "space.embeddings": '["subword_embedding"]',
    "fitness.constraints": "none",
    "search.run.candidates": 3,
    "search.run.progress": "false",
    "confirm.top": 1,
    "confirm.seeds": 1,
    "confirm.progress": "false",
}


def changed(**more):
    return [w for k, v in (CHANGES | more).items() for w in ("--set", f"{k}={v}")]


@pytest.fixture(scope="module")
def material(teacher_folder, dataset, tmp_path_factory):
    """A folder with texts, a teacher, and the file that rosearch init writes."""
    folder = tmp_path_factory.mktemp("study")
    for name, first in (("train", 0), ("dev", 40), ("test", 60)):
        rows = [f'"{dataset.texts[i]}",{dataset.labels[i]}\n' for i in range(first, first + 20)]
        (folder / f"{name}.csv").write_text("".join(["text,label\n", *rows]))
    (folder / "teacher").symlink_to(teacher_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["init"]) == 0
    return folder


@pytest.fixture
def here(material, monkeypatch):
    monkeypatch.chdir(material)
    monkeypatch.setenv("ROSEARCH_CACHE", str(material / "cache"))
    return material


@pytest.fixture(scope="module")
def searched(material):
    """A search that is interrupted in its second candidate, and then goes on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(material)
        patch.setenv("ROSEARCH_CACHE", str(material / "cache"))
        evaluate, calls = rs.RobustnessEvaluator.evaluate, []

        def interrupted(self, *args, **kwargs):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return evaluate(self, *args, **kwargs)

        patch.setattr(rs.RobustnessEvaluator, "evaluate", interrupted)
        line = ["search", "rosearch.toml", *changed()]
        stopped = cli.main(line)
        before = rs.load_search("search.db").trials
        ended = cli.main([*line, "--json", "search.json"])
        return stopped, before, ended, json.loads((material / "search.json").read_text())


def test_a_search_is_interrupted_and_goes_on(here, searched):
    stopped, before, ended, found = searched
    assert (stopped, ended) == (130, 0)
    assert [t.state for t in before] == ["complete", "running"]
    result = rs.load_search("search.db")
    assert [t.state for t in result.trials] == ["complete"] * 3
    assert result.trials[0] == before[0]
    assert result.trials[1].key == before[1].key
    assert found["best"]["number"] == result.best.number
    assert found["best"]["metrics"] == dict(result.best.metrics)
    assert (found["ended"], found["candidates"]) == (3, 3)
    assert Path(found["best"]["student"]).parent == here / "students"


def test_a_finished_search_is_only_told_and_a_timeout_says_how_to_go_on(here, searched, capsys):
    assert cli.main(["search", "rosearch.toml", *changed()]) == 0
    said = capsys.readouterr().out
    assert said.startswith("SearchResult('rosearch': 3 complete")
    assert f"best student: {searched[3]['best']['student']}" in said
    more = {"search.run.candidates": 5, "search.run.timeout": 1e-6}
    assert cli.main(["search", "rosearch.toml", *changed(**more)]) == 0
    assert "3 of 5 candidates; the same command goes on" in capsys.readouterr().out


def test_the_report_of_what_was_searched(here, searched, capsys):
    assert cli.main(["report", "search.db", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {"study": "rosearch", "written": "report.html"}
    assert (here / "report.html").is_file()


def test_the_best_student_is_exported_and_runs_on_onnxruntime(here, searched, capsys):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from transformers import AutoTokenizer

    folder = searched[3]["best"]["student"]
    assert cli.main(["export", folder, "--to", "onnx", "--json", "onnx.json"]) == 0
    written = json.loads(Path("onnx.json").read_text())["written"]
    assert "onnx/model.onnx" in written
    assert all(Path(name).is_file() for name in written)
    tokenizer = AutoTokenizer.from_pretrained("onnx")
    inputs = dict(tokenizer(["a fine film"], return_tensors="np"))
    session = runtime.InferenceSession("onnx/model.onnx")
    wanted = {i.name: inputs[i.name].astype(np.int64) for i in session.get_inputs()}
    (logits,) = session.run(None, wanted)
    student = rs.load_search("search.db").best.student
    tensors = student.tokenizer(["a fine film"], return_tensors="pt")
    assert np.allclose(logits, student(**tensors).logits.detach().numpy(), atol=1e-5)


def test_the_encoding_of_a_student_is_exported_with_it(
    tokenizer, dataset, tmp_path, monkeypatch, capsys
):
    encoding = rs.encodings.get("typo_clusters")().fit(dataset)
    config = rs.StudentConfig(rs.templates.text_cnn(width=16), vocab_size=len(tokenizer))
    student = rs.StudentForSequenceClassification(config)
    student.tokenizer = EncodedTokenizer.wrap(tokenizer, encoding)
    student.save_pretrained(tmp_path / "student")
    monkeypatch.setattr(onnx_folder, "export_onnx", lambda student, path: path.touch())
    line = ["export", str(tmp_path / "student"), "--to", str(tmp_path / "onnx"), "--json", "-"]
    assert cli.main(line) == 0
    names = {Path(name).name for name in json.loads(capsys.readouterr().out)["written"]}
    assert {"model.onnx", "tokenizer.json", ENCODING_FILE, "encoding.py", "run.py"} <= names


def test_what_is_no_student_is_not_exported(here, capsys):
    assert cli.main(["export", "teacher", "--to", "onnx"]) == 1
    assert "a model of the type 'bert'" in capsys.readouterr().err


def test_the_file_of_the_page_on_the_shell_is_read(tmp_path, wordnet_folder):
    page = (Path(__file__).parents[1] / "docs" / "shell.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert "rosearch.distill.WorstCase" in code
    file = tmp_path / "films.toml"
    file.write_text(code, encoding="utf-8")
    cli_config.Job(file)  # an unknown class, argument or type is an error
    file.write_text(code.replace("sources", "sourcez"), encoding="utf-8")
    with pytest.raises(ArgumentError, match="sourcez"):
        cli_config.Job(file)


@pytest.mark.parametrize("genome", ["0", "TextCNN", "genome.json"])
def test_one_student_is_distilled_and_saved(here, searched, genome, capsys):
    Path("genome.json").write_text(rs.load_search("search.db").trials[1].genome.to_json())
    line = ["distill", "rosearch.toml", genome, "--to", "one", *changed(), "--json", "-"]
    assert cli.main([*line, "--set", "pipeline.distiller.progress=false"]) == 0
    told = json.loads(capsys.readouterr().out)
    student = rs.StudentForSequenceClassification.from_pretrained(told["student"])
    assert rs.Genome.from_dict(told["genome"]) == rs.Genome.from_dict(student.config.genome)
    assert 0 <= told["accuracy_under_attack"] <= told["accuracy"] <= 1
    if genome == "0":
        assert student.config.genome == rs.load_search("search.db").trials[0].genome.to_dict()


@pytest.mark.parametrize(("genome", "said"), [("9", "0 to 2"), ("nothing", "TextCNN")])
def test_unknown_genomes_are_refused(here, searched, genome, said, capsys):
    assert cli.main(["distill", "rosearch.toml", genome, "--to", "one", *changed()]) == 2
    assert said in capsys.readouterr().err


def test_the_best_is_confirmed_on_unseen_texts(here, searched, capsys):
    assert cli.main(["confirm", "rosearch.toml", *changed(), "--json", "confirmed.json"]) == 0
    assert "Confirmation of 'rosearch'" in capsys.readouterr().out
    (best,) = json.loads(Path("confirmed.json").read_text())
    assert best["number"] == searched[3]["best"]["number"]
    assert 0 <= best["mean"]["accuracy_under_attack"] <= 1
    folder = Path(searched[3]["best"]["student"])
    card = (folder / "README.md").read_text()
    assert f"Trained again, with other seeds (1): accuracy {best['mean']['accuracy']:.1%}" in card
    assert "| under deepwordbug | 6 of dev |" in card


def test_statistics_of_a_study(here, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    made = study(0.2 + 0.03 * standard(column("width", 40)), rng.normal(0.8, 0.02, 40))
    asked = []
    monkeypatch.setattr(rs, "load_search", lambda *names: asked.append(names) or made)
    few = functools.partial(rs.statistics, resamples=100, trees=0)
    monkeypatch.setattr(rs, "statistics", few)
    line = ["statistics", "search.db", "films", "--majority", "none"]
    assert cli.main(line) == 0
    assert capsys.readouterr().out == f"{few(made, majority=None)}\n"
    assert asked == [("search.db", "films")]


def test_statistics_of_too_few_candidates_are_an_error(here, searched, capsys):
    assert cli.main(["statistics", "search.db"]) == 1
    assert "Error: " in capsys.readouterr().err


def test_recipes_are_listed_with_what_they_do(capsys):
    assert cli.main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(rs.attacks.names())
    assert cli.main(["recipes", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert tuple(told) == rs.attacks.names()
    assert all(told.values())


@pytest.mark.parametrize(("shell", "said"), [("bash", "complete -o"), ("zsh", "#compdef rosearch")])
def test_completion_of_shells(shell, said, capsys):
    assert cli.main(["completion", shell]) == 0
    assert said in capsys.readouterr().out


class TestConfigurationFiles:
    def test_a_new_file_has_every_setting_with_help_and_runs(self, material):
        text = (material / "rosearch.toml").read_text()
        assert tomllib.loads(text)["search"]["run"]["candidates"] == 32
        for line in ("# Passes over train.\nepochs = 3", "# temperature = 2.0", "# timeout = "):
            assert line in text
        assert "``" not in text
        assert ":class:" not in text

    def test_every_comment_is_a_setting_that_the_file_accepts(self, material, tmp_path):
        text = (material / "rosearch.toml").read_text()
        lines = [
            line.removeprefix("# ")
            if line.startswith("# ") and line.split(" = ")[0][2:].isidentifier()
            else line
            for line in text.splitlines()
        ]
        whole = tmp_path / "whole.toml"
        whole.write_text("\n".join(lines))
        assert len(tomllib.loads(whole.read_text())["pipeline"]["distiller"]) > 15
        job = cli_config.Job(whole, ["search.run.candidates=7"])
        assert job.candidates == 7

    def test_a_file_is_not_replaced(self, here, capsys):
        assert cli.main(["init"]) == 2
        assert "--force" in capsys.readouterr().err
        assert cli.main(["init", "other.toml", "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out) == {"written": "other.toml"}

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("pipeline.distiller.epoch=5", "epoch"),
            ("pipeline.distiller.epochs=many", "epochs"),
            ("nothing.at=1", "nothing"),
            ("search.run", "KEY=VALUE"),
            ("search.seed.x=3", "x"),
        ],
    )
    def test_wrong_settings_are_named(self, here, change, said, capsys):
        assert cli.main(["search", "rosearch.toml", "--set", change]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert "rosearch.toml" not in error  # where all is well

    def test_a_file_that_is_no_toml_is_refused(self, tmp_path, capsys):
        (tmp_path / "bad.toml").write_text("[data\n")
        assert cli.main(["search", str(tmp_path / "bad.toml")]) == 1
        assert "is no TOML file" in capsys.readouterr().err
        assert cli.main(["search", str(tmp_path / "none.toml")]) == 2

    def test_settings_reach_the_objects(self, here):
        changes = [f"{k}={v}" for k, v in CHANGES.items()]
        changes += [
            'pipeline.distiller.perturbation={class_path="rosearch.distill.EmbeddingPerturbation"}',
            "teacher.max_length=32",
            "pipeline.distiller.dropout=0",
            "pipeline.distiller.device=cpu",
        ]
        job = cli_config.Job(Path("rosearch.toml"), changes)
        assert job.teacher.max_length == 32
        assert job.distiller.optimization.batch_size == 16
        assert job.distiller.dropout == 0.0
        assert isinstance(job.distiller.perturbation, rs.distill.EmbeddingPerturbation)
        attacker = job.attacker(job.dev)
        assert [attack.name for attack in attacker.attacks] == ["deepwordbug"]
        assert len(attacker.examples) == 6

    def test_a_fitness_has_weights_or_objectives(self):
        goals = cli_config.Goals
        limits = {"accuracy": (0.7, None)}
        assert goals({"accuracy": 1.0}).fitness().names == ("fitness",)
        pareto = goals(objectives=["accuracy", "robustness"], constraints=limits).fitness()
        assert pareto.names == ("accuracy", "robustness")
        assert pareto.constraints == limits
        for wrong in (goals(), goals({"accuracy": 1.0}, ["robustness"])):
            with pytest.raises(ArgumentError, match="either weights or objectives"):
                wrong.fitness()

    def test_a_file_with_texts_that_is_not_named_is_asked_for(self, here, searched, capsys):
        line = ["confirm", "rosearch.toml", *changed(), "--set", "data.test=none"]
        assert cli.main(line) == 1
        assert "[data] must set test" in capsys.readouterr().err
        with pytest.raises((DataError, OSError)):
            _ = cli_config.Job(Path("rosearch.toml"), ["data.dev=nowhere.csv"]).dev
