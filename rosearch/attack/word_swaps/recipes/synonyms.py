"""Attacks by synonyms, with TextAttack's thresholds as defaults."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rosearch.attack.base import attacks
from rosearch.attack.word_swaps.attack import WordSwapAttack
from rosearch.attack.word_swaps.constraints import NoRepeat, NoStopWords
from rosearch.attack.word_swaps.searches import GreedyWordSwap
from rosearch.attack.word_swaps.substitutions import WordNetSynonyms


@attacks.register("pwws")
class PWWS(WordSwapAttack):
    """Synonyms for the words that matter most.

    Ren, Deng, He, Che: "Generating Natural Language Adversarial Examples through Probability
    Weighted Word Saliency", ACL 2019, as TextAttack's recipe builds it: WordNet synonyms, without
    the paper's exchange of named entities, which needs the labels of the whole data set.

    Args:
        stop_words: Words left alone, compared with case. Default: NLTK's English list.
        wordnet: Folder of WordNet's database. Default: where it is usually found.

    Raises:
        MissingResourceError: WordNet is not on this machine.
    """

    def __init__(
        self,
        *,
        stop_words: Iterable[str] | None = None,
        wordnet: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(
            WordNetSynonyms(wordnet=wordnet),
            [NoRepeat(), NoStopWords(stop_words)],
            GreedyWordSwap("weighted-saliency"),
        )
