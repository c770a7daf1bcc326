#!/usr/bin/env bash
# onnxruntime's CPU implementation of ONNX's Attention node (opset 23 and 24) refuses a padding
# mask of shape (batch, 1, 1, keys), which the standard allows (the mask broadcasts), onnx's
# checker accepts and onnx's reference evaluator runs. The error comes at the first run, not on
# loading. Expanded over the queries, to (batch, 1, queries, keys), the same mask gives the
# reference's values.
# Versions: onnx 1.23.2, onnxruntime 1.32.0.
# Why it matters: (batch, 1, 1, keys) is the form of padding masks of text classifiers, and
# torch's exporter writes one Attention node from opset 23 on. An export that passes the checker
# and loads fails once it is served.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'EOF'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

SHAPE = (2, 4, 5, 8)  # texts, heads, tokens, values
onnxruntime.set_default_logger_severity(4)
values = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
mask = np.ones((2, 1, 1, 5), dtype=bool)
mask[1, ..., 3:] = False  # the second text has three tokens


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def outcome(opset, mask):
    inputs = [tensor(name, TensorProto.FLOAT, SHAPE) for name in ("query", "key", "value")]
    inputs.append(tensor("mask", TensorProto.BOOL, mask.shape))
    node = helper.make_node("Attention", [one.name for one in inputs], ["mixed"])
    output = tensor("mixed", TensorProto.FLOAT, SHAPE)
    graph = helper.make_graph([node], "attention", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    feed = {"query": values, "key": values, "value": values, "mask": mask}
    expected = ReferenceEvaluator(model).run(None, feed)[0]
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    try:
        mixed = session.run(None, feed)[0]
    except Exception as error:
        return f"refused ({type(error).__name__})"
    return "as the reference" if np.allclose(mixed, expected, atol=1e-5) else "other values"


seen = {}
for opset in (23, 24):
    for form in (mask, np.repeat(mask, 5, axis=2)):
        seen[opset, form.shape] = outcome(opset, form)
        print(f"opset {opset}, mask {form.shape}: {seen[opset, form.shape]}")
if list(seen.values()) != ["refused (Fail)", "as the reference"] * 2:
    sys.exit("the outcomes differ from those that were found")
EOF
