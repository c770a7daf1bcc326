"""Speed of the spelling encoding on movie-review sentences, on one core.

Prints one Markdown table, without and with the English dictionary: words a second once words are
known, milliseconds for an unknown word (random typos of words), and seconds to fit.

    python benchmarks/encoding_speed.py --repeats 5
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial

from material import materials
from transformers import AutoTokenizer

from rosearch.attack.word_swaps.substitutions.characters import CharacterEdits
from rosearch.encode import Spelling
from rosearch.encode.dictionaries import DICTIONARIES
from rosearch.seeding import generator
from rosearch.words import words_of

SENTENCES = 8000
UNKNOWN = 5000
LONG = 7
"""Letters from which words get two typos."""
ROWS = (
    "known words, words a second",
    "a word with one typo, ms",
    f"a word of {LONG} letters and more with two typos, ms",
    "fitting, s",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="times each is measured; least wins")
    repeats = parser.parse_args().repeats
    reviews = materials.movie_reviews()
    train, texts = reviews.select(range(SENTENCES)), reviews.texts[SENTENCES:]
    tokenizer = AutoTokenizer.from_pretrained(materials.minilm())
    words = [word for text in texts for word in words_of(text)]
    columns = []
    for dictionary in DICTIONARIES:
        fit = partial(Spelling.fit, train, tokenizer=tokenizer, dictionary=dictionary)
        fitting, spelling = seconds(fit, repeats), fit()
        spelling(texts)  # from here on all words are known
        known = len(words) / seconds(partial(spelling, texts), repeats)
        cells = [f"{known:,.0f}"]
        for edits, shortest in ((1, 1), (2, LONG)):
            unknown = typos([w for w in words if len(w) >= shortest], spelling, edits)
            unmet = min(first_meeting(spelling, unknown) for _ in range(repeats)) / len(unknown)
            cells.append(f"{1e3 * unmet:.3f}")
        columns.append([*cells, f"{fitting:.1f}"])
    print(f"{SENTENCES} sentences, {UNKNOWN} typos, {platform.machine()}, least of {repeats}\n")
    print(f"| dictionary | {' | '.join(DICTIONARIES)} |\n|---|--:|--:|")
    for name, cells in zip(ROWS, zip(*columns, strict=True), strict=True):
        print(f"| {name} | {' | '.join(cells)} |")


def typos(words: list[str], spelling: Spelling, edits: int) -> list[str]:
    """Random edits of words that make unknown words of them."""
    parts, rng = CharacterEdits().parts, generator(0, "typos")
    found: list[str] = []
    while len(found) < UNKNOWN:
        word = words[rng.integers(len(words))]
        for _ in range(edits):
            edit = parts[rng.integers(len(parts))]
            word = next(iter(edit.propose(word, rng.random(edit.draws).tolist())), word)
        found += [word] if word.lower() not in spelling.learnt["counts"] else []
    return found


def first_meeting(spelling: Spelling, words: list[str]) -> float:
    """Seconds in which an encoding that has met no word yet reads ``words``."""
    fresh = Spelling.from_dict(spelling.to_dict())
    fresh("goood xterrrible")  # makes what is derived from the learnt counts
    return seconds(lambda: list(map(fresh.word, words)), 1)


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Least wall time of some calls."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return min(times)


if __name__ == "__main__":
    main()
