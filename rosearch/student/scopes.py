"""What names in Python source stand for."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_NEW_SCOPES = (*_FUNCTIONS, *_COMPREHENSIONS, ast.ClassDef)


@dataclass(frozen=True)
class Target:
    """A global name of a module, or the module."""

    module: str
    """Dotted name."""

    name: str = ""
    """Empty for the module itself."""

    alias: str = field(default="", compare=False)
    """What it is called where it is imported."""

    def statement(self, alias: str) -> tuple[str, str]:
        """Return an import under another name: its start, and the item, if it is one of several."""
        if not self.name:
            whole = alias in (self.module, self.module.partition(".")[0])
            return f"import {self.module}" + ("" if whole else f" as {alias}"), ""
        item = self.name if alias == self.name else f"{self.name} as {alias}"
        return f"from {self.module} import", item


def imported(node: ast.AST) -> dict[str, Target]:
    """Return what an import statement binds, by name; nothing for other statements."""
    if isinstance(node, ast.ImportFrom) and node.module != "__future__":
        found = (Target(node.module or "", a.name, a.asname or a.name) for a in node.names)
    elif isinstance(node, ast.Import):
        found = (Target(a.name, alias=a.asname or a.name.partition(".")[0]) for a in node.names)
    else:
        return {}
    return {target.alias: target for target in found}


def bound_names(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that statements or expressions bind in their own scope."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            found.add(node.name)
        found |= imported(node).keys()
        if isinstance(node, _COMPREHENSIONS):  # an assignment expression binds outside of it
            walked = [part for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]
            found |= {part.target.id for part in walked}
        elif not isinstance(node, _NEW_SCOPES):
            waiting += ast.iter_child_nodes(node)
    return found


@dataclass(frozen=True)
class _Scope:
    names: frozenset[str]
    imports: Mapping[str, Target] = field(default_factory=dict)
    is_class: bool = False


class References(ast.NodeTransformer, ABC):
    """Visits what global names stand for.

    Args:
        names: What the global names of the module stand for.
    """

    def __init__(self, names: Mapping[str, Target]) -> None:
        self._names = names
        self._scopes: list[_Scope] = []

    @abstractmethod
    def use(self, target: Target) -> str | None:
        """Return the new name of something that is named; ``None``: as it is."""

    @abstractmethod
    def annotation(self, node: ast.expr) -> ast.expr | None:
        """Return an annotation of a function as it shall be."""

    @abstractmethod
    def is_own(self, target: Target) -> bool:
        """Whether an import in a function is to be treated as one of the module."""

    @abstractmethod
    def member(self, target: Target, name: str) -> Target | None:
        """Return what a module's attribute stands for; ``None``: something else than a module."""

    def local_names(self) -> set[str]:
        """Return the names that hide global ones here."""
        return set().union(*(scope.names for scope in self._visible()))

    def target(self, name: str) -> Target | None:
        """Return what a name stands for here; ``None``: a built-in, or something local."""
        for scope in self._visible():
            if name in scope.imports:
                return scope.imports[name]
            if name in scope.names:
                return None
        return self._names.get(name)

    def _visible(self) -> Iterator[_Scope]:
        # What a class binds is no variable of its methods.
        for place, scope in enumerate(reversed(self._scopes)):
            if place == 0 or not scope.is_class:
                yield scope

    def _inside(self, scope: _Scope, nodes: list[Any]) -> list[Any]:
        self._scopes.append(scope)
        kept = [new for node in nodes if (new := self.visit(node)) is not None]
        self._scopes.pop()
        return kept

    def visit_Name(self, node: ast.Name) -> Any:
        target = self.target(node.id)
        name = None if target is None else self.use(target)
        return node if name is None else ast.Name(name, node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        target = self.target(node.value.id) if isinstance(node.value, ast.Name) else None
        found = None if target is None else self.member(target, node.attr)
        name = None if found is None else self.use(found)
        if found is None:
            return self.generic_visit(node)
        return node if name is None else ast.Name(name, node.ctx)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return self._function(node)

    def _function(self, node: Any) -> Any:
        target = None if self._scopes else self._names.get(node.name)
        node.name = (target and self.use(target)) or node.name
        node.decorator_list = [self.visit(part) for part in node.decorator_list]
        self._arguments(node.args)
        if node.returns is not None:
            node.returns = self.annotation(node.returns)
        node.body = self._inside(self._function_scope(node), node.body) or [ast.Pass()]
        return node

    def _function_scope(self, node: Any) -> _Scope:
        body = node.body if isinstance(node.body, list) else [node.body]
        names = bound_names(body) | {arg.arg for arg in _all_arguments(node.args)}
        imports: dict[str, Target] = {}
        for child in (child for part in body for child in ast.walk(part)):
            if isinstance(child, (ast.Global, ast.Nonlocal)):
                names -= set(child.names)
            imports |= {k: target for k, target in imported(child).items() if self.is_own(target)}
        return _Scope(frozenset(names), imports)

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        self._arguments(node.args)
        [node.body] = self._inside(self._function_scope(node), [node.body])
        return node

    def _arguments(self, args: ast.arguments) -> None:
        for arg in _all_arguments(args):
            if arg.annotation is not None:
                arg.annotation = self.annotation(arg.annotation)
        args.defaults = [self.visit(part) for part in args.defaults]
        args.kw_defaults = [part and self.visit(part) for part in args.kw_defaults]

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        target = None if self._scopes else self._names.get(node.name)
        node.name = (target and self.use(target)) or node.name
        for part in ("bases", "keywords", "decorator_list"):
            setattr(node, part, [self.visit(child) for child in getattr(node, part)])
        scope = _Scope(frozenset(bound_names(node.body)), is_class=True)
        node.body = self._inside(scope, node.body) or [ast.Pass()]
        return node

    def _comprehension(self, node: Any) -> Any:
        first = node.generators[0]
        first.iter = self.visit(first.iter)
        names = frozenset(bound_names(g.target for g in node.generators))
        fields = [part for part in ("key", "value", "elt") if hasattr(node, part)]
        found = self._inside(_Scope(names), [getattr(node, part) for part in fields])
        for part, new in zip(fields, found, strict=True):
            setattr(node, part, new)
        for generator in node.generators:
            generator.ifs = self._inside(_Scope(names), generator.ifs)
            if generator is not first:
                [generator.iter] = self._inside(_Scope(names), [generator.iter])
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        annotation = self.annotation(node.annotation)
        node.target = self.visit(node.target)
        node.value = node.value and self.visit(node.value)
        if annotation is None and not (self._scopes and self._scopes[-1].is_class):
            return node.value and ast.Assign([node.target], node.value)
        # A field of a dataclass needs one.
        node.annotation = annotation or ast.Constant("object")
        return node

    def visit_Global(self, node: ast.Global) -> Any:
        found = [(name, self._names.get(name)) for name in node.names]
        node.names = [(target and self.use(target)) or name for name, target in found]
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        return self._function(node)

    def visit_ListComp(self, node: ast.ListComp) -> Any:
        return self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> Any:
        return self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> Any:
        return self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> Any:
        return self._comprehension(node)


def _all_arguments(args: ast.arguments) -> list[ast.arg]:
    others = [arg for arg in (args.vararg, args.kwarg) if arg is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *others]
