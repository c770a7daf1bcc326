"""A tiny fine-tuned teacher, and texts for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rosearch.data import TextDataset
    from rosearch.distill import Teacher


@pytest.fixture(scope="session")
def base_folder(
    tokenizer: Any, tiny_bert: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder of a random tiny BERT and its tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    tiny_bert().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def teacher(
    dataset: TextDataset, base_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Teacher:
    """A tiny BERT fine-tuned on the sentences, saved and loaded again."""
    from rosearch.distill import Teacher

    root = tmp_path_factory.mktemp("teacher")
    train, dev = dataset.split(120, 40, seed=0)
    return Teacher.fine_tune(
        base_folder,
        train,
        dev,
        save_to=root / "tuned",
        epochs=12,
        batch_size=16,
        learning_rate=3e-3,
        progress=False,
        cache_dir=root / "cache",
    )


@pytest.fixture
def parts(dataset: TextDataset) -> tuple[TextDataset, TextDataset]:
    train, dev = dataset.split(120, 40, seed=0)
    return train, dev


@pytest.fixture
def fresh(tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> Callable[..., Teacher]:
    """``fresh()``: the same random teacher as a new object, on one cache folder."""

    from rosearch.distill import Teacher

    def make_teacher(**settings: Any) -> Teacher:
        settings = {"cache_dir": tmp_path / "cache", **settings}
        return Teacher(tiny_bert(), tokenizer, **settings)

    return make_teacher


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each pass of a teacher read."""
    from rosearch.distill.teacher import output_reader
    from rosearch.tokens import answers

    passes: list[int] = []

    def counting(model: Any, rows: Any, *args: Any, **kwargs: Any) -> Any:
        passes.append(len(rows))
        yield from answers(model, rows, *args, **kwargs)

    monkeypatch.setattr(output_reader, "answers", counting)
    return passes


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher's cache stores 16 texts per file."""
    from rosearch.distill.teacher import output_cache

    monkeypatch.setattr(output_cache, "TEXTS_PER_FILE", 16)
