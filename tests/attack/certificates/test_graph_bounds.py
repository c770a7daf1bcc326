"""Bounds of graphs, beside all texts that an attack can make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from rosearch.attack import NoRepeat, WordSwapAttack
from rosearch.attack.certificates import graph_bounds
from rosearch.attack.certificates.certificate import certify
from rosearch.attack.certificates.graph_bounds import graph_margins
from rosearch.attack.certificates.reader import ModelReader
from rosearch.attack.certificates.text_parts import text_parts
from rosearch.attack.certificates.word_options import UndecidedError, word_options
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.make import make_victim
from rosearch.attack.victim.model import ModelVictim
from rosearch.data import Text
from rosearch.operators import EmbeddingOperator
from rosearch.space import Embedding, Genome, SearchSpace, templates
from rosearch.tokens import collate
from tests.attack.certificates.test_certificate import Listed, all_texts, texts, untrained

ATTACK = WordSwapAttack(Listed(), [NoRepeat()], resegment=False)


def margins_of(victim: ModelVictim, text: Text, label: int) -> np.ndarray:
    """The bounds of one text's margins."""
    attacked = AttackedInput(text)
    reader = ModelReader(victim, attacked)
    parts = text_parts(word_options(ATTACK, attacked), None, reader.read)
    return graph_margins(reader, parts, label)


@torch.no_grad()
def true_margins(victim: ModelVictim, text: Text, label: int) -> np.ndarray:
    """The least margin against each other class of all texts that the attack can make."""
    rows = list(dict.fromkeys(victim.tokens.encode(all_texts(AttackedInput(text)))))
    logits = victim.model(**collate(rows, pad_id=victim.tokens.pad_id)).logits.double().numpy()
    found: np.ndarray = np.delete(logits[:, [label]] - logits, label, axis=1).min(axis=0)
    return found


GENOMES: Mapping[str, Genome] = {
    "bag of words": templates.bag_of_words(width=16, embedding_width=8),
    "text cnn": templates.text_cnn(width=16, embedding_width=8),
    "bigru": templates.bigru(width=16, embedding_width=8),
    "transformer": templates.transformer(width=16, embedding_width=8, layers=1),
}


@pytest.mark.parametrize("name", GENOMES)
@pytest.mark.parametrize("classes", [2, 3])
def test_no_text_has_a_smaller_margin(name: str, classes: int, tokenizer: Any) -> None:
    model = untrained(GENOMES[name], tokenizer, classes=classes)
    with torch.no_grad():
        model.classifier.weight.normal_()
    victim = make_victim(model, tokenizer)
    assert isinstance(victim, ModelVictim)
    above = []
    for text in [*texts(12, words=4), "the and the", "story"]:
        for label in range(classes):
            found = margins_of(victim, text, label)
            above.append(true_margins(victim, text, label) - found)
            assert found.shape == (classes - 1,)
            assert (above[-1] > 0).all()
    if name != "bigru":  # of one word and no other, there is no slack but that of rounding
        assert min(each.max() for each in above) < 0.01


def test_genomes_of_the_default_space(tokenizer: Any) -> None:
    space = SearchSpace(widths=[16], embedding_widths=[8], nodes=(1, 4))
    known = 0
    for seed in range(25):
        genome = replace(space.sample(seed=seed), bound=None, encodings=())
        victim = make_victim(untrained(genome, tokenizer, seed=seed), tokenizer)
        assert isinstance(victim, ModelVictim)
        (text,) = texts(1, words=4, seed=seed)
        try:
            found = margins_of(victim, text, 0)
        except UndecidedError as error:
            assert "more of a token than its vector" in str(error)  # noqa: PT017
            assert genome.embedding.operator == "character_embedding"
            continue
        known += 1
        assert (found < true_margins(victim, text, 0)).all()
    assert known > 12


