"""Attacks with masked language models and with gradients, against TextAttack 0.3.11."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    A2T,
    BAE,
    BertAttack,
    CharacterEdits,
    MaskedLM,
    MaskedWords,
    ModelVictim,
    Words,
    WordSwaps,
)
from rosearch.attack.base import SearchContext
from rosearch.attack.resources.word_vectors import WordVectors
from rosearch.attack.word_swaps.searches.rankings import rank_by_gradient
from tests.attack.resources import masked_models
from tests.attack.textattack.agreement import check_agreement, sentences, some_wrong, statuses
from tests.attack.textattack.counterparts import build, greedy, their_vectors, usual
from tests.attack.word_swaps.helpers import finished

pytestmark = [pytest.mark.slow, pytest.mark.textattack]


@pytest.fixture(scope="module", params=["word pieces", "bytes"])
def lm(request: Any, tokenizer: Any) -> tuple[Any, Any]:
    if request.param == "bytes":
        return masked_models.byte_level(sentences(200))
    return masked_models.wordpiece(tokenizer)


@pytest.fixture
def victim(make_victim: Any, dataset: Any) -> dict[str, Any]:
    """Keyword arguments of ``check_agreement`` with 60 texts."""
    # Words of few pieces, since TextAttack tries all combinations of pieces.
    texts = [str(text).replace("the ", "thes ") for text in dataset.texts[:60]]
    return make_victim(texts, list(map(int, dataset.labels[:60])))


def theirs(textattack: Any, lm: tuple[Any, Any], method: str, count: int, least: float) -> Any:
    return textattack.transformations.WordSwapMaskedLM(
        method=method,
        masked_language_model=lm[0],
        tokenizer=lm[1],
        max_length=64,
        max_candidates=count,
        min_confidence=least,
    )


def ours(substitution: MaskedWords, text: str, index: int) -> list[str]:
    """The texts that a substitution proposes."""
    words = Words.of(text)
    proposed = finished(substitution.propose_in(words, index))
    return [words.resegment(index, new).text for new in proposed]


def decodable(word: str) -> bool:
    # A byte-level vocabulary's raw forms of bytes are decoded here and not there.
    return word.isascii()


@pytest.mark.parametrize("least", [0.0, 0.01])
@pytest.mark.parametrize("method", ["bae", "bert-attack"])
def test_the_same_words_are_proposed(
    textattack: Any, lm: tuple[Any, Any], method: Any, least: float
) -> None:
    # TextAttack goes through all combinations of pieces, so there must not be many.
    count = 8 if method == "bae" else 2
    transformation = theirs(textattack, lm, method, count, least)
    substitution = MaskedWords(
        MaskedLM(lm, count=count, cache=False), method=method, min_confidence=least
    )
    compared = proposed = 0
    for text in sentences(40)[::2]:
        attacked = textattack.shared.AttackedText(text)
        for index in range(len(attacked.words)):
            if method == "bert-attack" and len(attacked.words[index]) > 6:
                continue
            if method == "bert-attack" and index + 2 >= len(attacked.words):
                continue  # TextAttack may read places behind the end of the text
            expected = [t.text for t in transformation._get_transformations(attacked, [index])]
            deleted = attacked.delete_word_at_index(index).text
            expected = [t for t in expected if t != deleted]  # ours only replaces
            got = ours(substitution, text, index)
            if all(map(decodable, expected)):
                assert got == expected, (text, index)
                compared += 1
                proposed += len(got)
    assert compared > 40
    assert proposed > 40


def test_bae(textattack: Any, tokenizer: Any, victim: Any) -> None:
    lm = masked_models.wordpiece(tokenizer)
    attack = BAE(masked_lm=MaskedLM(lm, count=12, cache=False), tagger=False, encoder=False)
    make = partial(build, theirs(textattack, lm, "bae", 12, 0.0), usual(), greedy("delete"))
    assert statuses(check_agreement(textattack, attack, make, **victim)) >= {"succeeded", "skipped"}


def test_bert_attack(textattack: Any, tokenizer: Any, victim: Any) -> None:
    from textattack.constraints.overlap import MaxWordsPerturbed

    lm = masked_models.wordpiece(tokenizer)
    attack = BertAttack(masked_lm=MaskedLM(lm, count=4, cache=False), encoder=False)
    limits = [*usual(), MaxWordsPerturbed(max_percent=0.4)]
    make = partial(build, theirs(textattack, lm, "bert-attack", 4, 0.0), limits, greedy("unk"))
    assert statuses(check_agreement(textattack, attack, make, **victim)) >= {"succeeded", "skipped"}


@pytest.fixture(scope="module")
def calm_bert(tiny_bert: Any, tokenizer: Any, dataset: Any) -> Any:
    """A trained classifier without dropout, which TextAttack leaves on for gradients."""
    import torch

    model = tiny_bert()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.config.attention_probs_dropout_prob = model.config.hidden_dropout_prob = 0.0
    for layer in model.bert.encoder.layer:
        layer.attention.self.attention_dropout = layer.attention.self.dropout_prob = 0.0
    inputs = tokenizer(list(dataset.texts), padding=True, return_tensors="pt")
    labels = torch.tensor(dataset.labels)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(20):
        optimiser.zero_grad()
        model(**inputs, labels=labels).loss.backward()
        optimiser.step()
    optimiser.zero_grad()
    model.tokenizer = tokenizer
    return model.eval()


@pytest.fixture(scope="module")
def vectors(dataset: Any) -> WordVectors:
    words = sorted({w.lower() for text in dataset.texts for w in Words.of(str(text)).words})
    rng = np.random.default_rng(0)
    # Near each other, so that some pairs have a cosine above the threshold.
    rows = rng.normal(size=(len(words), 8)) + 1.5
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return WordVectors(words, rows.astype(np.float32))


def test_words_are_ranked_alike_by_gradient(
    textattack: Any, calm_bert: Any, tokenizer: Any, dataset: Any
) -> None:
    wrapper = textattack.models.wrappers.HuggingFaceModelWrapper(calm_bert, tokenizer)
    attack = textattack.Attack(
        textattack.goal_functions.UntargetedClassification(wrapper),
        [],
        textattack.transformations.WordSwapQWERTY(),
        textattack.search_methods.GreedyWordSwapWIR(wir_method="gradient"),
    )
    victim = ModelVictim(calm_bert, tokenizer)
    swaps = WordSwaps(CharacterEdits())
    for text in map(str, dataset.texts[:60]):
        predicted = int(victim.probabilities([text])[0].argmax())
        attack.goal_function.init_attack_example(textattack.shared.AttackedText(text), predicted)
        order, _ = attack.search_method._get_index_order(textattack.shared.AttackedText(text))
        words = Words.of(text)
        context = SearchContext(0.0, tuple(range(len(words))), text)
        ranking = rank_by_gradient(swaps.start(words, context))
        next(ranking)
        with pytest.raises(StopIteration) as stop:
            ranking.send(victim.gradients([text], [predicted], 0))
        assert stop.value.value == [int(i) for i in order], text


@pytest.mark.parametrize("mlm", [False, True])
def test_a2t(
    textattack: Any,
    calm_bert: Any,
    tokenizer: Any,
    dataset: Any,
    vectors: WordVectors,
    mlm: bool,
) -> None:
    from textattack.constraints.pre_transformation import MaxModificationRate

    lm = masked_models.wordpiece(tokenizer)
    limits = [*usual(), MaxModificationRate(max_rate=0.1, min_threshold=4)]
    if mlm:
        attack = A2T(
            mlm=True, masked_lm=MaskedLM(lm, count=20, cache=False), tagger=False, encoder=False
        )
        transformation = theirs(textattack, lm, "bae", 20, 0.0)
    else:
        from textattack.constraints.semantics import WordEmbeddingDistance

        attack = A2T(vectors=vectors, tagger=False, encoder=False)
        table = their_vectors(vectors)
        limits.append(WordEmbeddingDistance(embedding=table, min_cos_sim=0.8))
        transformation = textattack.transformations.WordSwapEmbedding(
            max_candidates=20, embedding=table
        )
    texts = [str(text) for text in dataset.texts[:100]]
    outcomes = check_agreement(
        textattack,
        attack,
        partial(build, transformation, limits, greedy("gradient")),
        texts,
        some_wrong([int(label) for label in dataset.labels[:100]]),
        calm_bert,
        model_wrapper=textattack.models.wrappers.HuggingFaceModelWrapper(calm_bert, tokenizer),
    )
    assert statuses(outcomes) >= {"succeeded", "skipped"}
