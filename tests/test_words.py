"""Segmentation of texts into words."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.words import cluster_borders, word_spans, words_of

SIGNS = "'-_*@"
odd = st.sampled_from(
    "ab'-_*@ .,`\u02d7\u00d7\u0301\u094d\u200d\u200c\u00ad\u2019\u05f4\u05d0\ufe0f"
)
text = st.text(st.one_of(st.characters(codec="utf-8"), odd))


def slowly(text: str) -> list[str]:
    """TextAttack's segmentation in three steps: white space, runs, trimming."""
    words = []
    for part in text.split():
        runs = re.split("[^\\w'*@`\u02d7\u00d7-]+", part.strip(SIGNS))
        words += [run.strip(SIGNS) for run in runs]
    return [word for word in words if word]


def clusters(word: str) -> list[str]:
    borders = cluster_borders(word)
    return [word[start:end] for start, end in zip(borders, borders[1:], strict=False)]


@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_ascii_are_textattacks(text: str) -> None:
    assert words_of(text) == slowly(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_an_ascii_text_has_the_same_words_beside_another_letter(text: str) -> None:
    assert words_of(f"{text} \u0436") == [*words_of(text), "\u0436"]


@given(st.text(st.characters(categories=["L", "Nd", "Zs"], exclude_characters="\u202f")))
def test_letters_and_digits_without_marks_are_split_at_spaces(text: str) -> None:
    assert words_of(text) == slowly(text)


@given(text)
def test_spans_are_in_order_and_words_hold_no_others(text: str) -> None:
    borders = [place for span in word_spans(text) for place in span]
    assert borders == sorted(set(borders))
    assert [text[start:end] for start, end in word_spans(text)] == words_of(text)
    for word in words_of(text):
        assert words_of(word) == [word]


@given(text)
def test_no_word_ends_before_a_combining_mark(text: str) -> None:
    for start, end in word_spans(text):
        assert unicodedata.category(text[start])[0] != "M"
        assert end == len(text) or unicodedata.category(text[end])[0] != "M"


@given(text)
def test_borders_part_a_text_into_all_its_clusters(text: str) -> None:
    assert "".join(clusters(text)) == text
    assert all(clusters(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a well-made film.", ["It's", "a", "well-made", "film"]),
        ("'quoted' -- and *starred*", ["quoted", "and", "starred"]),
        ("x@y.com, U.S.", ["x@y", "com", "U", "S"]),
        ("电影很好 Ελλάδα", ["电影很好", "Ελλάδα"]),
        ("low \ud83d 🙂", ["low"]),
        ("", []),
        (">>>> ...", []),
        ("l\u2019amie, \u2018oui\u2019 amis\u2019", ["l\u2019amie", "oui", "amis"]),
        ("他\u2018好\u2019吧", ["他", "好", "吧"]),
        ("דו\u05f4ח פרס", ["דו\u05f4ח", "פרס"]),
        ("می\u200cشود\u200f!", ["می\u200cشود"]),
        ("re\u00adenter paral\u00b7lel", ["re\u00adenter", "paral\u00b7lel"]),
        ("\u0301a *\u0301b*\u0301 \u2764\ufe0fc", ["a", "b", "c"]),
    ],
)  # fmt: skip
def test_segmentation_of_examples(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    "text",
    [
        "मुझे संगीत पसंद नहीं",
        "আমি তোমাকে চিঠি লিখি",
        "நான் புத்தகம் படித்தேன்",
        "എനിക്ക് സന്തോഷമായി",
        "ความสุข ทุกวัน",
        "בְּרֵאשִׁית בָּרָא",
        "كَتَبَ الوَلَدُ دَرْسًا",
        "မြန်မာ စာ",
        unicodedata.normalize("NFD", "Très à l'aise déjà là"),
        unicodedata.normalize("NFD", "Tiếng Việt rất khó"),
        unicodedata.normalize("NFD", "한국어 문장"),
    ],
)
def test_words_are_not_cut_at_combining_marks(text: str) -> None:
    assert words_of(text) == text.split()


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("plain", list("plain")),
        (unicodedata.normalize("NFD", "éà"), ["e\u0301", "a\u0300"]),
        ("नमी", ["न", "मी"]),
        ("คำ", ["คำ"]),
        ("", []),
    ],
)
def test_a_letter_and_its_marks_are_one_cluster(word: str, parts: list[str]) -> None:
    assert clusters(word) == parts


def test_a_quote_between_hebrew_letters_joins_them() -> None:
    army, said, hello, states = 'צה"ל', "אמר", "שלום", 'ארה"ב'
    assert words_of(f'{army} {said} "{hello}" {states}') == [army, said, hello, states]
    assert words_of('5"6 a"b \u00e9"\u00e9') == ["5", "6", "a", "b", "\u00e9", "\u00e9"]
