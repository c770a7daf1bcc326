"""Rank correlations of descriptors with measures, plain and partial, with bootstrap intervals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from rosearch.report.stats.records import Effect, Relation
from rosearch.report.stats.table import Floats, load

Correction = Literal["holm", "fdr"]
E = TypeVar("E", bound=Effect)

COLLINEAR = 0.95
"""Absolute rank correlation above which two descriptors are tested as one."""

ZERO = 1e-10
"""Share of the largest singular value up to which one is a rounding error."""

_BATCH = 64
"""Resamples at a time, so that their ranks stay in the processor's cache."""

RARE = 5
"""Minimum number of architectures that differ from a descriptor's most frequent value."""


@dataclass(frozen=True)
class Plan:
    """One measure to relate descriptors to.

    Attributes:
        measure: Its name in the results.
        column: Its column in the table.
        given: Columns that are held fixed.
        given_names: What is held fixed in the results, where one name stands for several columns.
            Default: ``given``.
    """

    measure: str
    column: str
    given: tuple[str, ...] = ()
    given_names: tuple[str, ...] = ()


def usable(columns: Mapping[str, Floats]) -> tuple[list[str], dict[str, str]]:
    """Descriptors that vary enough to be tested, and the reasons why the others do not."""
    names, unused = [], {}
    for name, column in columns.items():
        others = len(column) - int(np.unique(column, return_counts=True)[1].max())
        if others == 0:
            unused[name] = f"is {column[0]:g} for every architecture"
        elif others < RARE:
            unused[name] = f"differs from its most frequent value in only {others} architectures"
        else:
            names.append(name)
    return names, unused


def collinear(names: Sequence[str], columns: Mapping[str, Floats]) -> list[tuple[str, ...]]:
    """Groups of descriptors that are pairwise correlated beyond ±0.95 in rank.

    Complete-linkage clustering of one minus the absolute correlation. The first of a group is
    the first in order, except that ``parameters`` comes before all others.
    """
    if len(names) < 2:
        return [(name,) for name in names]
    hierarchy = load("scipy.cluster.hierarchy")
    ordered = sorted(names, key=lambda name: name != "parameters")
    distance = 1 - np.abs(_matrix(np.stack([columns[name] for name in ordered], axis=1)))
    condensed = np.clip(distance[np.triu_indices(len(ordered), 1)], 0, None)
    labels = hierarchy.fcluster(
        hierarchy.linkage(condensed, "complete"), 1 - COLLINEAR, criterion="distance"
    )
    members = np.array(ordered)
    groups = [tuple(members[labels == label].tolist()) for label in np.unique(labels)]
    return sorted(groups, key=lambda group: min(map(list(names).index, group)))


def relate(
    descriptors: Mapping[str, Floats],
    measures: Mapping[str, Floats],
    plans: Sequence[Plan],
    *,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> list[list[Relation]]:
    """Relate each descriptor to the measure of each plan; p-values are not corrected.

    A partial rank correlation is the correlation of the residuals of the ranks after linear
    regression on the ranks of what is held fixed. Its p-value comes from Student's t with n - 2 - k
    degrees of freedom for k linearly independent columns held fixed, a close approximation from
    n = 20. Intervals are bias-corrected and accelerated bootstrap intervals (Efron 1987, "Better
    Bootstrap Confidence Intervals"), in which every resample is ranked anew. A resample in which a
    descriptor does not vary counts as a correlation of 0.

    Args:
        descriptors: Values of shape (n,) by name.
        measures: The columns that the plans name, of the same shape.
        plans: What to relate the descriptors to.
        resamples: Of the bootstrap.
        confidence: Of the intervals.
        rng: Draws the resamples.
    """
    if not descriptors or not plans:
        return [[] for _ in plans]
    count = len(descriptors)
    place = {name: count + i for i, name in enumerate(measures)}
    data = np.stack([*descriptors.values(), *measures.values()], axis=1)
    n = len(data)
    targets = [(place[plan.column], [place[name] for name in plan.given]) for plan in plans]

    def statistic(index: npt.NDArray[np.int64], axis: int = -1) -> Floats:  # noqa: ARG001 - scipy names it
        """Correlations ``(plans, descriptors, resamples)`` for rows ``(resamples, n)``."""
        matrix = _matrix(data[index])
        found = [partial(matrix, given)[..., :count, target] for target, given in targets]
        return np.moveaxis(np.stack(found), 1, -1) if index.ndim > 1 else np.stack(found)

    estimate = statistic(np.arange(n))
    low, high = _intervals(statistic, n, estimate, resamples, confidence, rng)
    tables = []
    for k, (plan, (_, given)) in enumerate(zip(plans, targets, strict=True)):
        # Descriptors that are held fixed, or nearly collinear with what is, are not tested.
        matrix = _matrix(data)
        left = np.diag(_residual(matrix, given))
        within = matrix[np.ix_(given, given)]
        fixed = np.linalg.matrix_rank(within, tol=ZERO, hermitian=True) if given else 0
        p = _p_values(estimate[k], n - 2 - int(fixed))
        tables.append(
            [
                Relation(
                    name=name,
                    measure=plan.measure,
                    given=plan.given_names or plan.given,
                    estimate=float(estimate[k, i]),
                    low=float(low[k, i]),
                    high=float(high[k, i]),
                    p=float(p[i]),
                    n=n,
                )
                for i, name in enumerate(descriptors)
                if left[i] >= 1 - COLLINEAR**2
            ]
        )
    return tables


def partial(matrix: Floats, given: Sequence[int]) -> Floats:
    """Correlations with some columns held fixed.

    Args:
        matrix: Correlations of shape (..., columns, columns).
        given: The columns held fixed.

    Returns:
        Partial correlations of the same shape; 0 where a column has no variance left.
    """
    if not given:
        return matrix
    rest = _residual(matrix, given)
    variance = np.diagonal(rest, axis1=-2, axis2=-1)
    scale = np.where(variance > 1e-10, 1 / np.sqrt(np.maximum(variance, 1e-10)), 0.0)
    return np.clip(rest * scale[..., :, None] * scale[..., None, :], -1, 1)


def residuals(values: Floats, held: Floats) -> Floats:
    """What linear regression on some columns leaves of a measure, the same on every machine.

    Processors round sums differently, and a tree with two equally good splits takes the other one
    for a difference in the last digit. So residuals are rounded, to a billionth of the measure's
    range or so.

    Args:
        values: The measure, shape (n,).
        held: The columns, shape (n, columns); they may be dependent.
    """
    spread = float(np.ptp(values))
    if spread <= 1e-12 * float(np.abs(values).max()):
        return np.zeros_like(values)
    columns = np.column_stack([np.ones(len(values)), held])
    # Of one length, so that none of them is taken for rounding errors beside a larger one.
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0), np.finfo(float).tiny)
    left = values - columns @ np.linalg.lstsq(columns, values, rcond=ZERO)[0]
    # Shares of texts would lie between two steps of a rational size.
    step = 1e-9 * math.sqrt(2) * spread
    return np.asarray(np.rint(left / step) * step)


