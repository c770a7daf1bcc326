"""Words proposed by a masked language model as substitutions."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rosearch.attack import MaskedLM, MaskedWords, Words
from rosearch.attack.word_swaps.substitutions import masked as masked_module
from tests.attack.resources import masked_models


@pytest.fixture(scope="module")
def pair(tokenizer: Any) -> tuple[Any, Any]:
    return masked_models.wordpiece(tokenizer)


def proposed(substitution: MaskedWords, text: str, index: int) -> list[str]:
    proposing = substitution.propose_in(Words.of(text), index)
    try:
        ask = next(proposing)
        while True:
            ask = proposing.send(ask.oracle.answer(ask.questions))
    except StopIteration as stop:
        return list(stop.value)


def test_bae_proposes_words_for_the_mask(pair: tuple[Any, Any]) -> None:
    every = MaskedWords(MaskedLM(pair, count=200, cache=False), min_confidence=0.0)
    found = proposed(every, "the film was good .", 3)
    assert "good" not in found
    assert not [w for w in found if not any(c.isalpha() for c in w)]
    likely = MaskedWords(MaskedLM(pair, count=200, cache=False), min_confidence=0.02)
    assert (
        proposed(likely, "the film was good .", 3)
        == found[: len(proposed(likely, "the film was good .", 3))]
    )
    assert 0 < len(proposed(likely, "the film was good .", 3)) < len(found)


def test_bert_attack_proposes_whole_words_without_masking(pair: tuple[Any, Any]) -> None:
    substitution = MaskedWords(MaskedLM(pair, count=9, cache=False), method="bert-attack")
    text = "the film was good ."
    (places,) = substitution.masked_lm.answer([("places", text)])
    tokens = pair[1].convert_ids_to_tokens(places[4])
    assert proposed(substitution, text, 3) == [
        t for t in tokens if "##" not in t and t != "good" and len(Words.of(t)) == 1
    ]


def test_bert_attack_combines_pieces(pair: tuple[Any, Any]) -> None:
    lm = MaskedLM(pair, count=4, cache=False)
    substitution = MaskedWords(lm, method="bert-attack")
    text = "the film was goods ."
    (places,) = lm.answer([("places", text)])
    pieces = [pair[1].convert_ids_to_tokens(places[i]) for i in (4, 5)]
    words = ["".join(both).replace("##", "") for both in itertools.product(*pieces)]
    expected = [w for w in words if len(Words.of(w)) == 1 and w != "goods"][:4]
    assert proposed(substitution, text, 3) == expected
    assert lm.computed == 1  # one look at the text serves all its words


def test_combinations_of_many_pieces_are_limited(
    pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    class NoWords:
        @staticmethod
        def of(text: str) -> str:
            looked.append(text)
            return ""

    substitution = MaskedWords(MaskedLM(pair, count=8, cache=False), method="bert-attack")
    monkeypatch.setattr(masked_module, "MAX_COMBINATIONS", 1000)
    monkeypatch.setattr(masked_module, "Words", NoWords)
    assert substitution._joined([[5, 6, 7]] * 20) == []
    assert len(looked) == 1000


def test_truncated_words_have_no_substitutions(pair: tuple[Any, Any]) -> None:
    text = " ".join(["good"] * 80)
    for method in ("bae", "bert-attack"):
        substitution = MaskedWords(MaskedLM(pair, cache=False), method=method)  # type: ignore[arg-type]
        assert proposed(substitution, text, 79) == []
        assert proposed(substitution, text, 30) != []


@pytest.mark.parametrize("method", ["bae", "bert-attack"])
def test_words_of_byte_level_models_have_no_mark(dataset: Any, method: Any) -> None:
    pair = masked_models.byte_level([str(text) for text in dataset.texts])
    lm = MaskedLM(pair, count=200, cache=False)
    found = proposed(MaskedWords(lm, method=method, min_confidence=0.0), "the film was good .", 3)
    assert found
    assert not [word for word in found if "\u0120" in word or not word]


def test_arguments_out_of_range(pair: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="method"):
        MaskedWords(pair, method="bea")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="min_confidence"):
        MaskedWords(pair, min_confidence=2)
