"""What students of different encodings, and their teacher, read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rosearch as rs
from rosearch.checks import whole_number
from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher, WordPerturbation, reading
from rosearch.distill.reading import kept_readings
from rosearch.distill.student_texts import StudentTexts
from rosearch.encode import Encoding, Evidence, encoding_of
from rosearch.errors import ArgumentError, DataError
from rosearch.space import TextEncoding, templates
from rosearch.tokens import tokenize

SMALL = {"width": 16, "embedding_width": 16}
LEARNT: list[Evidence] = []
"""What ``FirstLetters`` was fitted to."""


class FirstLetters(Encoding):
    """Reads of each word its first letters, and remembers what it was fitted to."""

    choices = {"count": rs.operators.Choice(3, 9)}

    @classmethod
    def learn(cls, evidence: Evidence, settings: Any) -> dict[str, Any]:
        LEARNT.append(evidence)
        return {}

    def word(self, word: str) -> str:
        return word[: int(self.settings["count"])]


class AnyCount(FirstLetters):
    choices = {"count": rs.operators.Choice(3, 9, check=whole_number)}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    LEARNT.clear()
    kinds = {"first_letters": FirstLetters, "first_letters_of_any_count": AnyCount}
    for name, kind in kinds.items():
        rs.encodings.register(name)(kind)
    yield
    for name in kinds:
        rs.encodings.unregister(name)


def encoded(count: int = 3) -> rs.Genome:
    part = TextEncoding("first_letters", {"count": count})
    return templates.bag_of_words(**SMALL, encodings=(part,))


@pytest.fixture
def make(fresh: Callable[..., Teacher], parts: tuple[TextDataset, TextDataset]) -> Any:
    def make_distiller(**settings: Any) -> Distiller:
        return Distiller(fresh(), *parts, **{"epochs": 1, "progress": False, **settings})

    return make_distiller


def test_encodings_learn_from_the_teacher_once(make: Any) -> None:
    distiller = make()
    distiller.student(encoded())
    distiller.student(encoded())
    make().student(encoded())  # another process finds it in the cache
    (evidence,) = LEARNT
    assert evidence.train == distiller.train
    np.testing.assert_allclose(evidence.answers.sum(axis=1), 1.0, rtol=1e-5)
    make().student(encoded(9))
    assert len(LEARNT) == 2


def test_students_read_encoded_texts(make: Any) -> None:
    distiller = make()
    student = distiller.student(encoded())
    encoding = distiller.encoding(encoded())
    assert encoding_of(student.tokenizer) == encoding
    text = distiller.train.texts[0]
    plain = distiller.teacher.tokenizer
    assert student.tokenizer(text)["input_ids"] == plain(encoding(text))["input_ids"]
    assert distiller.encoding(templates.bag_of_words(**SMALL)) is None
    assert distiller.student(templates.bag_of_words(**SMALL)).tokenizer is plain


def test_dev_accuracy_is_that_of_the_whole_student(make: Any) -> None:
    result = make(epochs=3, learning_rate=2e-2).distill(encoded(), seed=0)
    evaluator = rs.RobustnessEvaluator("deepwordbug", make().dev, examples=None, progress=False)
    assert evaluator.evaluate(result.student).accuracy == pytest.approx(result.accuracy)


@pytest.mark.parametrize("reads", ["original", "encoded"])
def test_teacher_answers_to_the_texts_asked_for(make: Any, reads: str) -> None:
    distiller = make(teacher_reads=reads)
    seen: list[TextDataset] = []
    outputs = distiller.teacher.outputs

    def recorded(dataset: TextDataset, *args: Any, **kwargs: Any) -> Any:
        seen.append(dataset)
        return outputs(dataset, *args, **kwargs)

    distiller.teacher.outputs = recorded
    distiller.distill(encoded(), seed=0)
    texts = distiller.train.texts
    if reads == "encoded":
        texts = tuple(distiller.encoding(encoded())(texts))
    assert any(dataset.texts == texts for dataset in seen)


def test_losses_that_compare_tokens_need_a_teacher_of_encoded_texts(make: Any) -> None:
    losses = {"hidden_states": {"weight": 1.0, "layers": (1,)}}
    with pytest.raises(ArgumentError, match="teacher_reads='encoded'"):
        make(losses=losses).distill(encoded(), seed=0)
    distiller = make(losses=losses, teacher_reads="encoded")
    assert distiller.distill(encoded(), seed=0).history[-1].loss > 0
    assert make(losses=losses).distill(templates.bag_of_words(**SMALL)).seconds > 0


def test_tokens_are_not_compared_behind_two_encodings(
    fresh: Callable[..., Teacher], parts: tuple[TextDataset, TextDataset]
) -> None:
    losses = {"hidden_states": {"weight": 1.0, "layers": (1,)}}
    teacher = fresh(encoding=FirstLetters())
    distiller = Distiller(teacher, *parts, losses=losses, teacher_reads="encoded", progress=False)
    with pytest.raises(ArgumentError, match="own encoding"):
        distiller.distill(encoded(9), seed=0)


def test_checkpoint_of_another_fit_is_refused(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "training.safetensors"
    make(epochs=2).distill(encoded(), seed=0, epochs=1, checkpoint=file)
    monkeypatch.setattr(FirstLetters, "version", 2)
    monkeypatch.setattr(FirstLetters, "learn", lambda *_: {"changed": True})
    with pytest.raises(DataError, match="another training"):
        make(epochs=2).distill(encoded(), seed=0, checkpoint=file)


@pytest.mark.parametrize(("texts", "kept"), [(10, 16), (7_396, 16), (20_000, 7), (1_000_000, 4)])
def test_more_encodings_are_kept_of_few_texts(texts: int, kept: int) -> None:
    assert kept_readings(texts) == kept


def test_only_the_last_encodings_are_kept_in_memory(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_TEXTS", 0)
    distiller = make()
    for count in range(3, 10):
        part = TextEncoding("first_letters_of_any_count", {"count": count})
        distiller.encoding(templates.bag_of_words(**SMALL, encodings=(part,)))
    assert len(distiller._readings) == 4


def test_word_perturbation_chooses_among_encoded_replacements(make: Any) -> None:
    class Longer(rs.attack.word_swaps.substitutions.Substitution):
        name = "longer"

        def propose(self, word: str, numbers: Any = ()) -> list[str]:
            return [word + "xx" * (len(word) > 2), "other"]

    words = WordPerturbation(rs.attack.WordReplacements(Longer()), weight=0.5, ramp=0.0)
    distiller = make(perturbation=words)
    texts = distiller._texts(encoded())
    choices = texts.choices(words.replacements)
    rows = tokenize(texts.tokenizer, ["oth"], max_length=8)[0].ids[1:-1]
    # "goodxx" is read as "good" is, so only "other" is left beside the word itself.
    counts = np.diff(choices.first_choices)
    assert set(counts.tolist()) == {2}
    second = choices.first_choices[:-1] + 1
    for choice in second[:20]:
        ids = choices.ids[choices.first_ids[choice] : choices.first_ids[choice + 1]]
        assert tuple(ids.tolist()) == rows
    assert distiller.distill(encoded(), seed=0).history[-1].loss > 0


def test_settings_name_the_exchanges_and_what_the_teacher_reads(make: Any) -> None:
    plain = make().settings
    assert "teacher_reads" not in plain
    assert make(teacher_reads="encoded").settings == {**plain, "teacher_reads": "encoded"}
    with pytest.raises(ArgumentError, match="teacher_reads must be one of"):
        make(teacher_reads="both")


def test_saved_student_reads_as_before(make: Any, tmp_path: Path) -> None:
    student = make().distill(encoded(), seed=0).student
    student.save_pretrained(tmp_path)
    loaded = rs.StudentForSequenceClassification.from_pretrained(tmp_path)
    texts = list(make().dev.texts[:5])
    assert loaded.tokenizer(texts)["input_ids"] == student.tokenizer(texts)["input_ids"]


class TestTeacher:
    def test_encoding_is_part_of_the_fingerprint(self, fresh: Callable[..., Teacher]) -> None:
        encoding = FirstLetters()
        plain, reading = fresh(), fresh(encoding=encoding)
        assert plain.encoding is None
        assert reading.encoding == encoding
        assert plain.fingerprint != reading.fingerprint
        assert reading.fingerprint == fresh(encoding=FirstLetters()).fingerprint

    def test_answers_to_encoded_texts(
        self, fresh: Callable[..., Teacher], parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train, _ = parts
        encoding = FirstLetters()
        encoded_texts = train.with_texts(encoding(train.texts))
        expected = fresh().logits(encoded_texts, progress=False)
        found = fresh(encoding=encoding).logits(train, progress=False)
        np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_fine_tuned_one_keeps_its_encoding(
        self, base_folder: Path, parts: tuple[TextDataset, TextDataset], tmp_path: Path
    ) -> None:
        encoding = FirstLetters()
        folder = tmp_path / "tuned"
        tuned = Teacher.fine_tune(
            base_folder, *parts, save_to=folder, epochs=1, progress=False, encoding=encoding
        )
        assert tuned.encoding == encoding
        assert Teacher.from_pretrained(folder).encoding == encoding

    def test_its_students_read_as_it_does(
        self, fresh: Callable[..., Teacher], parts: tuple[TextDataset, TextDataset]
    ) -> None:
        teacher = fresh(encoding=FirstLetters())
        distiller = Distiller(teacher, *parts, epochs=1, progress=False)
        assert distiller.student(templates.bag_of_words(**SMALL)).tokenizer is teacher.tokenizer
        # A genome's own encodings take the place of the teacher's.
        own = encoding_of(distiller.student(encoded(9)).tokenizer)
        assert own is not None
        assert own.settings == {"count": 9}


@pytest.mark.parametrize("cut", ["left", "right"])
def test_training_texts_as_read_have_the_same_tokens_and_no_hidden_words(
    tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path, cut: str
) -> None:
    own = copy.deepcopy(tokenizer)
    own.truncation_side = cut
    teacher = Teacher(tiny_bert(), own, max_length=8, cache_dir=tmp_path)

    def as_read(*texts: Any) -> list[Any]:
        given = TextDataset(texts, [0] * len(texts))
        made = StudentTexts(teacher, given, given, None, None, "original", False, 8)
        found = list(made.train_as_read.texts)
        assert teacher.tokenize(found) == teacher.tokenize(texts)
        return found

    text = "the film was good , a great cast and a funny plot"
    start, end = "the film was good , a", "great cast and a funny plot"
    assert as_read(text, "so good") == [start if cut == "right" else end, "so good"]
    half = "and good and unreadable and good and"  # its letters are tokens
    assert "unreadable" in as_read(half)[0].split()
    assert len(as_read(half)[0]) < len(half)
    shown = "the film was" if cut == "right" else "funny plot"
    first, second = as_read((text, "a film"), ("a film", text))
    for long, short in (first, second[::-1]):
        assert short == "a film"
        assert shown in long
        assert len(long) < len(start)


def test_an_augmentation_gets_the_words_that_are_read(
    fresh: Callable[..., Teacher], dataset: TextDataset
) -> None:
    texts = [f"{text} and so on and on and on , in the end {text}" for text in dataset.texts[:40]]
    given = TextDataset(texts, dataset.labels[:40], classes=dataset.classes)
    seen: list[TextDataset] = []

    class Recorder:
        answers, redraw, settings = "perturbed", False, {}  # type: ignore[var-annotated]

        def texts(self, dataset: TextDataset, *, epoch: int) -> list[tuple[int, str]]:
            seen.append(dataset)
            return [(0, "a film")]

    recorder: Any = Recorder()
    distiller = Distiller(
        fresh(max_length=10), given, given, epochs=1, progress=False, augmentation=recorder
    )
    distiller.distill(templates.bag_of_words(**SMALL))
    assert not any("on and on" in str(text) for text in seen[0].texts)