@pytest.mark.parametrize("side", [0, 1])
def test_sides_of_pairs(side: int, tokenizer: Any) -> None:
    model = untrained(GENOMES["text cnn"], tokenizer)
    with torch.no_grad():
        model.embedding.types.weight.normal_()
    victim = make_victim(model, tokenizer)
    assert isinstance(victim, ModelVictim)
    for pair in zip(texts(8, words=3), texts(8, words=4, seed=1), strict=True):
        attacked = AttackedInput(pair, side)
        reader = ModelReader(victim, attacked)
        parts = text_parts(word_options(ATTACK, attacked), None, reader.read)
        rows = victim.tokens.encode(all_texts(attacked))
        with torch.no_grad():
            logits = model(**collate(rows, pad_id=victim.tokens.pad_id)).logits.double().numpy()
        least = (logits[:, 1] - logits[:, 0]).min()
        assert graph_margins(reader, parts, 1) < least


@pytest.mark.parametrize("bound", [None, 0.5, 3.0])
def test_texts_are_certified_by_it(bound: float | None, tokenizer: Any) -> None:
    model = untrained(replace(GENOMES["text cnn"], bound=bound), tokenizer)
    with torch.no_grad():
        model.classifier.weight.normal_(std=0.1)
        model.classifier.bias.copy_(torch.tensor([0.0, 0.5]))
        if bound is not None:
            model.token_scores.tokens.weight.normal_(std=0.2)
    victim = make_victim(model, tokenizer)
    reasons: Counter[str] = Counter()
    for text in texts(30, words=4):
        attacked = AttackedInput(text)
        label = int(victim.probabilities([text]).argmax())
        found = certify(victim, ATTACK, attacked, label, limit=0)
        answers = victim.probabilities(all_texts(attacked)).argmax(axis=1)
        assert not found.holds or (answers == label).all()
        reasons[found.reason] += 1
    assert reasons["intervals"] > 0
    wide = "more than 0 combinations, and what the graph may answer is not known well enough"
    assert reasons[wide] > 0


def test_why_it_is_not_known(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = untrained(GENOMES["text cnn"], tokenizer)

    def reason(of: Any) -> str:
        victim = make_victim(of, tokenizer)
        assert isinstance(victim, ModelVictim)
        with pytest.raises(UndecidedError) as raised:
            margins_of(victim, "good film", 1)
        assert certify(victim, ATTACK, AttackedInput("good film"), 1, limit=0).holds is None
        return str(raised.value)

    other = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
        )
    )
    assert "no student" in reason(other.eval())
    assert "less than float32" in reason(untrained(GENOMES["text cnn"], tokenizer).bfloat16())
    spelt = replace(GENOMES["text cnn"], embedding=Embedding("character_embedding"))
    assert "more of a token than its vector" in reason(untrained(spelt, tokenizer))

    spelt = untrained(GENOMES["text cnn"], tokenizer)

    def forward(self: Any, *given: Any) -> torch.Tensor:
        return EmbeddingOperator.forward(self, *given)

    monkeypatch.setattr(type(spelt.embedding), "forward", forward, raising=False)
    assert "more of a token than its vector" in reason(spelt)
    monkeypatch.undo()

    large = untrained(GENOMES["bag of words"], tokenizer)
    with torch.no_grad():  # whose norm takes differences of large numbers
        large.embedding.projection.bias.fill_(1000.0)
        large.embedding.projection.weight.normal_(std=0.02)
        large.classifier.weight.normal_()
    assert "rounded too much" in reason(large)

    for compute, why in (
        (torch.sin, "torch's sin has no rule"),
        (lambda hidden: hidden * (hidden > 0), "Python's gt has no rule"),
        (lambda hidden: -hidden if hidden.sum() else hidden, "Python's bool has no rule"),
        (lambda hidden: hidden**2, "Python's pow has no rule"),
        (lambda hidden: hidden.cumsum(1), "torch's cumsum has no rule"),
        (lambda hidden: torch.addcmul(hidden, hidden, hidden, value=2), "for these arguments"),
    ):
        monkeypatch.setattr(
            type(model.nodes[0].operator), "compute", lambda _, hidden, __, f=compute: f(hidden)
        )
        assert why in reason(model)
        found = certify(make_victim(model, tokenizer), ATTACK, AttackedInput("film"), 1, limit=0)
        assert why in found.reason
    monkeypatch.setattr(graph_bounds, "MOST_LENGTHS", 1)
    assert "over 1 different lengths" in reason(model)
