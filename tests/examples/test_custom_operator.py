"""The example of an operator of one's own runs, and the operator keeps the rules."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import rosearch as rs
from rosearch.testing import OperatorConformance

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """The example as a module; its operator leaves the registry with it."""
    spec = importlib.util.spec_from_file_location(
        "custom_operator", EXAMPLES / "custom_operator.py"
    )
    if spec is None or spec.loader is None:
        raise RuntimeError("There is no examples/custom_operator.py.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    rs.operators.registry.unregister("past_mean")


@pytest.mark.usefixtures("example")
class TestPastMean(OperatorConformance):
    name = "past_mean"


def test_the_example_prints_cost_logits_and_draws(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main()
    printed = capsys.readouterr().out
    assert "parameters=1056" in printed
    assert "logits of two texts" in printed
    assert printed.count("drawn: ") == 3
    assert "past_mean" in printed.split("drawn: ", 1)[1]


def test_the_operator_is_short() -> None:
    lines = (EXAMPLES / "custom_operator.py").read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if "operators.register" in line)
    end = next(i for i, line in enumerate(lines) if line.startswith("def main"))
    assert end - start < 30


def test_means_are_weighed_by_distance(example: ModuleType) -> None:
    operator = example.PastMean(2, fade=0.5)
    torch.nn.init.eye_(operator.map.weight)
    torch.nn.init.zeros_(operator.map.bias)
    hidden = torch.tensor([[[4.0, 0.0], [1.0, 6.0]]])
    out = operator(hidden, torch.ones(1, 2, dtype=torch.bool))
    # The second token: (1 * x2 + 0.5 * x1) / 1.5.
    torch.testing.assert_close(out, torch.tensor([[[4.0, 0.0], [2.0, 4.0]]]))
