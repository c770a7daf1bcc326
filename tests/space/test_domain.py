"""Arguments of a search space: what is refused, and why."""

from __future__ import annotations

import pytest

from rosearch.errors import ArgumentError, GenomeError, RegistryError, SpaceError
from rosearch.space import SearchSpace, TextEncoding


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": ()}, r"widths must be a sequence with at least one value, got \(\)"),
        ({"widths": (0,)}, "each of widths must be a whole number from 1, got 0"),
        ({"poolings": ("median",)}, "each of poolings must be one of 'mean', .* got 'median'"),
        ({"nodes": (3, 2)}, r"nodes\[1\] must be a whole number from 3, got 2"),
        ({"nodes": 5}, r"nodes must be \(minimum, maximum\), got 5"),
        ({"max_inputs": 0}, "max_inputs must be a whole number from 1, got 0"),
        ({"operators": []}, "operators must be a sequence with at least one value"),
        ({"operators": "attention"}, "operators must be a sequence"),
        ({"operators": {"attention": {"heads": ()}}}, "heads of 'attention' must be a sequence"),
    ],
)
def test_invalid_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        SearchSpace(**arguments)  # type: ignore[arg-type]


def test_width_that_no_operator_fits() -> None:
    with pytest.raises(SpaceError, match="No operator fits the width 10"):
        SearchSpace(operators={"attention": {"heads": (4,)}}, widths=(10,))
    assert SearchSpace(operators=["attention"], widths=(9,), nodes=(1, 2)).sample(seed=0)


def test_unknown_operator_and_parameter() -> None:
    with pytest.raises(RegistryError, match="no operator named 'lstm'"):
        SearchSpace(operators=["lstm"])
    with pytest.raises(GenomeError, match="no parameter 'depth'"):
        SearchSpace(operators={"attention": {"depth": (1,)}})


@pytest.mark.usefixtures("encodings")
def test_encodings_of_a_space() -> None:
    assert SearchSpace().encodings == {}
    space = SearchSpace(encodings={"merged": {"strength": (0.1, 1)}, "lower_case": {}})
    assert space.encodings == {"lower_case": {}, "merged": {"strength": (0.1, 1.0)}}
    assert space.encodings_at == {
        "characters": {"lower_case": (TextEncoding("lower_case"),)},
        "words": {"merged": tuple(TextEncoding("merged", {"strength": s}) for s in (0.1, 1.0))},
    }


@pytest.mark.usefixtures("encodings")
def test_invalid_encodings_of_a_space() -> None:
    with pytest.raises(ArgumentError, match=r"encodings must be a sequence .* got 'merged'"):
        SearchSpace(encodings="merged")
    with pytest.raises(ArgumentError, match="strength of 'merged' must be a sequence"):
        SearchSpace(encodings={"merged": {"strength": ()}})
    with pytest.raises(ArgumentError, match=r"strength of the encoding 'merged' .* got 3"):
        SearchSpace(encodings={"merged": {"strength": (3,)}})
    with pytest.raises(GenomeError, match="The encoding 'merged' has no parameter 'size'"):
        SearchSpace(encodings={"merged": {"size": (1,)}})
    with pytest.raises(RegistryError, match="no encoding named 'identity'"):
        SearchSpace(encodings=["identity"])
