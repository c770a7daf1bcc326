"""Options of the benchmarks, and the table at the end."""

from __future__ import annotations

from typing import Any

import pytest
from measuring import SHAPES


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shapes", choices=tuple(SHAPES), default="quick", help="batch shapes of the operators"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "shape" in metafunc.fixturenames:
        shapes = SHAPES[metafunc.config.getoption("--shapes")]
        metafunc.parametrize("shape", shapes, ids=["x".join(map(str, s)) for s in shapes])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """A table of ratios: the peer's least time over ours, and our share of the limit."""
    session = getattr(config, "_benchmarksession", None)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for bench in session.benchmarks if session else ():
        info = bench.extra_info
        if bench.has_error or "side" not in info:
            continue
        row = found.setdefault((info["name"], info["shape"]), {"peer": info["peer"]})
        row[info["pass"], info["side"]] = bench.stats.min
        row[info["pass"], "limit"] = info["limit"]
        if info["pass"] == "forward":
            row |= {"flops": info["flops"], "bytes": info["bytes"]}
    if not found:
        return
    head = ["operator", "shape", "peer", "MFLOP", "MB", "forward", "limit", "both", "limit"]
    table = [head]
    for (name, shape), row in found.items():
        cells = [name, shape, row["peer"]]
        cells += [f"{row.get('flops', 0) / 1e6:.0f}", f"{row.get('bytes', 0) / 1e6:.1f}"]
        for kind in ("forward", "forward and backward"):
            ours, theirs = row.get((kind, "rosearch")), row.get((kind, "peer"))
            cells.append(f"{theirs / ours:.2f}" if ours and theirs else "")
            cells.append(f"{row[kind, 'limit'] / ours:.0%}" if ours else "")
        table.append(cells)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    terminalreporter.section("peer's time over ours, and ours as a share of the limit")
    for row_cells in table:
        cells = [c.ljust(w) for c, w in zip(row_cells[:3], widths, strict=False)]
        cells += [c.rjust(w) for c, w in zip(row_cells[3:], widths[3:], strict=True)]
        terminalreporter.write_line("  ".join(cells))
