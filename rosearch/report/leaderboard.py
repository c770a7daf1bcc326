"""The candidates of a search from best to worst, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rosearch.evolve import SearchResult
from rosearch.evolve.study.trials import comparable
from rosearch.optional import try_import
from rosearch.report.quantities import Quantities


def leaderboard(search: SearchResult) -> Any:
    """A ``pandas.DataFrame`` of the candidates with a score, the best first; the index is the rank.

    Its columns are ``number``, then everything that was measured, what was optimised first, then
    ``feasible``, ``on_front``, ``state``, ``rung`` with fidelity, and ``key``. Values are in the
    units of the metrics. Candidates that were stopped at a lower rung stand below those of a
    higher one, since their scores cannot be compared.

    Args:
        search: The study.

    Raises:
        MissingResourceError: pandas is not installed.
    """
    pd = try_import("pandas", "leaderboard()", "pandas")
    quantities = Quantities(search)
    front = {trial.number for trial in search.front}
    rows: list[Mapping[str, Any]] = []
    for trial in comparable(search.trials):
        values = quantities.of(trial)
        rung = {} if trial.rung is None else {"rung": trial.rung}
        rows.append(
            {"number": trial.number}
            | {m.name: values.get(m.name) for m in quantities.all}
            | ({} if trial.score is None else {"feasible": trial.score.feasible})
            | {"on_front": trial.number in front, "state": trial.state, **rung, "key": trial.key}
        )
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="rank"))
