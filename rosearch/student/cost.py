"""What a student costs: parameters, floating-point operations, time."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from rosearch.space import Genome
from rosearch.student.configuration import StudentConfig
from rosearch.student.modeling import StudentForSequenceClassification


def parameters(model: nn.Module) -> int:
    """Number of parameters, shared ones counted once."""
    return sum(p.numel() for p in model.parameters())


def flops(model: nn.Module, *, length: int = 32) -> int:
    """Floating-point operations of one forward pass over one text, by torch's flop counter.

    A multiplication and an addition are two. Matrix products, convolutions and attention
    count; cheap element-wise work does not.

    Args:
        model: A Hugging Face sequence classifier.
        length: Tokens in the text.
    """
    device = next(model.parameters()).device
    ids = torch.ones(1, length, dtype=torch.long, device=device)
    was_training = model.training
    model.eval()
    try:
        # Attention by its definition: the counter does not know every device's fused kernel.
        with (
            torch.no_grad(),
            sdpa_kernel(SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
        ):
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
    finally:
        model.train(was_training)
    return int(counter.get_total_flops())


def genome_cost(genome: Genome, **config: Any) -> dict[str, int]:
    """Parameters and FLOPs of a genome's student, without giving it memory.

    Args:
        genome: The architecture.
        config: Arguments of :class:`StudentConfig`, such as ``vocab_size``, that count.
    """
    with torch.device("meta"):
        student = StudentForSequenceClassification(StudentConfig(genome, **config))
        return {"parameters": parameters(student), "flops": flops(student)}


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
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for step in range(repeats + 3):
                start = time.perf_counter()
                model(input_ids=ids, attention_mask=mask)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                if step >= 3:
                    times.append(time.perf_counter() - start)
    finally:
        model.train(was_training)
    return statistics.median(times)
