"""Fourier mixing against the fast Fourier transform."""

from __future__ import annotations

import pytest
import torch

from tests.operators.examples import make, text


@pytest.mark.parametrize("length", [1, 4, 7])
def test_fourier_mixing_is_the_real_part_of_a_fast_transform(length: int) -> None:
    hidden, mask = text(length, 12)
    out = make("fourier_mixing", 12)(hidden, mask)
    for row, count in ((0, length), (1, length + 3)):
        expected = torch.fft.fft2(hidden[row, :count], norm="ortho").real
        torch.testing.assert_close(out[row, :count], expected, rtol=1e-4, atol=1e-5)


def test_fourier_mixing_keeps_its_digits_in_a_long_text() -> None:
    hidden = torch.randn(1, 512, 16)
    out = make("fourier_mixing", 16)(hidden, torch.ones(1, 512, dtype=torch.bool))
    expected = torch.fft.fft2(hidden.double(), norm="ortho").real
    torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-5)
