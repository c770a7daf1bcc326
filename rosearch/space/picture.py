"""A picture of a genome's graph: the text enters at the top and leaves at the bottom."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx

from rosearch import operators as ops
from rosearch.errors import MissingResourceError
from rosearch.space.validation import EMBEDDING, OUTPUT

if TYPE_CHECKING:
    import os

    from rosearch.space.genome import Genome

COLOURS = {
    "attention": "#8ecae6",
    "convolution": "#ffd166",
    "recurrence": "#cdb4db",
    "feed-forward": "#95d5b2",
    "mixing": "#f4a9a8",
    "pooling": "#d4a373",
    "identity": "#e5e5e5",
    "other": "#f8edeb",
    "embedding": "#ffffff",
}
"""Colour of a node by the family of its operator."""

_WIDE, _HIGH = 2.3, 0.56  # of a box, in inches
_ACROSS, _DOWN = 2.55, 1.05  # from one box to the next
_BEND = 0.3  # across, for an edge that passes a layer
_HEAD, _NARROWEST, _KEYS = 0.5, 5.4, 4  # title, picture, entries in a line of the legend
_LINE = "#666666"
_LETTERS = 31  # of size 9 that fit in a box
_SWEEPS = 12


def draw(
    genome: Genome, path: str | os.PathLike[str] | None = None, *, title: str | None = None
) -> Any:
    """A picture of the graph, layer by layer.

    A node stands in the layer behind the last of its inputs. Its box gives its number, as
    ``print(genome)`` does, its operator and parameters, and how several inputs are merged; its
    colour is the operator's family; a thick border and ``+ input`` mark a residual.

    Args:
        genome: The architecture.
        path: Where to save it; the suffix says how: ``.svg``, ``.png``, ``.pdf``. Not saved if
            omitted.
        title: Above the picture; the genome's key and widths if omitted, nothing if empty.

    Returns:
        The matplotlib ``Figure``, which notebooks show.

    Raises:
        MissingResourceError: matplotlib is not installed.
        ValueError: matplotlib cannot save files of that suffix.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingResourceError(
            "Drawing needs matplotlib: pip install 'rosearch[plot]'. print(genome) lists the nodes "
            "without it."
        ) from error
    graph = genome.graph()
    rows, proper = _rows(graph)
    x = _across(rows, proper)
    left = min(x[v] - _room(v) / 2 for v in x)
    wide = max(max(x[v] + _room(v) / 2 for v in x) - left, _NARROWEST)
    left -= (wide - (max(x[v] + _room(v) / 2 for v in x) - left)) / 2
    families = {ops.get(node.operator).family for node in genome.nodes}
    foot = 0.22 * -(-len(families) // _KEYS) + 0.2
    high = (len(rows) - 1) * _DOWN + _HIGH + _HEAD + foot
    figure = Figure(figsize=(wide, high))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, wide)
    axes.set_ylim(0, high)
    axes.axis("off")
    place = {
        v: (x[v] - left, high - _HEAD - _HIGH / 2 - depth * _DOWN)
        for depth, row in enumerate(rows)
        for v in row
    }
    _edges(axes, graph, place)
    _boxes(axes, genome, place)
    _legend(axes, genome, foot - 0.2)
    text = title
    if text is None:
        text = f"{genome.key}: width {genome.width}, embedding width {genome.embedding_width}"
    axes.text(wide / 2, high - 0.25, text, ha="center", va="center", fontsize=10)
    if path is not None:
        figure.savefig(Path(path), dpi=150)
    return figure


def svg(genome: Genome) -> str | None:
    """The picture as SVG, for notebooks; ``None`` without matplotlib."""
    try:
        figure = draw(genome)
    except MissingResourceError:
        return None
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


# Where an edge passes a layer there is a bend, (start, end, layer), with a place of its own in the
# row, so that edges go around boxes.


