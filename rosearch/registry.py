"""Registries of plug-ins by name.

Modelled on ``catalogue`` (Explosion AI), with two differences: a name is never silently
overwritten, and entry points of other packages are loaded only when a name is requested that is not
registered yet.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from rosearch.checks import did_you_mean
from rosearch.errors import RegistryError

T = TypeVar("T")
_Registered = TypeVar("_Registered")


_modules: dict[str, None] = {}  # a set in the order of registration


def plug_in_modules() -> tuple[str, ...]:
    """The modules outside of rosearch that have registered something in this process."""
    return tuple(_modules)


@dataclass(eq=False, repr=False)
class Registry(Generic[T]):
    """Objects of one kind, by name."""

    kind: str
    """Name of an entry in messages, for example ``"operator"``."""

    group: str
    """Entry-point group of other packages, for example ``"rosearch.operators"``."""

    check: Callable[[object], str | None] | None = None
    """Called with an object before it is registered; returns the reason to refuse it, if any."""

    on_register: Callable[[str, Any], object] | None = None
    """Called with the name and the object after it was registered under its first name."""

    _entries: dict[str, T] = field(default_factory=dict, init=False)
    _entry_points_loaded: bool = field(default=False, init=False)
    _broken: dict[str, str] = field(default_factory=dict, init=False)

    def register(self, name: str) -> Callable[[_Registered], _Registered]:
        """Return a decorator that registers an object under ``name``.

        Registering the same object again has no effect.

        Raises:
            RegistryError: ``name`` is empty or taken by another object, or the object is
                not of this registry's kind.
        """
        if not name or not isinstance(name, str):
            raise RegistryError(
                f"The name of a {self.kind} must be a non-empty string, got {name!r}."
            )

        def decorate(item: _Registered) -> _Registered:
            reason = self.check(item) if self.check else None
            if reason:
                raise RegistryError(f"{item!r} cannot be the {self.kind} {name!r}: {reason}")
            known = self._entries.get(name)
            # A module that is reloaded in a notebook redefines its class, which may replace itself.
            if known is not None and not _same_definition(known, item):
                raise RegistryError(
                    f"The {self.kind} name {name!r} is already taken by {known!r}. "
                    f"Choose another name."
                )
            new = self._name_of(item) is None
            self._entries[name] = item  # type: ignore[assignment]
            module = str(getattr(item, "__module__", type(item).__module__))
            if module.partition(".")[0] != "rosearch":
                _modules[module] = None
            if self.on_register and new:
                self.on_register(name, item)
            return item

        return decorate

    def get(self, name: str, *, among: Callable[[], Sequence[str]] | None = None) -> T:
        """The object registered under ``name``.

        Args:
            name: Its name.
            among: Returns the names to list in the message. Default: all.

        Raises:
            RegistryError: The name is unknown, or belongs to a plug-in that cannot be loaded.
        """
        if name not in self._entries:
            self._load_entry_points()
        if name in self._broken and name not in self._entries:
            raise RegistryError(self._broken[name])
        try:
            return self._entries[name]
        except KeyError:
            known = among() if among else self.names()
            raise RegistryError(
                f"There is no {self.kind} named {name!r}.{did_you_mean(name, known)} "
                f"Known: {', '.join(known) or 'none'}. If it is a plug-in, import the "
                f"module that registers it first."
            ) from None

    def names(self) -> tuple[str, ...]:
        """All names, sorted, including those of installed plug-in packages."""
        self._load_entry_points()
        return tuple(sorted(self._entries))

    def name_of(self, item: object) -> str | None:
        """The first name under which ``item`` was registered; ``None`` if it has none."""
        name = self._name_of(item)
        if name is None:
            self._load_entry_points()
            name = self._name_of(item)
        return name

    def unregister(self, name: str) -> None:
        """Remove a name, for tests of plug-ins.

        Raises:
            RegistryError: The name is unknown.
        """
        self.get(name)
        del self._entries[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._entries:
            self._load_entry_points()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self.names())})"

    def _name_of(self, item: object) -> str | None:
        return next((name for name, known in self._entries.items() if known is item), None)

    def _load_entry_points(self) -> None:
        if self._entry_points_loaded:
            return
        self._entry_points_loaded = True  # first, so that a plug-in may use the registry itself
        for point in entry_points(group=self.group):
            reason = self._load(point)
            if reason:  # one broken package must not hide the others
                self._broken[point.name] = reason
                warnings.warn(reason, RuntimeWarning, stacklevel=3)

    def _load(self, point: EntryPoint) -> str | None:
        try:
            self.register(point.name)(point.load())
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
            return (
                f"The {self.kind} plug-in {point.name!r} ({point.value}) cannot be loaded: "
                f"{error!r}. Repair or uninstall the package that provides it."
            )
        return None


def _same_definition(a: object, b: object) -> bool:
    if a is b:
        return True
    names = [(getattr(x, "__module__", None), getattr(x, "__qualname__", None)) for x in (a, b)]
    return None not in names[0] and names[0] == names[1] and "<locals>" not in str(names[0][1])
