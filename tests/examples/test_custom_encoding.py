"""The example of an encoding of one's own runs, and the encoding keeps the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

import rosearch as rs
from rosearch.testing import EncodingConformance
from tests.examples.material import EXAMPLES


@pytest.fixture
def example(load_example: Callable[[str], ModuleType]) -> Iterator[ModuleType]:
    """The example as a module; its encoding leaves the registry with it."""
    yield load_example("custom_encoding")
    rs.encodings.unregister("symmetric_delete")


@pytest.mark.usefixtures("example")
class TestSymmetricDelete(EncodingConformance):
    name = "symmetric_delete"


def test_the_example_prints_a_line_for_each_attack_without_and_with_the_encoding(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main()
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("A good movie, ")
    assert [line.split()[:3] for line in lines] == [
        [name, attack, "accuracy"]
        for name in ("without", "with")
        for attack in ("elongation", "deepwordbug")
    ]


def test_the_encoding_is_short() -> None:
    lines = (EXAMPLES / "custom_encoding.py").read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if "encodings.register" in line)
    end = next(i for i, line in enumerate(lines) if line.startswith("def main"))
    assert end - start < 40


def test_one_edit_or_drawn_out_letters_are_undone(
    example: ModuleType, dataset: rs.TextDataset
) -> None:
    encoding = example.SymmetricDelete.fit(dataset)
    for typo in ("chaarming", "charmin", "charmimg", "hcarming", "charrrmiiing", "Charmming"):
        assert encoding(typo) == "charming"
    assert encoding("Good goood") == "Good good"
    assert encoding("chrmng") == "chrmng"


def test_the_most_frequent_of_several_known_words_is_read(example: ModuleType) -> None:
    texts = ["cart cart", "card card card"]
    encoding = example.SymmetricDelete.fit(rs.TextDataset(texts, [0, 1]), minimum=2)
    assert encoding("carx cart") == "card cart"