def _rows(graph: nx.DiGraph) -> tuple[list[list[Any]], nx.DiGraph]:
    """Nodes and bends by layer, ordered so that few edges cross (Sugiyama's method).

    Also returns the graph of both, in which every edge leads from one layer to the next.
    """
    layer = {}
    for depth, row in enumerate(nx.topological_generations(graph)):
        layer.update(dict.fromkeys(row, depth))
    rows: list[list[Any]] = [[] for _ in range(max(layer.values()) + 1)]
    for v, depth in layer.items():
        rows[depth].append(v)
    proper = nx.DiGraph()
    proper.add_nodes_from(graph)
    for start, end in graph.edges:
        before = start
        for depth in range(layer[start] + 1, layer[end]):
            bend = (start, end, depth)
            rows[depth].append(bend)
            proper.add_edge(before, bend)
            before = bend
        proper.add_edge(before, end)
    best, fewest = [list(row) for row in rows], _crossings(rows, proper)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for depth in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            beside = rows[depth - 1 if down else depth + 1]
            at = {v: k - (len(beside) - 1) / 2 for k, v in enumerate(beside)}
            near = proper.pred if down else proper.succ
            own = {v: k - (len(rows[depth]) - 1) / 2 for k, v in enumerate(rows[depth])}

            def middle(v: Any, near: Any = near, at: Any = at, own: Any = own) -> float:
                found = [float(at[u]) for u in near[v] if u in at]
                return sum(found) / len(found) if found else float(own[v])

            rows[depth].sort(key=middle)
        crossings = _crossings(rows, proper)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best, proper


def _crossings(rows: list[list[Any]], proper: nx.DiGraph) -> int:
    count = 0
    for above, below in zip(rows, rows[1:], strict=False):
        at = {v: k for k, v in enumerate(below)}
        ends = [sorted(at[u] for u in proper.succ[v]) for v in above]
        flat = [(k, e) for k, row in enumerate(ends) for e in row]
        count += sum(a[0] < b[0] and a[1] > b[1] for a in flat for b in flat)
    return count


def _across(rows: list[list[Any]], proper: nx.DiGraph) -> dict[Any, float]:
    """Where each node and bend stands in its row: near its neighbours, without overlaps."""
    x = {}
    for row in rows:
        for k, v in enumerate(row):
            x[v] = (k - (len(row) - 1) / 2) * _ACROSS
    for sweep in range(60):
        for row in rows if sweep % 2 else reversed(rows):
            wanted = []
            for v in row:
                beside = [*proper.pred[v], *proper.succ[v]]
                wanted.append(sum(x[u] for u in beside) / len(beside))
            right, left = list(wanted), list(wanted)
            for k in range(1, len(row)):
                right[k] = max(right[k], right[k - 1] + _gap(row[k - 1], row[k]))
            for k in range(len(row) - 2, -1, -1):
                left[k] = min(left[k], left[k + 1] - _gap(row[k], row[k + 1]))
            x.update({v: (right[k] + left[k]) / 2 for k, v in enumerate(row)})
    return x


def _gap(left: Any, right: Any) -> float:
    return (_room(left) + _room(right)) / 2


def _room(v: Any) -> float:
    return _BEND if isinstance(v, tuple) else _ACROSS


