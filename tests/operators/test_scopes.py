"""Scopes of negation and contrast."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rosearch.operators import TokenScores
from rosearch.operators.scopes import CONTRAST, END, NEGATION, SCOPES, cue_tokens, scopes

KINDS = {"not": NEGATION, "but": CONTRAST, ",": END, ".": END}


def found(text: str) -> str:
    kinds = torch.tensor([[KINDS.get(word, 0) for word in text.split()]])
    return "".join(map(str, scopes(kinds)[0].tolist()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a good film", "000"),
        ("not a good film", "0111"),
        ("not good , but fine .", "232244"),
        ("a film", "00"),
        ("this is not good , not bad .", "00010010"),
        ("not not good", "011"),
        ("dull but good", "224"),
        ("dull but good but long", "22224"),
        ("good but not long , and fun", "2245444"),
    ],
)
def test_scopes_of_a_text(text: str, expected: str) -> None:
    assert found(text) == expected


def by_hand(words: list[str]) -> list[int]:
    last = max((k for k, word in enumerate(words) if word == "but"), default=None)
    expected, negated = [], False
    for k, word in enumerate(words):
        if KINDS.get(word) == END:
            negated = False
        side = 0 if last is None else 1 if k <= last else 2
        expected.append(int(negated) + 2 * side)
        negated |= word == "not"
    return expected


def test_scopes_of_random_batches() -> None:
    generator = torch.Generator().manual_seed(0)
    names = ["a", "b", *KINDS]
    numbers = torch.randint(len(names), (300, 12), generator=generator)
    batch = [[names[k] for k in row] for row in numbers.tolist()]
    kinds = torch.tensor([[KINDS.get(word, 0) for word in row] for row in batch])
    assert scopes(kinds).tolist() == list(map(by_hand, batch))
    assert int(scopes(kinds).max()) == SCOPES - 1


def test_cues_of_vocabularies(tokenizer: Any) -> None:
    class Vocabulary:
        def __init__(self, *tokens: str) -> None:
            self.tokens = tokens

        def get_vocab(self) -> dict[str, int]:
            return {token: k for k, token in enumerate(self.tokens)}

    given = Vocabulary("good", "\u0120not", "\u2581But", "no</w>", ",", "T", "nota")
    kinds = [NEGATION, CONTRAST, NEGATION, END, NEGATION]
    assert cue_tokens(given) == list(zip(range(1, 6), kinds, strict=True))
    assert cue_tokens(Vocabulary("gut", "nicht")) == []
    assert (tokenizer.get_vocab()["."], END) in cue_tokens(tokenizer)


class TestTokenScores:
    CUES = ((1, NEGATION), (2, CONTRAST), (3, END))

    @pytest.fixture
    def scores(self) -> TokenScores:
        torch.manual_seed(0)
        made = TokenScores(10, 3, padding=0, cues=self.CUES)
        with torch.no_grad():
            made.tokens.weight[1:].normal_()
            made.bias.normal_()
        return made

    def test_each_token_has_the_score_of_its_scope(self, scores: TokenScores) -> None:
        ids = torch.tensor([[5, 1, 6, 3, 7, 2, 8], [1, 9, 2, 4, 0, 0, 0]])
        mask = ids != 0
        expected = [[2, 2, 3, 2, 2, 2, 4], [2, 3, 3, 5]]
        table = scores.tokens.weight.detach().view(10, SCOPES, 3)
        sums = [
            sum(table[token, scope] for token, scope in zip(row.tolist(), own, strict=False))
            for row, own in zip(ids, expected, strict=True)
        ]
        torch.testing.assert_close(scores(ids, mask), torch.stack(sums) + scores.bias)

    def test_padding_and_batches_change_nothing(self, scores: TokenScores) -> None:
        rows = torch.randint(1, 10, (20, 7), generator=torch.Generator().manual_seed(1))
        padded = torch.cat([torch.zeros(20, 2, dtype=torch.long), rows, rows.new_zeros(20, 3)], 1)
        alone = torch.cat([scores(row[None], row[None] != 0) for row in rows])
        torch.testing.assert_close(scores(padded, padded != 0), alone)

    def test_without_cues_in_a_vocabulary_all_is_one_scope(self) -> None:
        scores = TokenScores(10, 3, cues=())
        with torch.no_grad():
            scores.tokens.weight.normal_()
        ids = torch.randint(10, (4, 6))
        plain = TokenScores(10, 3)
        with torch.no_grad():
            plain.tokens.weight.copy_(scores.tokens.weight[:, :3])
        mask = torch.ones_like(ids, dtype=torch.bool)
        torch.testing.assert_close(scores(ids, mask), plain(ids, mask))
