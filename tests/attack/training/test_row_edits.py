"""Edits of rows are the differences between the rows of whole texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rosearch.attack.text import AttackedInput
from rosearch.attack.training.row_edits import TextEdit, row_edits
from rosearch.attack.victim.tokenization import IncrementalTokenizer, common_ends
from rosearch.data import Text
from rosearch.encode import EncodedTokenizer
from rosearch.tokens import tokenize
from tests.attack.victim.test_tokenization import byte_level, no_spaces, unigram
from tests.encode.table import table

TEXTS = [
    "Good film, a good (very good) film - the film!",
    "  It's well-made ,  and\tgood\n good ",
    "good",
    "good good films film",
    "caf\u00e9 bad bad \u4e2d\u6587 film",
]
OPTIONS = ("great", "goo d", "", "go ", "GOOD", "\u0433ood", "good good", "bad", "films")
TOKENIZERS = {
    "word pieces": lambda given: given,
    "bytes": lambda given: byte_level(),
    "bytes after a space": lambda given: byte_level(prefix=True),
    "unigram": lambda given: unigram("always"),
    "whole texts": lambda given: no_spaces(),
    "one word for another": lambda given: EncodedTokenizer.wrap(given, table(great="good")),
    "words read together": lambda given: EncodedTokenizer.wrap(
        given, table(good_film="bad film", a_good="", goo_d="good", film="movie theatre")
    ),
}


def edits_of(one: AttackedInput) -> list[list[TextEdit]]:
    return [[TextEdit(start, end, OPTIONS)] for start, end in one.words.spans]


@pytest.mark.parametrize("as_pairs", [False, True])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_rows_with_an_edit_are_the_rows_of_the_changed_texts(
    tokenizer: Any, kind: str, side: int, as_pairs: bool
) -> None:
    chosen = TOKENIZERS[kind](tokenizer)
    texts: Sequence[Text] = [(text, f"a {text}") for text in TEXTS] if as_pairs else TEXTS
    inputs = [AttackedInput(text, side) for text in texts]
    tokens = IncrementalTokenizer(chosen, truncates=False)
    rows = tokens.encode(texts)
    found = row_edits(tokens, inputs, rows, list(map(edits_of, inputs)))
    for one, row, of_text in zip(inputs, rows, found, strict=True):
        for (edit,), of_word in zip(edits_of(one), of_text, strict=True):
            changed = [one.whole(other) for other in edit.applied(one.words.text)]
            read = [other.ids for other in tokenize(chosen, changed, max_length=10_000)]
            wanted = [ids for ids in read if ids != row.ids]
            begin, end = len(row.ids), 0
            made = [
                (*row.ids[: part.start], *ids, *row.ids[part.end :])
                for part in of_word
                for ids in part.options
            ]
            if tokens.encoding is None:
                assert made == read
            # An encoding may undo options, which are left out.
            assert [ids for ids in made if ids != row.ids] == wanted
            if not wanted:
                continue
            of_word = [part.changing(row.ids) for part in of_word]
            for other in wanted:
                before, after = common_ends(row.ids, other)
                begin, end = min(begin, before), max(end, len(row.ids) - after)
            bounds = [part.bounds(row.ids) for part in of_word]
            assert (min(a for a, _ in bounds), max(b for _, b in bounds)) == (begin, end)
            between = [ids for part in of_word for ids in part.between(row.ids, begin, end)]
            cut = len(row.ids) - end
            assert between == [other[begin : len(other) - cut] for other in wanted]
