"""What rosearch raises.

Every error says what was expected, what came and what to do. Each class also derives from
the built-in exception that a caller would guess, so ``except ValueError`` keeps working.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class RosearchError(Exception):
    """Base of every error that rosearch raises on purpose."""


class ArgumentError(RosearchError, ValueError):
    """An argument has the wrong type or is outside its range."""


class GenomeError(RosearchError, ValueError):
    """A graph is no student architecture: a cycle, a dead node, an unknown parameter."""


class SpaceError(RosearchError, ValueError):
    """A search space is empty, exhausted, or asked for something outside it."""


class DataError(RosearchError, ValueError):
    """Texts, labels or a tokenizer that cannot be used."""


class RegistryError(RosearchError, KeyError):
    """A plug-in name that is unknown, taken, or registered with the wrong kind of object."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which would escape our line breaks.
        return str(self.args[0]) if self.args else ""


class MissingResourceError(RosearchError, RuntimeError):
    """A package or a data file that a part needs is not on this machine."""


class StorageError(RosearchError, RuntimeError):
    """A storage or a checkpoint cannot be opened, or holds what rosearch did not write there."""


class StudyMismatchError(StorageError):
    """A study was made with other settings than those it is now opened with."""


class EvaluationError(RosearchError, RuntimeError):
    """A candidate could not be trained or attacked; the search records it and goes on.

    Attributes:
        reports: Robustness reports of the attacks that were finished before one failed, by name.
    """

    reports: Mapping[str, Any] = MappingProxyType({})


class StatisticsError(RosearchError, ValueError):
    """A study that statistics cannot be made of: too few candidates, or measures without sense."""


class KernelError(RosearchError, RuntimeError):
    """A backend was asked for by name and cannot compute the call."""
