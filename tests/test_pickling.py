"""What is left out of pickles."""

from __future__ import annotations

from functools import cached_property

from rosearch.pickling import state_without_cached


class Base:
    def __init__(self) -> None:
        self.kept = 1

    @cached_property
    def inherited(self) -> int:
        return 2


class Derived(Base):
    @cached_property
    def own(self) -> int:
        return 3


def test_cached_values_of_all_classes_are_left_out() -> None:
    made = Derived()
    assert made.own + made.inherited == 5
    assert vars(made) == {"kept": 1, "own": 3, "inherited": 2}
    assert state_without_cached(made) == {"kept": 1}
