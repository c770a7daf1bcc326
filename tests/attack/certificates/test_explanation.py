"""Explanations word by word."""

from __future__ import annotations

from typing import Any

import pytest

from rosearch.attack import explain
from rosearch.attack.certificates.certificate import certify
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.make import make_victim
from rosearch.data import TextDataset
from rosearch.encode import encodings
from rosearch.errors import ArgumentError
from rosearch.space import templates
from tests.attack.certificates.test_certificate import attack, student, texts


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    made = student(templates.additive(), tokenizer)
    made.tokenizer = tokenizer
    return made


@pytest.mark.parametrize("text", [*texts(20), "", " ", "...", ("good film", "bad story")])
def test_scores_sum_to_the_margin_of_the_answer(text: Any, model: Any, tokenizer: Any) -> None:
    found = explain(model, text)
    inputs = tokenizer(*((text,) if isinstance(text, str) else text), return_tensors="pt")
    logits = model(**inputs).logits[0].detach()
    assert found.predicted == model.config.id2label[int(logits.argmax())]
    assert found.margin == pytest.approx(float(logits.max() - logits.min()), abs=1e-4)
    assert found.worst_margin == found.margin
    attacked = text if isinstance(text, str) else text[1]
    assert "".join(word.text for word in found.words) == attacked


def test_the_worst_margin_agrees_with_certificates(model: Any, tokenizer: Any) -> None:
    victim, held = make_victim(model, tokenizer), set()
    for text in texts(30):
        found = explain(victim, text, attack())
        label = int(victim.probabilities([text]).argmax())
        holds = certify(victim, attack(), AttackedInput(text), label).holds
        assert holds == (found.worst_margin > 0)
        held.add(holds)
        for word in found.words:
            if word.worst is not None and word.replacement is not None:
                assert word.worst < word.score
                changed = text.replace(word.text, word.replacement, 1)
                assert changed != text
    assert held == {True, False}


def test_as_text_and_html(model: Any) -> None:
    found = explain(model, "a <b> good film \u00e9", attack())
    lines = str(found).splitlines()
    assert lines[0].startswith(f"{found.predicted} rather than {found.other}: margin +")
    assert len(lines) == len(found.words) + 2
    html = found.to_html()
    assert html == found._repr_html_()
    assert html.isascii()
    assert "&lt;b&gt;" in html
    assert html.count("<span") == len(found.words)


def test_words_that_are_read_together_are_one_part(
    model: Any, tokenizer: Any, dataset: TextDataset
) -> None:
    spelling = encodings.get("spelling").fit(dataset)
    found = explain(model, "a won derful film", tokenizer=tokenizer, encoding=spelling)
    assert [word.text for word in found.words] == ["a", " won derful", " film"]
    plain = explain(model, "a wonderful film")
    assert found.margin == pytest.approx(plain.margin)


def test_the_prediction_is_that_of_the_whole_model(tokenizer: Any) -> None:
    model = student(templates.text_cnn(width=16, embedding_width=8, bound=30.0), tokenizer)
    victim, moved = make_victim(model, tokenizer), 0
    for text in texts(20):
        found = explain(model, text, tokenizer=tokenizer)
        label = int(victim.probabilities([text]).argmax())
        assert found.predicted == model.config.id2label[label] != found.other
        assert found.margin > -found.bound
        moved += found.margin < 0
    assert moved
    assert found.bound == 30
    assert "by at most 30" in found.to_html()


def test_a_typo_is_read_as_its_neighbours_decide(tokenizer: Any, dataset: TextDataset) -> None:
    model = student(templates.additive(), tokenizer)
    spelling = encodings.get("spelling").fit(dataset)
    victim = make_victim(model, tokenizer, encoding=spelling)
    for text in ("the film was wad .", "a dul storry", "the fim was quitee bad"):
        assert spelling(text) != text
        found = explain(model, text, attack(), tokenizer=tokenizer, encoding=spelling)
        same = explain(model, spelling(text), tokenizer=tokenizer)
        assert found.margin == pytest.approx(same.margin, abs=1e-5)
        label = int(victim.probabilities([text]).argmax())
        assert found.predicted == model.config.id2label[label]


def test_of_three_classes_the_two_highest_are_compared(tokenizer: Any) -> None:
    model = student(templates.additive(), tokenizer, classes=3)
    for text in texts(10):
        found = explain(model, text, tokenizer=tokenizer)
        inputs = tokenizer(text, return_tensors="pt")
        first, second = model(**inputs).logits[0].detach().topk(2).values.tolist()
        assert found.margin == pytest.approx(first - second, abs=1e-4)


def test_what_cannot_be_explained_is_refused(model: Any, trained_bert: Any, tokenizer: Any) -> None:
    with pytest.raises(ArgumentError, match="needs a model, got FunctionVictim"):
        explain(lambda given: [[0.5, 0.5]] * len(given), "good")
    with pytest.raises(ArgumentError, match="sums of token scores"):
        explain(trained_bert, "good", tokenizer=tokenizer)
    with pytest.raises(ArgumentError, match="may be truncated"):
        explain(model, "good " * 70)
