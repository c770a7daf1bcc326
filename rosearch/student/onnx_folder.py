"""A folder that runs on onnxruntime: model, tokenizer, encoding and a script."""

from __future__ import annotations

import os
from pathlib import Path

from rosearch.caching import replace_text
from rosearch.encode import ENCODING_FILE
from rosearch.encode.tokenizer import GUARDED_VERSION
from rosearch.errors import ArgumentError
from rosearch.student.card import model_card
from rosearch.student.export import export_onnx
from rosearch.student.modeling import StudentForSequenceClassification
from rosearch.student.remote_code import encoding_code, encoding_parts
from rosearch.student.saving import MODEL_CARD
from rosearch.student.tokenizer_files import save_tokenizer

_SCRIPT = '''"""Classify texts: python run.py "a text" "another". Needs: pip install {packages}"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer
{imports}
here = Path(__file__).parent
session = onnxruntime.InferenceSession(here / "model.onnx")
names = json.loads(session.get_modelmeta().custom_metadata_map["id2label"])
backend = (here / "tokenizer.json").read_text(encoding="utf-8")
tokenizer = Tokenizer.from_str(backend{replaced})
tokenizer.enable_truncation({length}, direction={truncation!r})
tokenizer.enable_padding(direction={padding!r}, pad_id={pad_id}, pad_token={pad_token!r})
texts = sys.argv[1:] or sys.exit(__doc__)
rows = tokenizer.encode_batch({texts})
inputs = {{
    "input_ids": [row.ids for row in rows],
    "attention_mask": [row.attention_mask for row in rows],
    "token_type_ids": [row.type_ids for row in rows],
}}
[logits] = session.run(None, {{name: np.array(ids, np.int64) for name, ids in inputs.items()}})
for text, scores in zip(texts, logits):
    print(names[str(scores.argmax())], scores.tolist(), text, sep="\\t")
'''

_LOADING = """On onnxruntime, without PyTorch, transformers and rosearch:

```
pip install {packages}
python run.py "a text" "another text"
```"""


def export_folder(
    student: StudentForSequenceClassification, folder: str | os.PathLike[str]
) -> Path:
    """Write a student to a folder that runs on onnxruntime alone.

    The folder holds ``model.onnx``, the tokenizer, a model card, and ``run.py``, which classifies
    texts with onnxruntime, tokenizers and numpy. If the tokenizer applies an encoding, the folder
    also holds its table, ``encoding.json``, and its code, ``encoding.py``, which needs the package
    regex too.

    Args:
        student: A student with its tokenizer.
        folder: Folder to write to; made if it does not exist.

    Returns:
        ``folder``.

    Raises:
        ArgumentError: The student has no tokenizer, or its encoding is of another package.
        MissingResourceError: ONNX is not installed.
    """
    folder, tokenizer = Path(folder), student.tokenizer
    if tokenizer is None:
        raise ArgumentError("The student must have a tokenizer. Set student.tokenizer first.")
    parts = encoding_parts(tokenizer)
    others = [part.__module__ for part in parts if part.__module__.partition(".")[0] != "rosearch"]
    if others:
        raise ArgumentError(
            f"The encoding must be of rosearch, got one of {others[0]}. Use export_onnx, and "
            f"encode texts before the model."
        )
    folder.mkdir(parents=True, exist_ok=True)
    export_onnx(student, folder / "model.onnx")
    save_tokenizer(tokenizer, folder, student.config)
    packages = "onnxruntime tokenizers numpy" + (" regex" if parts else "")
    script = _SCRIPT.format(
        packages=packages,
        imports="\nfrom encoding import load_encoding\n" if parts else "",
        replaced=f".replace({GUARDED_VERSION!r}, '1.0', 1)" if parts else "",
        texts=f"load_encoding(here / {ENCODING_FILE!r})(texts)" if parts else "texts",
        length=tokenizer.model_max_length,
        truncation=tokenizer.truncation_side,
        padding=tokenizer.padding_side,
        pad_id=tokenizer.pad_token_id,
        pad_token=tokenizer.pad_token,
    )
    replace_text(folder / "run.py", script)
    if parts:
        replace_text(folder / "encoding.py", encoding_code(tuple(parts)))
    card = model_card(student, str(folder), loading=_LOADING.format(packages=packages))
    replace_text(folder / MODEL_CARD, card)
    return folder
