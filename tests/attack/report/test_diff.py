"""Differences between texts and their display."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rosearch.attack.report.diff import in_html, in_terminal, segments


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("a dull film", "a drab film", "a [-dull-]{+drab+} film"),
        ("a dull film", "a dull film", "a dull film"),
        ("a dull film", "a du ll film", "a [-dull-]{+du ll+} film"),
        ("a dull film!", "a du ll fiilm!", "a [-dull film-]{+du ll fiilm+}!"),
        ("a well-made film", "a well made film", "a [-well-made-]{+well made+} film"),
        ("a very dull film", "a dull film", "a[- very-] dull film"),
        ("a dull film", "a very dull film", "a{+ very+} dull film"),
        ("dull film", "so dull film", "{+so +}dull film"),
        ("dull film", "dull film indeed", "dull film{+ indeed+}"),
        ("a dull film", "", "[-a dull film-]"),
        ("", "dull", "{+dull+}"),
        ("a big dull film", "a tedious film", "a [-big dull-]{+tedious+} film"),
        ("x y z", "y x z", "[-x-]{+y+} [-y-]{+x+} z"),
        ("the film, the film", "the film, a film", "the film, [-the-]{+a+} film"),
        ("a dull film", "a *dull* film", "a[- -]{+ *+}dull[- -]{+* +}film"),
    ],
)
def test_changed_words(before: str, after: str, expected: str) -> None:
    assert in_terminal(before, after, color=False) == expected


TEXTS = st.lists(st.sampled_from(["a", "dull", "film", "-x-", " ", "  ", ",", "<b>", "\n", "é"]))


@given(TEXTS.map("".join), TEXTS.map("".join))
@example("a dull film", "a du ll  film")
@example("", "a")
@example("a", "")
def test_both_texts_can_be_restored(before: str, after: str) -> None:
    parts = segments(before, after)
    assert "".join(p.text for p in parts if p.kind != "inserted") == before
    assert "".join(p.text for p in parts if p.kind != "deleted") == after
    assert all(p.text for p in parts)
    # The same holds for the HTML without its deleted or its inserted parts.
    page = in_html(before, after)
    for gone, left in (("ins", before), ("del", after)):
        rest = re.sub(rf"<{gone}>.*?</{gone}>", "", page, flags=re.DOTALL)
        assert html.unescape(re.sub(r"</?(del|ins)>", "", rest)) == left


@given(st.text(), st.text())
def test_arbitrary_texts_can_be_restored(before: str, after: str) -> None:
    parts = segments(before, after)
    assert "".join(p.text for p in parts if p.kind != "inserted") == before
    assert "".join(p.text for p in parts if p.kind != "deleted") == after
    assert re.findall("<(?!/?(?:del|ins)>)", in_html(before, after)) == []


def test_long_texts() -> None:
    before = " ".join(f"w{i}" for i in range(2000))
    after = " ".join(f"v{i} x" for i in range(2000))
    assert segments(before, after) == (("deleted", before), ("inserted", after))


def test_marks_for_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    plain = "a [-dull-]{+drab+} film"
    assert in_terminal("a dull film", "a drab film", color=False) == plain
    colored = in_terminal("a dull film", "a drab film", color=True)
    assert colored == "a \x1b[31;9mdull\x1b[0m\x1b[32;1;4mdrab\x1b[0m film"
    assert in_terminal("a dull film", "a drab film") == plain  # standard output is captured
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert in_terminal("a dull film", "a drab film") == colored
    monkeypatch.setenv("NO_COLOR", "1")
    assert in_terminal("a dull film", "a drab film") == plain


def test_control_characters_are_escaped() -> None:
    shown = in_terminal("a \x1b[2J\x07 film\n\u202e", "a \x1b[2J\x07 movie\n\u202e", color=False)
    assert shown == "a \\x1b[2J\\x07 [-film-]{+movie+}\n\\u202e"
