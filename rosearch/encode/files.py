"""Encodings as JSON, in a file of a student's folder, and in the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rosearch.caching import cache_folder, read_or_make, replace_text
from rosearch.encode.base import Encoding, Evidence, encodings
from rosearch.encode.chain import Chain, joined
from rosearch.encode.exchanges import WordNetExchanges
from rosearch.errors import DataError, GenomeError, MissingResourceError, RegistryError
from rosearch.version import __version__

ENCODING_FILE = "encoding.json"
"""Name of the file in a model's folder."""

_FORMAT = 1


def to_json(encoding: Encoding) -> str:
    """Return an encoding as JSON, with everything that it has learnt."""
    # As ASCII, because training texts may have lone surrogates, which UTF-8 has not.
    return json.dumps({"format": _FORMAT, **encoding.to_dict()}, sort_keys=True)


def from_json(text: str | bytes) -> Encoding:
    """Return the encoding of :func:`to_json`.

    Raises:
        DataError: The text is not an encoding, or of a later format.
        RegistryError: The encoding, or one of a chain, is not registered.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise DataError(f"An encoding must be valid JSON, got {text!r:.80}: {error}") from error
    return from_dict(values)


def from_dict(values: Any) -> Encoding:
    """Return the encoding of :meth:`Encoding.to_dict`; see :func:`from_json`."""
    if not isinstance(values, Mapping):
        raise DataError(f"An encoding must be a JSON object, got {values!r:.80}.")
    if values.get("format", _FORMAT) != _FORMAT:
        raise DataError(
            f"The encoding has format {values['format']!r}; rosearch {__version__} reads format "
            f"{_FORMAT}. Install a later rosearch."
        )
    if "chain" in values:
        parts = values["chain"]
        if not parts or not isinstance(parts, list):
            raise DataError(f"A chain must be a list of encodings, got {parts!r:.80}.")
        return Chain([from_dict(part) for part in parts])
    try:
        name, settings, learnt = values["name"], values["settings"], values["learnt"]
    except KeyError as error:
        raise DataError(
            f"The encoding lacks {error}; it must have name, settings and learnt."
        ) from None
    try:
        kind = encodings.get(str(name))
    except RegistryError as error:
        raise RegistryError(
            f"The texts were encoded by {name!r}, which is missing. {error}"
        ) from None
    if values.get("version", kind.version) != kind.version:
        raise DataError(
            f"The encoding {name!r} was fitted by its version {values['version']}, and this is "
            f"version {kind.version}, which may read texts otherwise. Fit it again."
        )
    try:
        return kind.from_dict({"settings": settings, "learnt": learnt})
    except (AttributeError, GenomeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"The encoding {name!r} cannot be read: {error!r}") from error


def save_encoding(encoding: Encoding, folder: str | os.PathLike[str]) -> Path:
    """Write ``encoding.json`` into a folder, which must exist.

    Returns:
        The file.
    """
    path = Path(folder) / ENCODING_FILE
    replace_text(path, to_json(encoding))
    return path


def load_encoding(path: str | os.PathLike[str]) -> Encoding:
    """Load an encoding from its file, or from the folder that holds ``encoding.json``.

    Raises:
        DataError: The file holds no encoding.
        RegistryError: The encoding is not registered; the message names it.
        OSError: The file does not exist.
    """
    file = Path(path)
    file = file / ENCODING_FILE if file.is_dir() else file
    try:
        return from_json(file.read_bytes())
    except (DataError, RegistryError) as error:
        raise type(error)(f"{file}: {error}") from error


def fitted(
    name: str,
    settings: Mapping[str, Any],
    evidence: Evidence,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Encoding:
    """Fit a registered encoding once per evidence and settings, and cache it on disk.

    Args:
        name: Its registered name.
        settings: Values for some of its ``choices``.
        evidence: What it learns from.
        cache_dir: Cache folder; default: ``$ROSEARCH_CACHE`` or ``~/.cache/rosearch``.

    Raises:
        RegistryError: No encoding has that name.
        GenomeError: A setting is unknown, or its value is not among the choices.
    """
    kind = encodings.get(name)
    complete: dict[str, Any] = dict(kind.complete(settings))
    key = json.dumps([name, kind.version, complete, evidence.settings, __version__], sort_keys=True)
    digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    path = cache_folder("encodings", folder=cache_dir) / f"{digest}.json"

    def fit() -> Encoding:
        found = kind.fit(evidence, **complete)
        replace_text(path, to_json(found))
        return found

    return read_or_make(path, _read, fit)


def _read(path: Path) -> Encoding | None:
    try:
        return from_json(path.read_bytes())
    except (OSError, DataError):
        return None


def fitted_chain(
    parts: Sequence[tuple[str, Mapping[str, Any]]],
    evidence: Evidence,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Encoding | None:
    """Fit encodings one after the other, each to the texts that those before it have encoded.

    Args:
        parts: Name and settings of each encoding.
        evidence: What they learn from.
        cache_dir: As for :func:`fitted`, like the errors.

    Returns:
        The encodings as one; ``None`` if there are none.
    """
    if len(parts) > 1 and evidence.exchanges is None:
        # Spelling must know the words that the next encoding expects.
        with contextlib.suppress(MissingResourceError):  # raised by an encoding that needs them
            evidence = replace(evidence, exchanges=WordNetExchanges())
    made: list[Encoding] = []
    for name, settings in parts:
        made.append(fitted(name, settings, evidence, cache_dir=cache_dir))
        if len(made) < len(parts):
            evidence = evidence.encoded(made[-1])
    return joined(made)
