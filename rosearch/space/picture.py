"""Drawing a genome's graph, with the encodings at the top and the output at the bottom."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from itertools import pairwise
from typing import Any

import networkx as nx

from rosearch import operators as ops
from rosearch.optional import try_import
from rosearch.space.nodes import EMBEDDING, OUTPUT

COLOURS = {
    "attention": "#8ecae6",
    "convolution": "#ffd166",
    "recurrence": "#cdb4db",
    "feed-forward": "#95d5b2",
    "mixing": "#f4a9a8",
    "pooling": "#d4a373",
    "identity": "#e5e5e5",
    "other": "#f8edeb",
}
"""Colour of a node by the family of its operator; all other families are ``"other"``."""

_BOX_WIDTH, _BOX_HEIGHT = 2.3, 0.56  # inches, as all lengths here
_COLUMN, _ROW = 2.55, 1.05  # from one box to the next
_BEND = 0.3  # width that an edge takes where it passes a layer
_TITLE, _MIN_WIDTH = 0.5, 5.4
_KEYS = 4  # entries in a line of the legend
_LINE = "#666666"
_LETTERS = 31  # of size 9 that fit in a box
_SWEEPS = 12

Place = dict[Any, tuple[float, float]]
"""Centres of boxes and bends. A bend is where an edge passes a layer: it is named ``(start, end,
layer)`` and has a place of its own in the row, so that edges go around boxes."""


def draw_graph(graph: nx.DiGraph, title: str) -> Any:
    """Draw a genome's graph, see :meth:`rosearch.space.Genome.draw`.

    Args:
        graph: The graph as :meth:`rosearch.space.Genome.graph` returns it.
        title: Text above the graph.

    Returns:
        The matplotlib ``Figure``.

    Raises:
        MissingResourceError: matplotlib is not installed.
    """
    figures = try_import(
        "matplotlib.figure", "Drawing", "plot", "print(genome) lists the nodes without it."
    )
    graph = _with_encodings(graph)
    rows, layered = _layers(graph)
    x = _columns(rows, layered)
    x.update(dict.fromkeys(nx.ancestors(graph, EMBEDDING), x[EMBEDDING]))
    left, right = min(x[v] - _room(v) / 2 for v in x), max(x[v] + _room(v) / 2 for v in x)
    width = max(right - left, _MIN_WIDTH)
    left -= (width - (right - left)) / 2
    families = {
        v: str(ops.get(operator).family)
        for v, operator in graph.nodes(data="operator")
        if isinstance(v, int)
    }
    legend = 0.22 * -(-len(set(families.values())) // _KEYS)
    height = (len(rows) - 1) * _ROW + _BOX_HEIGHT + _TITLE + (legend + 0.2)
    figure = figures.Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    place = {
        v: (x[v] - left, height - _TITLE - _BOX_HEIGHT / 2 - depth * _ROW)
        for depth, row in enumerate(rows)
        for v in row
    }
    _draw_edges(axes, graph, place)
    _draw_boxes(axes, graph, families, place)
    _draw_legend(axes, sorted(set(families.values())), legend)
    axes.text(width / 2, height - 0.25, title, ha="center", va="center", fontsize=10)
    # By themselves, notebooks show figures only once pyplot has been imported.
    figure._repr_png_ = partial(_png, figure)
    return figure


def _png(figure: Any) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _with_encodings(graph: nx.DiGraph) -> nx.DiGraph:
    """Return the graph with its encodings as a chain that ends in the embedding."""
    encodings = {f"encoding {k}": values for k, values in enumerate(graph.graph["encodings"])}
    whole = graph.copy()
    whole.add_nodes_from(encodings.items())
    nx.add_path(whole, [*encodings, EMBEDDING])
    return whole


def _layers(graph: nx.DiGraph) -> tuple[list[list[Any]], nx.DiGraph]:
    """Return nodes and bends by layer, ordered so that few edges cross (Sugiyama's method).

    Also return the graph of nodes and bends, in which every edge leads from one layer to the next.
    """
    rows = [list(row) for row in nx.topological_generations(graph)]
    layer = {v: depth for depth, row in enumerate(rows) for v in row}
    layered = nx.DiGraph()
    layered.add_nodes_from(graph)
    for start, end in graph.edges:
        bends = [(start, end, depth) for depth in range(layer[start] + 1, layer[end])]
        for bend in bends:
            rows[bend[2]].append(bend)
        nx.add_path(layered, [start, *bends, end])
    orders = [list(rows)]
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near, step = (layered.pred, -1) if down else (layered.succ, 1)
        for depth in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            rows[depth] = _by_neighbours(rows[depth], rows[depth + step], near)
        orders.append(list(rows))
    return min(orders, key=lambda order: _crossings(order, layered)), layered


def _by_neighbours(row: list[Any], beside: list[Any], near: Any) -> list[Any]:
    """Return a row sorted by the mean position of each node's neighbours in the row beside."""
    at = {v: k for k, v in enumerate(beside)}
    return sorted(row, key=lambda v: sum(at[u] for u in near[v]) / len(near[v]))


def _crossings(rows: list[list[Any]], layered: nx.DiGraph) -> int:
    count = 0
    for above, below in pairwise(rows):
        at = {v: k for k, v in enumerate(below)}
        edges = [(k, at[u]) for k, v in enumerate(above) for u in layered.succ[v]]
        count += sum(a[0] < b[0] and a[1] > b[1] for a in edges for b in edges)
    return count


def _columns(rows: list[list[Any]], layered: nx.DiGraph) -> dict[Any, float]:
    """Return the horizontal position of each node and bend: near its neighbours, no overlaps."""
    x = {v: (k - (len(row) - 1) / 2) * _COLUMN for row in rows for k, v in enumerate(row)}
    for sweep in range(60):
        for row in rows if sweep % 2 else reversed(rows):
            wanted = []
            for v in row:
                beside = [*layered.pred[v], *layered.succ[v]]
                wanted.append(sum(x[u] for u in beside) / len(beside))
            gaps = [(_room(u) + _room(v)) / 2 for u, v in pairwise(row)]
            right, left = list(wanted), list(wanted)
            for k in range(1, len(row)):
                right[k] = max(right[k], right[k - 1] + gaps[k - 1])
            for k in range(len(row) - 2, -1, -1):
                left[k] = min(left[k], left[k + 1] - gaps[k])
            x.update({v: (right[k] + left[k]) / 2 for k, v in enumerate(row)})
    return x


def _room(v: Any) -> float:
    return _BEND if isinstance(v, tuple) else _COLUMN


def _draw_edges(axes: Any, graph: nx.DiGraph, place: Place) -> None:
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path as Curve

    routes = {}
    for start, end in graph.edges:
        bends = [v for v in place if isinstance(v, tuple) and v[:2] == (start, end)]
        routes[start, end] = [start, *sorted(bends, key=lambda bend: bend[2]), end]
    # Edges leave and enter a box side by side, in the order of where they come from.
    ports: dict[tuple[Any, str], float] = {}
    for v in graph:
        for name, edges, beside in (("out", graph.out_edges(v), 1), ("in", graph.in_edges(v), -2)):
            step = min(0.3, 0.8 * _BOX_WIDTH / max(len(edges), 1))
            ordered = sorted(edges, key=lambda edge: place[routes[edge][beside]][0])
            for k, edge in enumerate(ordered):
                ports[edge, name] = (k - (len(edges) - 1) / 2) * step
    head: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
    for edge, route in routes.items():
        points = [place[v] for v in route]
        points[0] = (points[0][0] + ports[edge, "out"], points[0][1])
        points[-1] = (points[-1][0] + ports[edge, "in"], points[-1][1] + 0.1)
        vertices: list[tuple[float, float]] = []
        for (x0, y0), (x1, y1) in pairwise(points):  # a curve between layers, straight past them
            top, bottom = y0 - _BOX_HEIGHT / 2, y1 + _BOX_HEIGHT / 2
            middle = (top + bottom) / 2
            vertices += [(x0, top), (x0, middle), (x1, middle), (x1, bottom)]
        codes = [Curve.LINETO, *[Curve.CURVE4] * 3] * (len(points) - 1)
        codes[0] = Curve.MOVETO
        curve = Curve(vertices, codes)
        axes.add_patch(PathPatch(curve, facecolor="none", edgecolor=_LINE, linewidth=1.1))
        x, y = vertices[-1]
        ends = (x, y + 0.02), (x, y - 0.1)
        axes.add_patch(FancyArrowPatch(*ends, color=_LINE, linewidth=0.8, **head))


def _draw_boxes(axes: Any, graph: nx.DiGraph, families: dict[Any, str], place: Place) -> None:
    embedding, bound = graph.nodes[EMBEDDING], graph.graph["bound"]
    source, values = embedding["source"], _values(embedding)
    pooling, answer = f"{graph.graph['pooling']} pooling", "classifier"
    if bound == 0:
        source, values, pooling, answer = "token scores", "", "sum", ""
    elif bound is not None:
        answer = f"moves token scores by at most {bound:g}"
    if graph.graph.get("scopes") and bound is not None:
        answer = f"{answer}, by scopes".removeprefix(", ")
    _draw_box(axes, place[EMBEDDING], source, values, "white", False)
    _draw_box(axes, place[OUTPUT], pooling, answer, "white", False)
    for v in nx.ancestors(graph, EMBEDDING):
        encoding = graph.nodes[v]
        _draw_box(axes, place[v], encoding["name"], _values(encoding), "white", False)
    for number, family in families.items():
        node, inputs = graph.nodes[number], graph.in_degree(number)
        merge = f"{node['merge']} of {inputs}" if inputs > 1 else ""
        details = [_values(node), merge, "+ input" if node["residual"] else ""]
        text = " · ".join(filter(None, details))
        name, colour = f"{number}  {node['operator']}", COLOURS.get(family, COLOURS["other"])
        _draw_box(axes, place[number], name, text, colour, node["residual"])


def _draw_box(
    axes: Any, centre: tuple[float, float], name: str, details: str, colour: str, thick: bool
) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = centre
    width, height = _BOX_WIDTH - 0.12, _BOX_HEIGHT - 0.12
    corner = (x - width / 2, y - height / 2)
    edge, line = ("#333333", 2.0) if thick else ("#999999", 0.8)
    style: dict[str, Any] = {"facecolor": colour, "edgecolor": edge, "linewidth": line, "zorder": 3}
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0.06", **style))
    above = 0.11 if details else 0.0
    for text, shift, size in ((name, above, 9.0), (details, -0.12, 7.5)):
        fitted = size * min(1.0, _LETTERS / max(len(text) * size / 9.0, 1.0))
        axes.text(x, y + shift, text, ha="center", va="center", fontsize=fitted, zorder=4)


def _values(node: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in node["parameters"].items())


def _draw_legend(axes: Any, families: list[str], bottom: float) -> None:
    """Draw the colours of the families that occur, below the graph."""
    from matplotlib.patches import Rectangle

    for k, family in enumerate(families):
        x, y = 0.25 + (k % _KEYS) * 1.3, bottom - (k // _KEYS) * 0.22
        colour = COLOURS.get(family, COLOURS["other"])
        axes.add_patch(
            Rectangle((x, y - 0.06), 0.16, 0.12, facecolor=colour, edgecolor="#999999", lw=0.6)
        )
        axes.text(x + 0.22, y, family, va="center", fontsize=7.5)
