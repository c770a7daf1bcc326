"""Twenty students in one process need no more memory than one."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import resource, sys
import numpy as np
import torch
torch.set_num_threads(1)
from rosearch.distill import Optimization, fit
from rosearch.distill.losses import HardLabels
from rosearch.tokens import TokenizedText
from rosearch.space import templates
from rosearch.student import StudentConfig, StudentForSequenceClassification

rng = np.random.default_rng(0)
rows = [TokenizedText(tuple(rng.integers(1, 20000, size=k % 20 + 4).tolist())) for k in range(64)]
labels = np.arange(64) % 2
makers = [templates.transformer, templates.text_cnn]
for number in range(int(sys.argv[1])):
    # Weights with their gradients, moments and best copy: about 60 MB a student.
    genome = makers[number % 2](width=32, embedding_width=128)
    student = StudentForSequenceClassification(StudentConfig(genome, vocab_size=20000))
    fit(
        student, rows, HardLabels(labels), rows[:16], labels[:16],
        optimization=Optimization(learning_rate=1e-3, epochs=1),
        pad_id=0, seed=number,
    )
    del student
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_peak_memory() -> None:
    def peak(students: int) -> int:
        command = [sys.executable, "-c", _PROGRAM, str(students)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    # The first two, so that both kinds are in what is compared with.
    one, twenty = peak(2), peak(20)
    assert twenty < 1.1 * one, f"{one} kB for the first, {twenty} kB at most for twenty"
