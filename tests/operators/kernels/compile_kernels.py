"""Compiles the kernels for GPUs that need not be here; prints the bytes that each spills, as JSON.

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
    rows, columns = merge_norm._tile(width)
    tile = {"ROWS": rows, "WIDTH": columns}
    warps = launch.warps(rows * columns)
    missing = {f"x{k}": None for k in range(count, launch.MOST_INPUTS)}
    written = {"WRITE_MERGED": True, "WRITE_MOMENTS": True}
    there, back = merge_norm._merge_forward, merge_norm._merge_backward
    return {
        f"merge {dtype} {count} {width}": spilled(
            there, capability, warps, dtype, COUNT=count, **missing, **written, **tile
        ),
        f"merge {dtype} {width} back": spilled(
            back, capability, warps, dtype, HAS_MERGED=True, **tile
        ),
    }


def convolution(capability: int, dtype: str, size: int, activation: str) -> dict[str, Any]:
    tokens, channels, unroll = depthwise._tile(128, 256, size)
    tile = {"SIZE": size, "UNROLL": unroll, "TOKENS": tokens, "CHANNELS": channels}
    flags = {"HAS_MASK": True, "HAS_BIAS": True, "WRITE_SLOPES": True, "ACTIVATION": activation}
    warps = launch.warps(tokens * channels)
    there, back = depthwise._convolve_forward, depthwise._convolve_backward
    return {
        f"depthwise {dtype} {size}": spilled(there, capability, warps, dtype, **flags, **tile),
        f"depthwise {dtype} {size} back": spilled(
            back, capability, warps, dtype, HAS_MASK=True, HAS_SLOPES=True, **tile
        ),
    }


def gate(capability: int, dtype: str, name: str) -> dict[str, Any]:
    _, _, rows, columns = gated._grid(4096, 512)
    tile = {"GATE": name, "ROWS": rows, "COLUMNS": columns}
    return {
        f"gated {dtype} {name}": spilled(gated._gate_forward, capability, 4, dtype, **tile),
        f"gated {dtype} {name} back": spilled(gated._gate_backward, capability, 4, dtype, **tile),
    }


if __name__ == "__main__":
    chip = int(sys.argv[1])
    found = merge(chip, "bf16", 2, 128) | merge(chip, "fp32", launch.MOST_INPUTS, launch.WIDEST)
    found |= convolution(chip, "bf16", 7, "gelu") | convolution(chip, "fp32", 31, "silu")
    found |= gate(chip, "fp16", "gelu") | gate(chip, "fp32", "silu")
    print(json.dumps(found))
