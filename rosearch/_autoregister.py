"""Tells transformers' Auto classes about students, without loading anything for it.

``AutoModelForSequenceClassification.from_pretrained(folder)`` has to know students once rosearch
is imported. Registering takes torch and ``rosearch.student``, which ``import rosearch`` shall
not load. So it waits until the Auto classes are loaded, by whoever needs them:

- They are loaded already: register at once.
- They are not: a finder on ``sys.meta_path`` waits for them. It finds nothing itself. When the
  outermost import of a ``transformers`` module ends and the Auto classes are there, it removes
  itself and registers. Inside a nested import, transformers would be half initialised.
- ``rosearch.student`` is imported first: it registers itself.

Nothing in transformers is patched, and each of its modules keeps its own loader.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_AUTO = (
    "transformers.models.auto.configuration_auto",
    "transformers.models.auto.modeling_auto",
)


_ATTEMPTS = 100  # one failure an import, and such a race is over in a few dozen
_OF_A_LAZY_MODULE = "Could not import module"


def install() -> None:
    """Register students with the Auto classes now, or when these are loaded."""
    if any(name in sys.modules for name in _AUTO):
        _register()
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _register(*, last: bool = True) -> bool:
    """Whether students are registered; the last attempt warns if not."""
    if "rosearch.student" in sys.modules:  # it has registered itself, or is about to
        return True
    try:
        from rosearch.student import register_auto_classes

        register_auto_classes()
    except ImportError as error:
        if not last and _OF_A_LAZY_MODULE in str(error):
            return False
        # Raised here, it would break an import of transformers that need not concern students.
        warnings.warn(
            f"transformers' Auto classes cannot load rosearch's students: {error!r}. "
            f"Repair the installation, then import rosearch.student.",
            RuntimeWarning,
            stacklevel=2,
        )
    return True


class _Finder(MetaPathFinder):
    """Sees imports of transformers' modules begin and end, and leaves finding to the others."""

    def __init__(self, attempts: int = _ATTEMPTS) -> None:
        self._nesting = threading.local()
        self._attempts = attempts

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("transformers."):
            return None
        for finder in list(sys.meta_path):
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                self._watch(spec)
                return spec
        return None

    def _watch(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # type: ignore[union-attr]  # the loader is as it was
            depth = getattr(self._nesting, "depth", 0)
            self._nesting.depth = depth + 1
            try:
                execute(module)
            finally:
                self._nesting.depth = depth
            if depth == 0 and any(name in sys.modules for name in _AUTO):
                self._finish()

        loader.exec_module = exec_module  # type: ignore[union-attr,method-assign]

    def _finish(self) -> None:
        # Removed first: registering imports more of transformers. list.remove is atomic, so of
        # two threads one registers.
        try:
            sys.meta_path.remove(self)
        except ValueError:
            return
        # Where several threads import transformers at once, its lazy modules fail now and then. The
        # end of the next import is another chance.
        last = self._attempts <= 1
        if not _register(last=last) and not last:
            sys.meta_path.insert(0, _Finder(self._attempts - 1))
