"""Parameters, FLOPs and latency of a student."""

from __future__ import annotations

import statistics
import time
from functools import partial

import torch
from torch import nn

from rosearch.operators.cost import counted_flops
from rosearch.student.configuration import StudentConfig
from rosearch.student.modeling import StudentForSequenceClassification
from rosearch.threads import computing
from rosearch.tokens import evaluating


def parameters(model: nn.Module) -> int:
    """Return the number of parameters, counting shared ones once."""
    return sum(p.numel() for p in model.parameters())


def flops(model: nn.Module, *, length: int = 32) -> int:
    """Count the floating-point operations of a forward pass over one text by torch's counter.

    A multiplication and an addition are two. Matrix products, convolutions and attention are
    counted, element-wise work is not. The counter does not know cuDNN's recurrent kernels; use
    :func:`student_cost` for a student on a GPU.

    Args:
        model: Hugging Face sequence classifier.
        length: Tokens in the text.
    """
    device = next(model.parameters()).device
    ids = torch.ones(1, length, dtype=torch.long, device=device)
    # With hidden states, so that nothing is pooled before a last linear map.
    run = partial(model, input_ids=ids, attention_mask=torch.ones_like(ids))
    with evaluating(model):
        return counted_flops(partial(run, output_hidden_states=True))


def student_cost(config: StudentConfig, *, length: int = 32) -> dict[str, int]:
    """Return ``parameters`` and ``flops`` of a student, computed without allocating its weights.

    Args:
        config: The student's configuration.
        length: Tokens in the text of which the FLOPs are counted.
    """
    with torch.device("meta"):
        student = StudentForSequenceClassification(config)
        return {"parameters": parameters(student), "flops": flops(student, length=length)}


def latency(model: nn.Module, *, length: int = 32, repeats: int = 20) -> float:
    """Return the median time in seconds of a forward pass over one text; on a CPU, of one thread.

    Args:
        model: Hugging Face sequence classifier, on any device.
        length: Tokens in the text.
        repeats: Number of measured passes, after three for warming up.
    """
    device = next(model.parameters()).device
    ids = torch.ones(1, length, dtype=torch.long, device=device)
    mask = torch.ones_like(ids)
    times = []
    with evaluating(model), torch.inference_mode(), computing(device):
        for step in range(repeats + 3):
            start = time.perf_counter()
            model(input_ids=ids, attention_mask=mask)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if step >= 3:
                times.append(time.perf_counter() - start)
    return statistics.median(times)
