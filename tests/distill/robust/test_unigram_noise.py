"""Random words of the training texts in them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher, UnigramNoise
from rosearch.errors import ArgumentError
from rosearch.space import templates
from rosearch.words import words_of

TEXTS = TextDataset(["a good, a fine film!", "the  film (bad) is the worst"] * 200, [0, 1] * 200)


def test_the_share_of_words_is_replaced_by_words_as_frequent_as_in_the_texts() -> None:
    found = UnigramNoise(share=0.5, copies=4).texts(TEXTS, epoch=1)
    assert 1500 < len(found) <= 1600
    assert Counter(k for k, _ in found).most_common(1)[0][1] == 4
    changed = drawn = 0
    for k, text in found:
        before, after = words_of(TEXTS.texts[k]), words_of(text)
        assert len(before) == len(after)
        changed += sum(a != b for a, b in zip(before, after, strict=True))
        drawn += after.count("film")
    # A word is drawn for itself now and then: of 11 words, "a", "film" and "the" are two each, and
    # five others one each. Texts that did not change are not in the list.
    total = 4 * 200 * 11
    assert changed / total == pytest.approx(0.5 * (1 - (3 * 4 + 5) / 11**2), abs=0.02)
    assert drawn / (11 * len(found) / 2) == pytest.approx(2 / 11, abs=0.02)


def test_signs_and_spaces_stay() -> None:
    for _, text in UnigramNoise(share=1.0, copies=1).texts(TEXTS[:20], epoch=1):
        assert "".join("w" if word else sign for sign, word in pieces(text)) in (
            "w w, w w w!",
            "w  w (w) w w w",
        )


def pieces(text: str) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    for sign in text:
        word = sign.isalnum()
        if not (word and found and found[-1][1]):
            found.append((sign, word))
    return found


def test_texts_depend_on_seed_epoch_and_copy_only() -> None:
    noise = UnigramNoise(copies=2)
    found = noise.texts(TEXTS, epoch=1)
    assert noise.texts(TEXTS, epoch=1) == found
    assert noise.texts(TEXTS, epoch=2) != found
    assert UnigramNoise(copies=2, seed=1).texts(TEXTS, epoch=1) != found
    one = UnigramNoise(copies=1).texts(TEXTS, epoch=1)
    assert found[: len(one)] == one
    assert found[len(one) : 2 * len(one)] != one


def test_both_texts_of_a_pair_change_and_texts_without_words_do_not() -> None:
    pairs = TextDataset([("a good film", "one more"), ("...", "two")] * 50, [0, 1] * 50)
    found = UnigramNoise(share=0.9, copies=1).texts(pairs, epoch=1)
    assert {k % 2 for k, _ in found} == {0, 1}
    for k, (first, second) in found:
        assert (first != "a good film") or (second != "one more") or k % 2
        assert k % 2 == 0 or first == "..."
    assert sum(a != "a good film" and b != "one more" for _, (a, b) in found) > 20
    assert not UnigramNoise().texts(TextDataset(["!", "?"], [0, 1]), epoch=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"share": 0}, "share"), ({"share": 1.1}, "share"), ({"copies": 0}, "copies")],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        UnigramNoise(**settings)


def test_students_learn_the_teachers_answers_to_noisy_texts(
    teacher: Teacher, parts: tuple[TextDataset, TextDataset]
) -> None:
    noise = UnigramNoise(copies=2, seed=7)
    changed = len(noise.texts(parts[0], epoch=1))
    assert changed > 200
    test = [text for _, text in UnigramNoise(copies=1, seed=8).texts(parts[0], epoch=1)]
    unseen = TextDataset.unlabelled(test, classes=parts[0].classes)
    answers = teacher.logits(unseen, progress=False)
    agreement = {}
    for augmentation in (None, noise):
        settings: dict[str, Any] = {"augmentation": augmentation, "learning_rate": 1e-2}
        distiller = Distiller(teacher, *parts, epochs=3, progress=False, **settings)
        result = distiller.distill(templates.text_cnn(width=16, embedding_width=16))
        assert result.history[-1].perturbed_texts == (0 if augmentation is None else changed)
        rows = result.student.tokenizer(test, padding=True, return_tensors="pt")
        inputs = {key: rows[key] for key in ("input_ids", "attention_mask")}
        gaps = result.student(**inputs).logits.diff(dim=1)[:, 0].detach().numpy()
        agreement[augmentation] = np.corrcoef(gaps, answers[:, 1] - answers[:, 0])[0, 1]
    assert agreement[noise] > agreement[None] + 0.02
