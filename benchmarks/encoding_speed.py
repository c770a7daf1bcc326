"""Speed of the spelling encoding on movie-review sentences, on one core.

Prints one Markdown table: words a second once words are known, milliseconds for an unknown word
(random single typos of words), and seconds to fit.

    python benchmarks/encoding_speed.py --repeats 5
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

from material import materials
from transformers import AutoTokenizer

from rosearch.attack.word_swaps.substitutions.characters import CharacterEdits
from rosearch.encode import Spelling
from rosearch.seeding import generator
from rosearch.words import words_of

SENTENCES = 8000
UNKNOWN = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="times each is measured; least wins")
    repeats = parser.parse_args().repeats
    reviews = materials.movie_reviews()
    train, texts = reviews.select(range(SENTENCES)), reviews.texts[SENTENCES:]
    tokenizer = AutoTokenizer.from_pretrained(materials.minilm())
    fitting = seconds(lambda: Spelling.fit(train, tokenizer=tokenizer), repeats)
    spelling = Spelling.fit(train, tokenizer=tokenizer)
    spelling(texts)  # from here on all words are known
    words = [word for text in texts for word in words_of(text)]
    known = len(words) / seconds(lambda: spelling(texts), repeats)
    unknown = typos(words, spelling)
    unmet = min(first_meeting(spelling, unknown) for _ in range(repeats)) / len(unknown)
    print(
        f"{SENTENCES} sentences, {len(unknown)} typos, {platform.machine()}, least of {repeats}\n"
    )
    print("| | measured | target |\n|---|--:|--:|")
    print(f"| known words, words a second | {known:,.0f} | 200,000 |")
    print(f"| an unknown word, ms | {1e3 * unmet:.3f} | 0.2 |")
    print(f"| fitting, s | {fitting:.1f} | 20 |")


def typos(words: list[str], spelling: Spelling) -> list[str]:
    """Random single edits of words that make unknown words of them."""
    parts, rng = CharacterEdits().parts, generator(0, "typos")
    found: list[str] = []
    while len(found) < UNKNOWN:
        word, edit = words[rng.integers(len(words))], parts[rng.integers(len(parts))]
        proposed = edit.propose(word, rng.random(edit.draws).tolist())
        found += (typo for typo in proposed if typo.lower() not in spelling.learnt["counts"])
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
