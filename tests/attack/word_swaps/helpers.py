"""Helpers for tests of substitutions, constraints and candidates."""

from __future__ import annotations

from typing import Any

from rosearch.attack import Change, Constraint, Examined, Words


def finished(steps: Any) -> Any:
    """Return value of a generator, with its questions answered by their oracles."""
    answer = None
    while True:
        try:
            ask = steps.send(answer)
        except StopIteration as stop:
            return stop.value
        answer = ask.oracle.answer(ask.questions)


def change(text: str, index: int, *replacements: str) -> Change:
    """The change of the word at ``index`` of an unchanged text."""
    words = Words.of(text)
    return Change(words, words, index, [words.resegment(index, new) for new in replacements])


def examined(constraint: Constraint, changed: Change) -> Examined:
    """The verdicts of a constraint."""
    found: Examined = finished(constraint.examine(changed))
    return found


def allowed(constraint: Constraint, text: str, index: int, *replacements: str) -> list[bool]:
    """Which replacements of the word at ``index`` a constraint allows."""
    return list(examined(constraint, change(text, index, *replacements)).allowed)
