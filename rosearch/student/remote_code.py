"""A student's own code in its folder, by which transformers loads it without rosearch.

The module holds what the student needs of this package, and no more: it is made of the package's
source, see :mod:`rosearch.student.bundling`. ``auto_map`` in the folder's files names its classes.
transformers runs it on ``trust_remote_code=True``; where rosearch is imported, its own classes are
registered, and are taken instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from rosearch import operators as ops
from rosearch.caching import change_json, replace_text
from rosearch.encode import Chain, Encoding, encoding_of, encodings, load_encoding
from rosearch.encode.confusables import ascii_twins
from rosearch.encode.tokenizer import EncodedTokenizer
from rosearch.space import Embedding
from rosearch.student.bundling import Bundle
from rosearch.student.configuration import StudentConfig
from rosearch.student.network import StudentNetwork
from rosearch.version import __version__

CODE_FILE = "modeling_student.py"

_MODEL_CLASS = "StudentForSequenceClassification"

_HEAD = '''"""What this {what} needs of rosearch {version}, made of its source. Do not edit.

Copyright (c) rosearch contributors, MIT License. It needs {needs}.
"""

'''

# What computes the same with less: without Triton, and without packages that transformers lacks.
_INSTEAD = {
    "rosearch.operators.kernels.dispatch": "rosearch.operators.kernels.reference",
    "rapidfuzz.distance": "rosearch.encode.edit_distance",
}
_TRAINING = ("fit", "representatives")


def own_parts(student: Any) -> list[type[Any]]:
    """Return the operators and encodings of a student and of its tokenizer, without repetition."""
    genome = student.config.architecture
    # The default one as well, which transformers compares each configuration with.
    read = (Embedding(), genome.embedding, *genome.nodes)
    parts: list[type[Any]] = [ops.get(part.operator) for part in read]
    parts += [encodings.get(encoding.name) for encoding in genome.encodings]
    return list(dict.fromkeys([*parts, *encoding_parts(student.tokenizer)]))


def encoding_parts(tokenizer: Any) -> list[type[Encoding]]:
    """Return the encodings that a tokenizer applies."""
    encoding = encoding_of(tokenizer)
    found = encoding.encodings if isinstance(encoding, Chain) else (encoding,)
    return [type(part) for part in found if part is not None]


def plug_in_packages(student: Any) -> list[str]:
    """Return the packages besides rosearch that define parts of a student, sorted."""
    return sorted({part.__module__.partition(".")[0] for part in own_parts(student)} - {"rosearch"})


def write_code(student: Any, folder: Path) -> None:
    """Write a student's code into its folder, which holds its other files, and refer to it there.

    A student with parts of other packages has none, and what an earlier one left is removed.
    """
    path = folder / CODE_FILE
    maps: dict[str, Mapping[str, Any] | None] = {"config.json": None, "tokenizer_config.json": None}
    if plug_in_packages(student):
        path.unlink(missing_ok=True)
    else:
        is_encoded = encoding_of(student.tokenizer) is not None
        parts = [*own_parts(student), *([EncodedTokenizer] if is_encoded else [])]
        replace_text(path, student_code(tuple(parts)))
        maps["config.json"] = {
            "AutoConfig": f"{path.stem}.{StudentConfig.__name__}",
            "AutoModelForSequenceClassification": f"{path.stem}.{_MODEL_CLASS}",
        }
        if is_encoded:
            fast = f"{path.stem}.{EncodedTokenizer.__name__}"
            maps["tokenizer_config.json"] = {"AutoTokenizer": [None, fast]}
    for name, auto_map in maps.items():
        change_json(folder / name, auto_map=auto_map)


@lru_cache(64)
def student_code(parts: tuple[type[Any], ...]) -> str:
    """Return the source of a module that defines students with these parts.

    Args:
        parts: Operators and encodings of this package, and the tokenizer's class if it encodes.

    Raises:
        OSError: The source of this package is not installed.
    """
    roots = {part: part.__name__ for part in parts}
    roots |= {StudentConfig: StudentConfig.__name__, StudentNetwork: _MODEL_CLASS}
    return _module(roots, what="model", needs="PyTorch and transformers only")


@lru_cache(64)
def encoding_code(parts: tuple[type[Encoding], ...]) -> str:
    """Return the source of a module whose ``load_encoding`` reads a file of such encodings.

    Args:
        parts: Encodings of this package.

    Raises:
        OSError: The source of this package is not installed.
    """
    roots: dict[Any, str] = {part: part.__name__ for part in parts}
    roots[load_encoding] = load_encoding.__name__
    return _module(roots, what="encoding", needs="numpy and regex only")


def _module(roots: Mapping[Any, str], *, what: str, needs: str) -> str:
    bundle = Bundle(roots, instead=_INSTEAD, values=(ascii_twins,), without=_TRAINING)
    return _HEAD.format(what=what, version=__version__, needs=needs) + bundle.text
