"""Parameters that a search may choose: their values, defaults and checks."""

from __future__ import annotations

from typing import Any

import pytest

from rosearch import checks
from rosearch.errors import ArgumentError, GenomeError
from rosearch.parameters import Choice, Parameters, complete

CHOICES = {
    "heads": Choice(1, 2, 4, default=4),
    "gated": Choice(False, True),
    "share": Choice(0.1, 0.5, check=checks.share),
}


def completed(**parameters: Any) -> dict[str, Any]:
    return complete("the operator 'mine'", CHOICES, parameters)


class TestChoice:
    def test_default_is_the_first_value(self) -> None:
        assert Choice(3, 1).default == 3
        assert Choice(3, 1, default=1).default == 1
        assert Choice(False, True).default is False

    def test_values_and_defaults_are_checked(self) -> None:
        with pytest.raises(ArgumentError, match="default must be one of 1, 2, got 5"):
            Choice(1, 2, default=5)
        with pytest.raises(ArgumentError, match="values must be one or more values"):
            Choice()

    def test_equal_by_values_and_default(self) -> None:
        assert Choice(1, 2) == Choice(1, 2, check=checks.number)
        assert Choice(1, 2) != Choice(1, 2, default=2)


class TestComplete:
    def test_fills_defaults(self) -> None:
        assert completed() == {"heads": 4, "gated": False, "share": 0.1}
        assert completed(gated=True, heads=1) == {"heads": 1, "gated": True, "share": 0.1}
        assert list(completed(gated=True, heads=1)) == list(CHOICES)

    def test_unknown_parameter_raises(self) -> None:
        with pytest.raises(GenomeError) as caught:
            completed(head=2)
        assert str(caught.value) == (
            "The operator 'mine' has no parameter 'head'; known: heads, gated, share. "
            "Did you mean 'heads'?"
        )
        with pytest.raises(GenomeError, match="known: none"):
            complete("the operator 'mine'", {}, {"head": 2})

    @pytest.mark.parametrize("value", [5, True, 2.0, "2", None, [1]])
    def test_wrong_value_raises(self, value: object) -> None:
        with pytest.raises(GenomeError, match=r"heads of the operator 'mine' must be one of 1, 2"):
            completed(heads=value)

    def test_a_check_accepts_further_values(self) -> None:
        assert completed(share=0.3)["share"] == 0.3
        whole = completed(share=1)["share"]
        assert isinstance(whole, float)
        with pytest.raises(ArgumentError, match=r"share of the operator .* got 1\.5"):
            completed(share=1.5)


class TestParameters:
    def test_a_mapping_that_is_equal_and_hashed_by_content(self) -> None:
        one, other = Parameters({"a": 1, "b": "x"}), Parameters({"b": "x", "a": 1})
        assert one == other == {"a": 1, "b": "x"}
        assert hash(one) == hash(other)
        assert one != Parameters({"a": 1})
        assert dict(one) == {"a": 1, "b": "x"}
        assert len(one) == 2
        assert repr(other) == "{'a': 1, 'b': 'x'}"
        with pytest.raises(KeyError, match="c"):
            one["c"]

    def test_another_process_hashes_them_anew(self) -> None:
        # Hashes of strings differ between processes.
        assert Parameters({"a": "x"}).__reduce__() == (Parameters, ({"a": "x"},))
