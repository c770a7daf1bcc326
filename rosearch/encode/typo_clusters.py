"""Robust Encodings: clusters of words that share typos (Jones, Jia, Raghunathan and Liang 2020)."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from rosearch.checks import share, whole_number
from rosearch.encode.base import Encoding, Evidence, encodings
from rosearch.encode.look_alikes import UNKNOWN, is_latin_word, is_plain_word, lower_case
from rosearch.encode.stability import edits_inside, single_typos
from rosearch.parameters import Choice
from rosearch.words import words_of

_PRIOR = 1.0
"""Texts with average classes that each word's scores are smoothed with."""

_DISTANCE = 10.0
"""Mean squared distance of two words after scaling."""


@encodings.register("typo_clusters")
class TypoClusters(Encoding):
    r"""Reads each frequent word as the most frequent one of its cluster.

    Robust Encodings (Jones, Jia, Raghunathan and Liang, ACL 2020). A cluster's words share typos,
    so that typos of one are read as the same word more often. Clusters are merged as long as that
    lowers :math:`\gamma \cdot \text{infidelity} + (1 - \gamma) \cdot \text{instability}`, both
    weighted by the words' frequencies: the squared distance of a word from its cluster's mean, and
    the number of codes that typos of a word reach. A typo that is no frequent word is read as the
    most frequent word that has it.

    The paper measures distances of GloVe vectors. Here a word's vector is its class scores: the
    mean of the ``targets`` of the texts that hold it, smoothed, and scaled so that the mean squared
    distance of two words is 10.
    """

    choices = {
        "gamma": Choice(0.1, 0.3, 0.5, default=0.3, check=share),
        "method": Choice("agglomerative", "components"),
        "words": Choice(10_000, check=whole_number),
        "unknown": Choice("keep", "unk"),
    }
    """``gamma``: weight of fidelity. ``method``: ``"components"`` makes one cluster of all words
    that are linked by shared typos, whatever ``gamma``. ``words``: number of frequent words.
    ``unknown``: whether other words stay, or are all read as "unk", as in the paper."""

    level = "characters"
    source = "Jones, Jia, Raghunathan and Liang (ACL 2020)"

    @classmethod
    def learn(cls, evidence: Evidence, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Cluster the most frequent words of the training texts.

        Returns:
            ``words``: the most frequent words, most frequent first; ``codes``: of each, the place
            in ``words`` of the one that it is read as.
        """
        counts = evidence.counts
        words = sorted(counts, key=lambda word: (-counts[word], word))[: settings["words"]]
        owners = _owners(words)
        if settings["method"] == "components":
            clusters: Iterable[Collection[int]] = nx.connected_components(nx.Graph(owners))
        else:
            weights = np.array([counts[word] for word in words]) / max(1, counts.total())
            vectors = _vectors(words, evidence)
            clusters = _agglomerated(owners, weights, vectors, float(settings["gamma"]))
        codes = {word: min(cluster) for cluster in clusters for word in cluster}
        return {"words": words, "codes": [codes[place] for place in range(len(words))]}

    def word(self, word: str) -> str:
        codes, lower = self._codes, lower_case(word)
        if lower in codes:
            return codes[lower]
        if len(lower) <= self._longest + 1:
            ranks = self._ranks
            near = edits_inside(lower, self._letters) & ranks.keys()
            meant = [known for known in near if lower in single_typos(known)]
            if meant:
                return codes[min(meant, key=ranks.__getitem__)]
        if self.settings["unknown"] != "keep" and is_latin_word(lower):
            return UNKNOWN
        return lower if is_plain_word(lower) else word

    @cached_property
    def _codes(self) -> Mapping[str, str]:
        words = self.learnt["words"]
        return {word: words[code] for word, code in zip(words, self.learnt["codes"], strict=True)}

    @cached_property
    def _ranks(self) -> Mapping[str, int]:
        return {word: rank for rank, word in enumerate(self.learnt["words"])}

    @cached_property
    def _letters(self) -> str:
        return "".join(sorted(set().union(*self._codes)))

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._codes), default=0)


def _owners(words: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of a word and one that it is read as with at most one typo, without clusters.

    That is the typo itself, or else the most frequent of the words that have it.
    """
    number = len(words)
    typos = [single_typos(word) for word in words]
    places = np.repeat(np.arange(number), [len(found) for found in typos])
    # Hashes instead of millions of words; they differ from process to process, the pairs do not.
    hashes = np.fromiter((hash(typo) for found in typos for typo in found), np.int64, len(places))
    known, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    owner = places[first]
    own = np.array([hash(word) for word in words], dtype=np.int64)
    found = np.flatnonzero(np.isin(own, known))
    owner[np.searchsorted(known, own[found])] = found
    pairs = np.unique(
        np.concatenate([places * number + owner[inverse], np.arange(number) * (number + 1)])
    )
    return [divmod(pair, number) for pair in pairs.tolist()]


def _vectors(words: Sequence[str], evidence: Evidence) -> np.ndarray:
    """Class scores of each word, ``(words, classes)``."""
    ranks = {word: rank for rank, word in enumerate(words)}
    targets = evidence.targets
    sums, texts = np.zeros((len(words), targets.shape[1])), np.zeros((len(words), 1))
    for text, target in zip(evidence.train.texts, targets, strict=True):
        sides = (text,) if isinstance(text, str) else text
        held = {word for side in sides for word in words_of(side.lower())} & ranks.keys()
        places = [ranks[word] for word in held]
        sums[places] += target
        texts[places] += 1
    scores = (sums + _PRIOR * targets.mean(axis=0)) / (texts + _PRIOR)
    spread = 2 * scores.var(axis=0).sum() if words else 0.0
    scaled: np.ndarray = scores * np.sqrt(_DISTANCE / spread) if spread else scores
    return scaled


def _agglomerated(
    owners: Sequence[tuple[int, int]], weights: np.ndarray, vectors: np.ndarray, gamma: float
) -> Iterable[Collection[int]]:
    """Merge the two clusters that lower the objective most, until no two do."""
    reached: dict[int, set[int]] = defaultdict(set)  # by word, the clusters that typos lead to
    reaching: dict[int, set[int]] = defaultdict(set)  # by cluster, the words
    for word, owner in owners:
        reached[word].add(owner)
        reaching[owner].add(word)
    share_of = weights.tolist()
    members = {place: [place] for place in range(len(weights))}
    mass, mean = dict(enumerate(share_of)), dict(enumerate(vectors))
    merges: list[tuple[float, int, int]] = []

    def consider(a: int, b: int) -> None:
        stability = sum(share_of[word] for word in reaching[a] & reaching[b])
        between = mean[a] - mean[b]
        infidelity = mass[a] * mass[b] / (mass[a] + mass[b]) * float(between @ between)
        change = gamma * infidelity - (1 - gamma) * stability
        if change < 0:
            heapq.heappush(merges, (change, min(a, b), max(a, b)))

    near = (itertools.combinations(sorted(clusters), 2) for clusters in reached.values())
    for a, b in set().union(*near):
        consider(a, b)
    numbers = itertools.count(len(weights))
    while merges:
        _, a, b = heapq.heappop(merges)
        if a not in members or b not in members:
            continue  # merged with another one meanwhile
        merged = next(numbers)
        members[merged] = members.pop(a) + members.pop(b)
        mass[merged] = mass[a] + mass[b]
        mean[merged] = (mass[a] * mean[a] + mass[b] * mean[b]) / mass[merged]
        reaching[merged] = reaching.pop(a) | reaching.pop(b)
        for word in reaching[merged]:
            reached[word] = reached[word] - {a, b} | {merged}
        for other in set().union(*(reached[word] for word in reaching[merged])) - {merged}:
            consider(merged, other)
    return members.values()
