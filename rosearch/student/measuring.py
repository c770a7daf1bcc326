"""What a student costs: parameters, floating-point operations, time."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from rosearch.operators.cost import counted_flops
from rosearch.student.configuration import StudentConfig
from rosearch.student.modeling import StudentForSequenceClassification
from rosearch.tokens import evaluating


def parameters(model: nn.Module) -> int:
    """Number of parameters, shared ones counted once."""
    return sum(p.numel() for p in model.parameters())


def flops(model: nn.Module, *, length: int = 32) -> int:
    """Floating-point operations of one forward pass over one text, by torch's flop counter.

    A multiplication and an addition are two. Matrix products, convolutions and attention
    count; cheap element-wise work does not. The counter does not know cuDNN's recurrent kernels, so
    ask for a student's by :func:`student_cost`, which needs no device.

    Args:
        model: A Hugging Face sequence classifier.
        length: Tokens in the text.
    """
    device = next(model.parameters()).device
    ids = torch.ones(1, length, dtype=torch.long, device=device)
    with evaluating(model):
        # Who asks for hidden states gets all of them: no pooling before a last linear map.
        return counted_flops(
            lambda: model(
                input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True
            )
        )


def student_cost(config: StudentConfig, *, length: int = 32) -> dict[str, int]:
    """Parameters and FLOPs of a student, without giving it memory; the same on every device.

    Args:
        config: The student's configuration.
        length: Tokens in the text that the FLOPs are for.
    """
    with torch.device("meta"):
        student = StudentForSequenceClassification(config)
        return {"parameters": parameters(student), "flops": flops(student, length=length)}


def latency(model: nn.Module, *, length: int = 32, repeats: int = 20) -> float:
    """Seconds of one forward pass over one text: the median of ``repeats`` after a warm-up.

    Args:
        model: A Hugging Face sequence classifier, measured on the device that it is on.
        length: Tokens in the text.
        repeats: Measured passes.
    """
    device = next(model.parameters()).device
    ids = torch.ones(1, length, dtype=torch.long, device=device)
    mask = torch.ones_like(ids)
    times = []
    with evaluating(model), torch.inference_mode():
        for step in range(repeats + 3):
            start = time.perf_counter()
            model(input_ids=ids, attention_mask=mask)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if step >= 3:
                times.append(time.perf_counter() - start)
    return statistics.median(times)
