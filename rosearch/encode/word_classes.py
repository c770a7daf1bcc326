"""Word classes: words that substitutions exchange and that say much the same about the labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rosearch.checks import positive
from rosearch.encode.base import Evidence, encodings
from rosearch.encode.exchanges import MergedWords
from rosearch.encode.linear_scores import linear_scores
from rosearch.encode.total_variation import smoothed
from rosearch.parameters import Choice

_EQUAL = 1e-3
"""Distance of scores, in logits, below which they count as equal; about what smoothing leaves."""

_UNSEEN = 0.01
"""Weight, in occurrences, of a word that the training texts do not contain."""


@encodings.register("word_classes")
class WordClasses(MergedWords):
    r"""Merges words that substitutions exchange where that costs little of what the labels need.

    A linear model of the labels, or of the answers of a model where they are given, has a score
    :math:`s_w` for each word (of more than two classes a vector). The scores are smoothed over the
    graph of exchanges by total variation (Rudin, Osher and Fatemi 1992; on graphs the fused lasso
    of Tibshirani et al. 2005):

    .. math:: \min_x \sum_w n_w |x_w - s_w|^2 / 2
              + \lambda \sum_{u, v} f_{uv} |x_u - x_v|

    where :math:`n_w` are the occurrences of a word, :math:`f_{uv}` those at which ``u`` may be
    exchanged for ``v`` or ``v`` for ``u``, and :math:`\lambda` is ``strength``. An attack puts one
    replacement in the place of a word, however many there are; so the replacements of a word share
    its weight, which is that of the average number of replacements. Words that exchanges connect
    and whose smoothed scores are equal are a class, and are read as its most frequent word.

    It does not stop exchanges between classes, which it keeps where the labels need them, nor words
    that the exchanges do not contain, such as misspelt ones.
    """

    source = "Total variation on the graph of exchanges; Rudin, Osher and Fatemi 1992"
    choices = {"strength": Choice(0.05, 0.1, 0.2, 0.5, default=0.1, check=positive)}

    @classmethod
    def representatives(
        cls,
        evidence: Evidence,
        settings: Mapping[str, Any],
        exchanges: Mapping[tuple[str, str], float],
    ) -> Mapping[str, str]:
        """Return the most frequent word of each word's class."""
        counts = evidence.counts
        words = list(dict.fromkeys(word for pair in exchanges for word in pair))
        if len(evidence.train.classes) < 2:
            return {}
        scores = linear_scores(evidence.train.texts, evidence.targets)
        neutral = np.zeros(evidence.targets.shape[1] - 1)
        graph = _weighted(exchanges)
        rows = {word: row for row, word in enumerate(words)}
        edges = np.array([[rows[u], rows[v]] for u, v in graph])
        x = smoothed(
            np.array([scores.get(word, neutral) for word in words]),
            np.array([counts[word] or _UNSEEN for word in words], dtype=float),
            edges,
            settings["strength"] * np.array(list(graph.values())),
        )
        equal = np.linalg.norm(x[edges[:, 0]] - x[edges[:, 1]], axis=1) < _EQUAL
        found: dict[str, str] = {}
        for members in _connected(edges[equal]):
            names = sorted(words[row] for row in members)
            found |= dict.fromkeys(names, max(names, key=counts.__getitem__))
        return found


def _connected(edges: np.ndarray) -> Iterable[set[int]]:
    # Imported here because it takes half a second, which reading encoded texts does not need.
    import networkx as nx

    components: Iterable[set[int]] = nx.connected_components(nx.Graph(edges.tolist()))
    return components


def _weighted(exchanges: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Return the weights of the edges, each in one direction."""
    possible: dict[str, list[float]] = defaultdict(list)
    for (word, _), count in exchanges.items():
        possible[word].append(count)
    sums = {word: sum(counts) for word, counts in possible.items()}
    occurrences = {word: max(counts) for word, counts in possible.items()}
    average = sum(sums.values()) / sum(occurrences.values())
    weights: dict[tuple[str, str], float] = defaultdict(float)
    for (word, other), count in exchanges.items():
        edge = (word, other) if word < other else (other, word)
        weights[edge] += average * occurrences[word] * count / sums[word]
    return weights
