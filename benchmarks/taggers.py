"""Part-of-speech taggers as the part-of-speech constraint asks them, on a tagged corpus.

Prints one Markdown table: the percentage of nouns, verbs, adjectives and adverbs that get their
tag, with the words as they are, in title case and in capitals, for each tagger that is installed.

    python benchmarks/taggers.py en_ewt-ud-test.conllu  # github.com/UniversalDependencies
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

from rosearch.attack import Tagger
from rosearch.attack.resources.taggers import Backend
from rosearch.errors import MissingResourceError
from rosearch.seeding import generator

BEFORE, AFTER = 4, 3  # words that the constraint gives a tagger
TAGS = {"NOUN": "NOUN", "PROPN": "NOUN", "VERB": "VERB", "ADJ": "ADJ", "ADV": "ADV"}
CASES: dict[str, Callable[[str], str]] = {
    "as written": str, "title case": str.title, "capitals": str.upper,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path, help="a file in the format CoNLL-U")
    parser.add_argument("--words", type=int, default=5000, help="how many words, at random")
    given = parser.parse_args()
    words = [
        (sentence[max(k - BEFORE, 0) : k + AFTER + 1], min(k, BEFORE))
        for sentence in sentences(given.corpus)
        for k, (word, tag) in enumerate(sentence)
        if tag in TAGS and word.isalpha()
    ]
    chosen = generator(0).choice(len(words), min(given.words, len(words)), replace=False)
    print(f"{len(chosen)} words of {given.corpus.name}\n")
    print(f"| tagger | {' | '.join(CASES)} |\n|---|--:|--:|--:|")
    for backend in get_args(Backend)[1:]:
        try:
            tagger = Tagger(backend, cache=False)
        except MissingResourceError:
            continue
        shares = []
        for case in CASES.values():
            asked = [words[k] for k in chosen]
            tags = tagger.answer([(*(case(word) for word, _ in part), k) for part, k in asked])
            right = [tag == TAGS[part[k][1]] for (part, k), tag in zip(asked, tags, strict=True)]
            shares.append(f"{100 * sum(right) / len(right):.1f}")
        print(f"| {tagger.release} | {' | '.join(shares)} |")


def sentences(path: Path) -> Iterator[list[tuple[str, str]]]:
    """Yield the words of each sentence with their universal tags."""
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        rows = [line.split("\t") for line in block.splitlines() if not line.startswith("#")]
        yield [(row[1], row[3]) for row in rows if row[0].isdigit()]


if __name__ == "__main__":
    main()
