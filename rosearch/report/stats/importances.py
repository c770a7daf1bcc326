"""Random forests that predict measures from descriptors, and permutation importances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rosearch.report.stats.records import Forest, Importance
from rosearch.report.stats.table import Floats, load

_FOLDS = 5
_ROUNDS = 2
_SHUFFLES = 5
_RESAMPLES = 2000


def importances(
    descriptors: Mapping[str, Floats],
    measure: str,
    values: Floats,
    *,
    trees: int,
    confidence: float,
    seed: int,
) -> tuple[Forest, list[Importance]]:
    """A random forest's score on held-out architectures, and its permutation importances there.

    Two rounds of five-fold cross-validation. Importances (Breiman 2001, "Random Forests", section
    10) are measured on the held-out fold, so that overfitting does not count. Their intervals and
    p-values come from Student's t over the architectures' increases in squared error (the paired
    test of Watson and Wright 2021, "Testing conditional independence in supervised learning
    algorithms", section 3); they are conditional on the fitted forests.

    Args:
        descriptors: Values of shape (n,) by name.
        measure: Name of ``values`` in the results.
        values: The target, shape (n,), not constant.
        trees: Trees of a forest.
        confidence: Level of the intervals.
        seed: Seed of the folds, the forests and the permutations.

    Returns:
        The score, and an importance for each descriptor; none where the forest does not predict.
        p-values are not corrected.
    """
    ensemble, selection = load("sklearn.ensemble"), load("sklearn.model_selection")
    inspection, stats = load("sklearn.inspection"), load("scipy.stats")
    names, n = list(descriptors), len(values)
    data = np.stack(list(descriptors.values()), axis=1)
    folds = selection.RepeatedKFold(n_splits=_FOLDS, n_repeats=_ROUNDS, random_state=seed)
    splits, fitted, predicted = list(folds.split(data)), [], np.zeros(n)
    for train, test in splits:
        forest = ensemble.RandomForestRegressor(n_estimators=trees, random_state=seed)
        fitted.append(forest.fit(data[train], values[train]))
        predicted[test] += forest.predict(data[test]) / _ROUNDS
    quality = _quality(measure, values, predicted, confidence, seed)
    if not quality.predicts:
        return quality, []
    falls = np.zeros((n, len(names)))
    for forest, (_, test) in zip(fitted, splits, strict=True):
        options = {"scoring": row_scores, "n_repeats": _SHUFFLES, "random_state": seed}
        found = inspection.permutation_importance(forest, data[test], values[test], **options)
        for row, place in enumerate(test):
            falls[place] += found[str(row)].importances_mean / (_ROUNDS * values.var())
    mean, error = falls.mean(axis=0), falls.std(axis=0, ddof=1) / np.sqrt(n)
    reach = stats.t.ppf((1 + confidence) / 2, n - 1) * error
    ratio = np.divide(mean, error, out=np.zeros_like(mean), where=error > 0)
    return quality, [
        Importance(
            name=name,
            measure=measure,
            estimate=float(mean[i]),
            low=float(mean[i] - reach[i]),
            high=float(mean[i] + reach[i]),
            p=float(stats.t.sf(ratio[i], n - 1)),
            n=n,
        )
        for i, name in enumerate(names)
    ]


def row_scores(forest: Any, data: Floats, values: Floats) -> dict[str, float]:
    """Negative squared error of each row, by its index.

    ``forest.predict`` starts threads in each of thousands of small calls; calling the trees one
    after the other gives the same numbers in a tenth of the time.
    """
    rows = np.ascontiguousarray(data, dtype=np.float32)
    predicted = np.mean([tree.tree_.predict(rows).ravel() for tree in forest.estimators_], axis=0)
    errors = (values - predicted) ** 2
    return {str(row): -float(error) for row, error in enumerate(errors)}


def _quality(
    measure: str, values: Floats, predicted: Floats, confidence: float, seed: int
) -> Forest:
    """R² of held-out predictions, with a percentile bootstrap interval over architectures."""
    n, errors = len(values), (values - predicted) ** 2
    index = np.random.default_rng(seed).integers(n, size=(_RESAMPLES, n))
    missed = errors[index].mean(axis=1)
    spread = values[index].var(axis=1)
    scores = 1 - missed[spread > 0] / spread[spread > 0]
    low, high = np.quantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    r2 = float(1 - errors.mean() / values.var())
    return Forest(measure=measure, r2=r2, low=float(low), high=float(high), n=n)