def corrected(records: Sequence[E], method: Correction) -> tuple[E, ...]:
    """The records with their p-values corrected for all tests among them.

    Args:
        records: The records.
        method: ``"holm"`` (Holm 1979, family-wise error rate) or ``"fdr"`` (Benjamini and Hochberg
            1995, false discovery rate).
    """
    if not records:
        return ()
    p = np.array([record.p for record in records])
    if method == "fdr":
        adjusted = load("scipy.stats").false_discovery_control(p, method="bh")
    else:
        order = np.argsort(p, kind="stable")
        stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
        adjusted = np.empty_like(p)
        adjusted[order] = np.minimum(stepped, 1)
    return tuple(replace(r, p_corrected=float(a)) for r, a in zip(records, adjusted, strict=True))


def _matrix(values: Floats) -> Floats:
    """Spearman correlations of columns ``(..., n, columns)``, 0 where one does not vary."""
    columns = np.ascontiguousarray(np.swapaxes(values, -1, -2))
    ranks = load("scipy.stats").rankdata(columns, axis=-1)
    centred = ranks - ranks.mean(axis=-1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    unit = centred / np.where(norm > 0, norm, 1.0)
    return np.asarray(unit @ np.swapaxes(unit, -1, -2))


def _residual(matrix: Floats, given: Sequence[int]) -> Floats:
    """Covariances of standardised columns that are left when ``given`` is held fixed."""
    fixed = list(given)
    cross = matrix[..., fixed]
    # What is held fixed may be dependent, as columns for all levels of one factor are. The default
    # cutoff, a few rounding errors, keeps or drops them as the machine rounds.
    inverse = np.linalg.pinv(cross[..., fixed, :], rcond=ZERO, hermitian=True)
    return np.asarray(matrix - cross @ inverse @ np.swapaxes(cross, -1, -2))


def _intervals(
    statistic: Callable[..., Floats],
    n: int,
    estimate: Floats,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    with warnings.catch_warnings():  # non-finite ends are replaced below
        warnings.simplefilter("ignore")
        result = load("scipy.stats").bootstrap(
            (np.arange(n),),
            statistic,
            vectorized=True,
            batch=_BATCH,
            n_resamples=resamples,
            confidence_level=confidence,
            method="BCa",
            rng=rng,
        )
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    plain = np.quantile(result.bootstrap_distribution, tails, axis=-1)
    low, high = np.where(np.isfinite(result.confidence_interval), result.confidence_interval, plain)
    # The interval holds the estimate, also where ties make the resamples fall to one side.
    return np.minimum(low, estimate), np.maximum(high, estimate)


def _p_values(correlations: Floats, freedom: int) -> Floats:
    rest = np.maximum(1 - correlations**2, 0)
    with np.errstate(divide="ignore"):  # infinite for a perfect correlation
        t = np.abs(correlations) * np.sqrt(freedom / rest)
    return np.asarray(2 * load("scipy.stats").t.sf(t, freedom))
