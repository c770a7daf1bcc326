"""Compile the kernels for GPUs, without a GPU, and print the spilled bytes of each as JSON.

Run in a process of its own, without the interpreter:

    python tests/operators/kernels/compile_kernels.py 90        # compute capability 9.0

The interpreter checks values and no types, so a kernel can pass under it and not compile.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rosearch.operators.kernels import depthwise, gated, launch, merge_norm


def spilled(kernel: Any, capability: int, warps: int, dtype: str, **values: Any) -> int | None:
    """Bytes of stack a thread; ``None`` where Triton brings no tool that tells.

    Arguments are integers of 32 bits, masks of bytes, sums of float32, and the rest pointers to
    ``dtype``, unless ``values`` says otherwise: a string is a type, anything else a constant.
    """
    names = kernel.arg_names
    types = {"moments": "*fp32", "partial": "*fp32", "mask": "*u8", "scale": "fp32", "eps": "fp32"}
    integers = r"row_count|width|length|inner|dilation|.*stride\d?|.*tiles"
    signature, constants, hints = {}, {}, {}
    for place, name in enumerate(names):
        if name in values:
            signature[name], constants[place,] = "constexpr", values[name]
            continue
        integer = re.fullmatch(integers, name)
        signature[name] = types.get(name) or ("i32" if integer else f"*{dtype}")
        if signature[name] != "fp32":
            hints[place,] = [["tt.divisibility", 16]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=hints)
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": warps})
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    if not tool.exists():
        return None
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [str(tool), "-res-usage", file.name]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return max(map(int, re.findall(r"STACK:(\d+)", out)))


def merge(capability: int, dtype: str, count: int, width: int) -> dict[str, Any]:
    tile = merge_norm.row_tile(width)
    warps = tile.pop("num_warps")
    missing = {f"x{k}": None for k in range(count, launch.MAX_INPUTS)}
    there, back = merge_norm.merge_forward, merge_norm.merge_backward
    return {
        f"merge {dtype} {count} {width}": spilled(
            there, capability, warps, dtype, **missing, **tile
        ),
        f"merge {dtype} {width} back": spilled(back, capability, warps, dtype, **tile),
    }


def convolution(capability: int, dtype: str, size: int, activation: str) -> dict[str, Any]:
    _, _, tile = depthwise.tiles(torch.Size((1, 128, 256)), size)
    warps = tile.pop("num_warps")
    there, back = depthwise.convolve_forward, depthwise.convolve_backward
    return {
        f"depthwise {dtype} {size}": spilled(
            there, capability, warps, dtype, ACTIVATION=activation, **tile
        ),
        f"depthwise {dtype} {size} back": spilled(back, capability, warps, dtype, **tile),
    }


def gate(capability: int, dtype: str, name: str) -> dict[str, Any]:
    _, tile = gated.grid_and_tile(4096, 512)
    warps = tile.pop("num_warps")
    there, back = gated.gate_forward, gated.gate_backward
    return {
        f"gated {dtype} {name}": spilled(there, capability, warps, dtype, GATE=name, **tile),
        f"gated {dtype} {name} back": spilled(back, capability, warps, dtype, GATE=name, **tile),
    }


if __name__ == "__main__":
    chip = int(sys.argv[1])
    found = merge(chip, "bf16", 2, 128) | merge(chip, "fp32", launch.MAX_INPUTS, launch.MAX_WIDTH)
    found |= convolution(chip, "bf16", 7, "gelu") | convolution(chip, "fp32", 31, "silu")
    found |= gate(chip, "fp16", "gelu") | gate(chip, "fp32", "silu")
    print(json.dumps(found))
