"""One module with those parts of a package's source that some of its objects need.

A definition needs another one if it names it, but for annotations, which nothing evaluates. A
method is needed if its name occurs in what is needed, or if a class outside of the package has one
of that name, whose code may call it. Definitions come in the order in which Python would run them,
without comments; equal names of several modules get endings.
"""

from __future__ import annotations

import ast
import builtins
import pickle
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rosearch.student.scopes import References, Target, bound_names, imported

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class _Source:
    """A module's statements."""

    name: str
    body: list[ast.stmt]

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """The statements that define a name, by name."""
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.body:
            for name in _defined(statement):
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def imports(self) -> dict[str, Target]:
        """What the module imports, also for type checkers only."""
        found: dict[str, Target] = {}
        for node in self.body:
            for statement in node.body if _is_type_checking(node) else [node]:  # type: ignore[attr-defined]
                found |= imported(statement)
        return found

    @cached_property
    def names(self) -> dict[str, Target]:
        """What the module's global names stand for."""
        own = {name: Target(self.name, name) for name in self.definitions}
        return self.imports | own


@cache
def _source(module: str) -> _Source:
    loader: Any = getattr(find_spec(module), "loader", None)
    text = loader.get_source(module) if hasattr(loader, "get_source") else None
    if text is None:
        raise OSError(f"The source of {module} is not installed.")
    return _Source(module, ast.parse(text).body)


@cache
def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _defined(statement: ast.stmt) -> set[str]:
    if imported(statement) or _is_type_checking(statement):
        return set()
    return bound_names([statement])


def _target(item: Any) -> Target:
    return Target(item.__module__, item.__qualname__)


@cache
def _packed(statement: ast.stmt) -> bytes:
    # A copy made of this takes a quarter of the time of copy.deepcopy.
    return pickle.dumps(statement)


@dataclass(frozen=True)
class _Rules:
    """What a bundle does with names, whatever its roots are."""

    package: str
    instead: frozenset[tuple[str, str]]
    without: frozenset[str]

    def resolved(self, target: Target) -> Target | None:
        """Return what is behind a name that modules pass on; ``None``: nothing."""
        module = dict(self.instead).get(target.module, target.module)
        target = Target(module, target.name, target.alias)
        if not target.name or not self.is_own(target):
            return target
        source = _source(target.module)
        if target.name in source.definitions:
            return target
        passed_on = source.imports.get(target.name, target)
        if passed_on != target:
            return self.resolved(passed_on)
        module = f"{target.module}.{target.name}"
        return self.resolved(Target(module)) if _exists(module) else None

    def is_own(self, target: Target) -> bool:
        """Whether something is of the package."""
        return target.module.partition(".")[0] == self.package


@cache  # most parts of a bundle are those of the one before
def _read(rules: _Rules, module: str, part: ast.AST) -> list[tuple[Target, frozenset[str]]]:
    """What a part of a module names, and the local names that hide others there."""
    return _Reader(rules, module).read(part)


