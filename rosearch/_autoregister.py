"""Registration of students with transformers' Auto classes, without importing torch.

``AutoModelForSequenceClassification.from_pretrained(folder)`` must know students once rosearch is
imported. Registering them imports torch and ``rosearch.student``, which ``import rosearch`` must
not. So it waits until the Auto classes are imported:

- If they are already imported, students are registered at once.
- If not, a finder on ``sys.meta_path`` observes the imports of ``transformers`` modules. When the
  outermost one ends and the Auto classes are imported, the finder removes itself and registers.
  Inside a nested import, transformers would be only half initialized.

Nothing in transformers is patched, and its modules keep their loaders.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_AUTO = (
    "transformers.models.auto.configuration_auto",
    "transformers.models.auto.modeling_auto",
)

# If several threads import transformers at once, its lazy modules sometimes fail with this error.
# The end of the next import is another chance; a few dozen suffice.
_LAZY_MODULE_ERROR = "Could not import module"
_ATTEMPTS = 100


def install() -> None:
    """Register students with the Auto classes now, or as soon as these are imported."""
    if _auto_classes_imported():
        _register(last=True)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _auto_classes_imported() -> bool:
    return any(name in sys.modules for name in _AUTO)


def _register(*, last: bool) -> bool:
    """Return whether no further attempt is needed; the last attempt warns of any error."""
    if "rosearch.student" in sys.modules:  # it has registered itself, or is about to
        return True
    try:
        import_module("rosearch.student")  # registers students when it is imported
    except ImportError as error:
        if not last and _LAZY_MODULE_ERROR in str(error):
            return False
        # An error would break an import of transformers that may not concern students.
        warnings.warn(
            f"transformers' Auto classes cannot load rosearch's students: {error!r}. "
            f"Repair the installation, then import rosearch.student.",
            RuntimeWarning,
            stacklevel=2,
        )
    return True


class _Finder:
    """Observes the imports of transformers' modules, which the other finders find."""

    def __init__(self) -> None:
        self._nesting = threading.local()
        self._attempts = _ATTEMPTS

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
                if hasattr(spec.loader, "exec_module"):
                    self._observe(spec.loader)
                return spec
        return None

    def _observe(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # restores the loader's own method
            depth = getattr(self._nesting, "depth", 0)
            self._nesting.depth = depth + 1
            try:
                execute(module)
            finally:
                self._nesting.depth = depth
            if depth == 0 and _auto_classes_imported():
                self._finish()

        loader.exec_module = exec_module

    def _finish(self) -> None:
        # Removed first, because registering imports more of transformers. list.remove is atomic,
        # so of two threads only one registers.
        try:
            sys.meta_path.remove(self)
        except ValueError:
            return
        self._attempts -= 1
        if not _register(last=self._attempts == 0):
            sys.meta_path.insert(0, self)