def _edges(axes: Any, graph: nx.DiGraph, place: dict[Any, tuple[float, float]]) -> None:
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path as Curve

    def route(start: Any, end: Any) -> list[Any]:
        bends = [v for v in place if isinstance(v, tuple) and v[:2] == (start, end)]
        return [start, *sorted(bends, key=lambda v: v[2]), end]

    routes = {edge: route(*edge) for edge in graph.edges}
    # Where edges leave and enter a box: side by side, in the order of where they come from.
    ports: dict[tuple[Any, Any, str], float] = {}
    for v in graph:
        for name, edges, beside in (
            ("out", list(graph.out_edges(v)), 1),
            ("in", list(graph.in_edges(v)), -2),
        ):
            edges.sort(key=lambda edge: place[routes[edge][beside]][0])
            step = min(0.3, 0.8 * _WIDE / max(len(edges), 1))
            for k, edge in enumerate(edges):
                ports[edge[0], edge[1], name] = (k - (len(edges) - 1) / 2) * step
    for (start, end), through in routes.items():
        x, y = place[start]
        points = [(x + ports[start, end, "out"], y - _HIGH / 2)]
        for bend in through[1:-1]:
            x, y = place[bend]
            points += [(x, y + _HIGH / 2), (x, y - _HIGH / 2)]
        x, y = place[end]
        tip = (x + ports[start, end, "in"], y + _HIGH / 2)
        points.append((tip[0], tip[1] + 0.1))
        vertices, codes = [points[0]], [Curve.MOVETO]
        for k in range(1, len(points)):
            (x0, y0), (x1, y1) = points[k - 1], points[k]
            if k % 2 == 0:  # past a layer: straight down
                vertices.append((x1, y1))
                codes.append(Curve.LINETO)
            else:
                half = (y0 - y1) / 2
                vertices += [(x0, y0 - half), (x1, y1 + half), (x1, y1)]
                codes += [Curve.CURVE4] * 3
        axes.add_patch(
            PathPatch(Curve(vertices, codes), facecolor="none", edgecolor=_LINE, linewidth=1.1)
        )
        axes.add_patch(
            FancyArrowPatch(
                (tip[0], tip[1] + 0.12),
                tip,
                arrowstyle="-|>",
                mutation_scale=9,
                shrinkA=0,
                shrinkB=0,
                color=_LINE,
                linewidth=0.8,
            )
        )


def _boxes(axes: Any, genome: Genome, place: dict[Any, tuple[float, float]]) -> None:
    from matplotlib.patches import FancyBboxPatch

    texts: dict[Any, tuple[str, str]] = {
        EMBEDDING: (genome.embedding.operator, _values(genome.embedding.parameters)),
        OUTPUT: (f"{genome.pooling} pooling", "classifier"),
    }
    colours: dict[Any, str] = dict.fromkeys((EMBEDDING, OUTPUT), COLOURS["embedding"])
    thick = set()
    for number, node in enumerate(genome.nodes, start=1):
        merge = f"{node.merge} of {len(node.inputs)}" if len(node.inputs) > 1 else ""
        said = [_values(node.parameters), merge, "+ input" if node.residual else ""]
        texts[number] = (f"{number}  {node.operator}", " · ".join(part for part in said if part))
        family = ops.get(node.operator).family
        colours[number] = COLOURS.get(family, COLOURS["other"])
        if node.residual:
            thick.add(number)
    for v, (name, details) in texts.items():
        x, y = place[v]
        axes.add_patch(
            FancyBboxPatch(
                (x - _WIDE / 2 + 0.06, y - _HIGH / 2 + 0.06),
                _WIDE - 0.12,
                _HIGH - 0.12,
                boxstyle="round,pad=0.06",
                facecolor=colours[v],
                edgecolor="#333333" if v in thick else "#999999",
                linewidth=2.0 if v in thick else 0.8,
                zorder=3,
            )
        )
        above = 0.11 if details else 0.0
        for text, shift, size in ((name, above, 9.0), (details, -0.12, 7.5)):
            axes.text(
                x,
                y + shift,
                text,
                ha="center",
                va="center",
                fontsize=size * min(1.0, _LETTERS / max(len(text) * size / 9.0, 1.0)),
                zorder=4,
            )


def _values(parameters: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in parameters.items())


def _legend(axes: Any, genome: Genome, bottom: float) -> None:
    """The families that occur, below the graph."""
    from matplotlib.patches import Rectangle

    families = sorted({ops.get(node.operator).family for node in genome.nodes})
    for k, family in enumerate(families):
        x, y = 0.25 + (k % _KEYS) * 1.3, bottom - (k // _KEYS) * 0.22
        colour = COLOURS.get(family, COLOURS["other"])
        axes.add_patch(
            Rectangle((x, y - 0.06), 0.16, 0.12, facecolor=colour, edgecolor="#999999", lw=0.6)
        )
        axes.text(x + 0.22, y, family, va="center", fontsize=7.5)