@dataclass(eq=False)
class Bundle:
    """The parts of one package that some of its objects need.

    Args:
        roots: Classes and functions of the package, with the names that they get.
        instead: Modules, of the package or others, and modules of the package that take their
            place. They have the same names.
        values: Functions without arguments whose results are written in their place.
        without: Methods that are left out, and assignments to attributes of these names.

    Raises:
        OSError: The source of a module is not installed.
    """

    roots: Mapping[Any, str]
    instead: Mapping[str, str] = field(default_factory=dict)
    values: Collection[Callable[[], Any]] = ()
    without: Collection[str] = ()

    def __post_init__(self) -> None:
        self._roots = {_target(root): name for root, name in self.roots.items()}
        package = next(iter(self._roots)).module.partition(".")[0]
        self._rules = _Rules(package, frozenset(self.instead.items()), frozenset(self.without))
        self._values = {_target(function): function for function in self.values}
        self._needed = dict.fromkeys(self._roots)
        self._mentioned: set[str] = set()
        self._parts_read: set[int] = set()
        self._reads: dict[str, set[str]] = {}
        self._hidden: dict[Target, set[str]] = {}
        self._names: dict[Target, str] = {}
        self._packages: set[str] = set()
        size = -1
        while size != (size := len(self._needed) + len(self._mentioned)):
            # A new name may be that of a method of a class that is here already.
            for target in list(self._needed):
                self._read(target)

    @cached_property
    def text(self) -> str:
        """The module, without a docstring."""
        self._names = dict(self._roots)
        body = [ast.unparse(part) for module in self._modules() for part in self._written(module)]
        imports: dict[str, set[str]] = {}
        for target, name in self._names.items():
            if not self._rules.is_own(target):
                start, item = target.statement(name)
                imports.setdefault(start, set()).add(item)
        lines = [f"{start} {', '.join(sorted(items))}".rstrip() for start, items in imports.items()]
        head = ["from __future__ import annotations", "", *sorted(lines)]
        return "\n".join([*head, "", "", "\n\n\n".join(body), ""])

    @cached_property
    def packages(self) -> frozenset[str]:
        """The packages that the module imports."""
        nodes = ast.walk(ast.parse(self.text))
        targets = [target for node in nodes for target in imported(node).values()]
        return frozenset(target.module.partition(".")[0] for target in targets)

    def is_known(self, target: Target) -> bool:
        """Whether the module has something, or imports its package anyway."""
        found = self._rules.resolved(target)
        if found is None or found in self._needed:
            return True
        package = found.module.partition(".")[0]
        return package in self._packages or package in sys.stdlib_module_names

    def name(self, target: Target) -> str | None:
        """Return the name of something in the module; ``None`` for modules of the package."""
        found = self._rules.resolved(target)
        if found is None or (self._rules.is_own(found) and not found.name):
            return None
        if found not in self._names:
            taken = {*self._names.values(), *self._hidden.get(found, ())}
            name = found.name if self._rules.is_own(found) else found.alias
            while name in taken or (self._rules.is_own(found) and hasattr(builtins, name)):
                name += "_" + found.module.rpartition(".")[2]
            self._names[found] = name
        return self._names[found]

    def _read(self, target: Target) -> None:
        reads = self._reads.setdefault(target.module, set())
        if target in self._values:
            return
        for statement in _source(target.module).definitions[target.name]:
            for part in self._parts(target, statement):
                if id(part) in self._parts_read:
                    continue
                self._parts_read.add(id(part))
                self._mentioned |= _mentioned(part)
                for found, hidden in _read(self._rules, target.module, part):
                    self._hidden.setdefault(found, set()).update(hidden)
                    if not self._rules.is_own(found):
                        self._packages.add(found.module.partition(".")[0])
                    elif found.name:
                        self._needed.setdefault(found)
                        reads |= {found.module} - {target.module}

    def _parts(self, target: Target, statement: ast.stmt) -> list[ast.AST]:
        if not isinstance(statement, ast.ClassDef):
            return [statement]
        head = [*statement.bases, *statement.keywords, *statement.decorator_list]
        return [*head, *self._members(target, statement)]

    def _members(self, target: Target, node: ast.ClassDef) -> list[ast.stmt]:
        kind = getattr(import_module(target.module), node.name)
        outside = [base for base in kind.__mro__ if not self._rules.is_own(_target(base))]
        # Which methods transformers calls differs from version to version.
        whole = any(base.__module__.partition(".")[0] == "transformers" for base in outside)

        def is_needed(member: ast.stmt) -> bool:
            if not isinstance(member, _FUNCTIONS):
                return True
            name, overload = member.name, ast.Name("overload", ast.Load())
            if name in self.without or ast.dump(overload) in map(ast.dump, member.decorator_list):
                return False
            named = name in self._mentioned or name.startswith("__")
            return whole or named or any(hasattr(base, name) for base in outside)

        return [member for member in node.body if is_needed(member)]

    def _modules(self) -> list[str]:
        """The modules of what is needed, each behind those that it reads."""
        edges = {module: sorted(others) for module, others in sorted(self._reads.items())}
        return list(TopologicalSorter(edges).static_order())

    def _written(self, module: str) -> Iterator[ast.stmt]:
        needed = {target.name: target for target in self._needed if target.module == module}
        is_value = False
        for statement in _source(module).body:
            targets = [needed[name] for name in sorted(_defined(statement)) if name in needed]
            if targets:
                yield self._rewritten(targets[0], statement)
            elif is_value and isinstance(statement, ast.Expr):
                yield statement  # its docstring
            is_value = bool(targets) and isinstance(statement, (ast.Assign, ast.AnnAssign))

    def _rewritten(self, target: Target, statement: ast.stmt) -> ast.stmt:
        statement = pickle.loads(_packed(statement))  # noqa: S301 - of this process
        if target in self._values and isinstance(statement, ast.FunctionDef):
            value = ast.parse(ascii(self._values[target]()), mode="eval").body
            statement.body[1:] = [ast.Return(value)]
        elif isinstance(statement, ast.ClassDef):
            statement.body = self._members(target, statement)
        written: ast.stmt = _Writer(self, self._rules, target.module).visit(statement)
        return ast.fix_missing_locations(written)


@cache
def _mentioned(part: ast.AST) -> frozenset[str]:
    """Everything in a part that may name a method."""
    found: set[str] = set()
    for node in ast.walk(part):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Call):
            found |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return frozenset(found)


class _OfPackage(References):
    def __init__(self, rules: _Rules, module: str) -> None:
        super().__init__(_source(module).names)
        self._rules = rules

    def is_own(self, target: Target) -> bool:
        return self._rules.is_own(target)

    def member(self, target: Target, name: str) -> Target | None:
        found = self._rules.resolved(target)
        is_module = found is not None and not found.name and self._rules.is_own(found)
        return Target(found.module, name) if is_module and found else None

    def is_left_out(self, node: ast.Assign) -> bool:
        """Whether it replaces a method that is left out."""
        attributes = {part.attr for part in node.targets if isinstance(part, ast.Attribute)}
        return not attributes.isdisjoint(self._rules.without)


class _Reader(_OfPackage):
    """Finds what a part of a module names, and the local names that hide others there."""

    def read(self, part: ast.AST) -> list[tuple[Target, frozenset[str]]]:
        self.found: list[tuple[Target, frozenset[str]]] = []
        self.visit(part)
        return self.found

    def use(self, target: Target) -> str | None:
        found = self._rules.resolved(target)
        if found is not None:
            self.found.append((found, frozenset(self.local_names())))
        return None

    def annotation(self, node: ast.expr) -> ast.expr | None:
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        return node if self.is_left_out(node) else self.generic_visit(node)


class _Writer(_OfPackage):
    """Gives everything its name in the bundle, and drops annotations of what is not there."""

    def __init__(self, bundle: Bundle, rules: _Rules, module: str) -> None:
        super().__init__(rules, module)
        self._bundle = bundle

    def use(self, target: Target) -> str | None:
        return self._bundle.name(target)

    def annotation(self, node: ast.expr) -> ast.expr | None:
        names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
        targets = [target for name in names if (target := self.target(name)) is not None]
        known: ast.expr | None = (
            self.visit(node) if all(map(self._bundle.is_known, targets)) else None
        )
        return known

    def visit_Assign(self, node: ast.Assign) -> Any:
        return None if self.is_left_out(node) else self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        # In a function: what it imports of the package is a global name of the bundle.
        return None if any(map(self.is_own, imported(node).values())) else node
