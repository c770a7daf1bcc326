"""Positions of students: enough for the texts, counted alike everywhere, and what is longer."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import rosearch as rs
from rosearch.classifiers import accuracy
from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher, WordPerturbation
from rosearch.errors import ArgumentError
from rosearch.space import Task, genome_cost, templates
from rosearch.student import parameters, student_cost
from rosearch.tokens import positions_for

GENOME = templates.transformer(layers=1, width=32)


@pytest.fixture
def long_teacher(
    tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> Callable[..., Teacher]:
    """``long_teacher(limit=4096)``: a teacher that reads that many tokens."""

    def make(limit: int = 4096, **settings: Any) -> Teacher:
        own = copy.deepcopy(tokenizer)
        own.model_max_length = limit
        small = tiny_bert()
        small.config.max_position_embeddings = limit
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = type(small)(small.config)
        return Teacher(model, own, cache_dir=tmp_path / "cache", **settings)

    return make


def _distiller(teacher: Teacher, data: TextDataset, **settings: Any) -> Distiller:
    return Distiller(teacher, data, data, epochs=1, progress=False, **settings)


def _texts(words: int) -> TextDataset:
    return TextDataset(["good " * words, "a bad film"], [1, 0])


@pytest.mark.parametrize(
    ("longest", "limit", "expected"),
    [(15, 512, 128), (64, 512, 128), (65, 512, 256), (300, 512, 512), (300, 8192, 1024),
     (15, 64, 64), (0, 8192, 128), (5000, 8192, 8192)],
)  # fmt: skip
def test_twice_the_longest_rounded_up_within_the_limit(
    longest: int, limit: int, expected: int
) -> None:
    assert positions_for(longest, limit=limit) == expected


@pytest.mark.parametrize(
    ("words", "settings", "expected"),
    [(3, {}, 128), (98, {}, 256), (700, {}, 2048), (700, {"positions": 800}, 800)],
)
def test_students_have_positions_for_their_texts_and_all_counts_agree(
    words: int,
    settings: dict[str, Any],
    expected: int,
    long_teacher: Callable[..., Teacher],
) -> None:
    distiller = _distiller(long_teacher(), _texts(words), **settings)
    student = distiller.student(GENOME)
    assert student.config.max_position_embeddings == expected
    assert len(student.embedding.positions.weight) == expected
    evaluator = rs.RobustnessEvaluator("deepwordbug", _texts(words), progress=False)
    counts = {
        parameters(student),
        student_cost(distiller.config(GENOME))["parameters"],
        genome_cost(GENOME, Task.of(distiller)).parameters,
        int(rs.Pipeline(distiller, evaluator).cost(GENOME)["parameters"]),
    }
    assert len(counts) == 1
    # Where nothing is known of the texts, they are taken to be short.
    by_teacher = genome_cost(GENOME, Task.of(distiller.teacher)).parameters
    assert counts == {by_teacher + (expected - 128) * GENOME.embedding_width}


def test_a_search_counts_the_positions_of_its_students(
    long_teacher: Callable[..., Teacher],
) -> None:
    data = _texts(200)
    distiller = _distiller(long_teacher(), data)
    evaluator = rs.RobustnessEvaluator("deepwordbug", data, progress=False)
    limits: dict[str, Any] = {"parameters": (None, 400_000), "nodes": (0, 2), "widths": (64,)}
    assert distiller.positions == 512
    spaces = [rs.SearchSpace(teacher=t, **limits) for t in (distiller.teacher, distiller)]
    fitness = rs.Fitness({"accuracy": 1.0})
    for space in spaces:
        evolver = rs.Evolver(space, rs.Pipeline(distiller, evaluator), fitness)
        assert evolver.settings["space"]["teacher"]["positions"] == 512
        genome = evolver.space.sample(seed=1)
        assert evolver.space.limits is not None
        (counted,) = evolver.space.limits.total(genome)
        assert counted == parameters(distiller.student(genome))
    assert spaces[0].limits is not None
    assert spaces[0].limits.task.positions == 128  # as it was
    own = Task(vocabulary=len(distiller.teacher.tokenizer), positions=99)
    space = rs.SearchSpace(teacher=own, **limits)
    assert space.counting(512) is space


def test_a_student_cuts_longer_texts_or_says_so(
    long_teacher: Callable[..., Teacher], tmp_path: Path
) -> None:
    student = _distiller(long_teacher(), _texts(3)).distill(GENOME).student.eval()
    tokenizer, text = student.tokenizer, "good film " * 200
    assert tokenizer.model_max_length == 128
    cut = student(**tokenizer(text, truncation=True, return_tensors="pt"))
    assert torch.isfinite(cut.logits).all()
    with pytest.raises(ArgumentError, match="has 402 tokens, and the student reads at most 128"):
        student(**tokenizer(text, return_tensors="pt"))
    # Padding is no text.
    short = tokenizer("good film", return_tensors="pt")
    padded = tokenizer("good film", return_tensors="pt", padding="max_length", max_length=300)
    torch.testing.assert_close(student(**padded).logits, student(**short).logits)
    data = TextDataset([text, "a bad film"], [1, 0])
    assert 0 <= accuracy(student, data) <= 1
    report = rs.RobustnessEvaluator("deepwordbug", data, query_budget=5, progress=False).evaluate(
        student
    )
    assert not report.errors
    assert report.settings["victim"]["max_length"] == 128
    student.save_pretrained(tmp_path)
    again = type(student).from_pretrained(tmp_path)
    assert again.tokenizer.model_max_length == again.config.max_position_embeddings == 128


def test_the_teacher_s_tokenizer_keeps_its_limit(long_teacher: Callable[..., Teacher]) -> None:
    teacher = long_teacher()
    _distiller(teacher, _texts(3)).student(GENOME)
    assert teacher.tokenizer.model_max_length == teacher.max_length == 4096


def test_fewer_positions_than_tokens_cut_texts_with_a_warning(
    long_teacher: Callable[..., Teacher],
) -> None:
    with pytest.warns(
        UserWarning, match=r"has 202 tokens, of which .* positions=20 read the first"
    ):
        distiller = _distiller(long_teacher(), _texts(200), positions=20)
    assert distiller.settings["positions"] == 20
    assert distiller.distill(GENOME).student.config.max_position_embeddings == 20
    with pytest.raises(ArgumentError, match=r"positions must be at least 202, .* compares hidden"):
        _distiller(long_teacher(), _texts(200), positions=20, losses={"hidden_states": 1.0})


@pytest.mark.parametrize("positions", [0, 5000, 2.5])
def test_positions_out_of_range_are_refused(
    positions: Any, long_teacher: Callable[..., Teacher]
) -> None:
    with pytest.raises(ArgumentError, match="positions must be a whole number from 3 to 4096"):
        _distiller(long_teacher(), _texts(3), positions=positions)


def test_max_length_bounds_positions(long_teacher: Callable[..., Teacher]) -> None:
    distiller = _distiller(long_teacher(max_length=40), _texts(200))
    assert distiller.positions == 40
    assert "positions" not in distiller.settings  # it is the teacher's


class Repeated:
    """Replacements of a word by several tokens, in the middle of a text."""

    settings = {"name": "repeated"}

    def choices(self, dataset: TextDataset, tokenizer: Any, *, max_length: int) -> Any:
        self.max_length = max_length
        return rs.attack.WordReplacements("deepwordbug").choices(
            dataset, tokenizer, max_length=max_length
        )


def test_perturbed_texts_are_cut_as_students_read_them(
    long_teacher: Callable[..., Teacher],
) -> None:
    replacements = Repeated()
    distiller = _distiller(
        long_teacher(), _texts(60), perturbation=WordPerturbation(replacements, ramp=0.0)
    )
    distiller.distill(GENOME)
    assert replacements.max_length == distiller.positions == 128


def test_copies_do_not_tokenise_again(
    long_teacher: Callable[..., Teacher], monkeypatch: pytest.MonkeyPatch
) -> None:
    distiller = _distiller(long_teacher(), _texts(98))
    assert distiller.positions == 256
    monkeypatch.setattr(Teacher, "tokenize", None)
    copied = pickle.loads(pickle.dumps(distiller))
    assert copied.positions == 256
