#!/usr/bin/env bash
# TextBlob's PatternTagger never looks at the neighbours of a word. The package brings 290
# contextual rules, and the docstring of find_tags says that all words are improved with them, but
# the parser does not pass them on. "run" is a verb in "a good run", "love" a noun in "I love this
# film". Applied by hand, the rules tell apart all five words tried here.
# Versions: textblob 0.20.1 (PatternTagger).
# Why it matters: parts of speech limit the substitutes of attacks. With this tagger the
# constraint compares two entries of a list of words, whatever window or sentence is passed, and
# keeps verbs where a noun stood.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet textblob==0.20.1
"$folder/venv/bin/python" - <<'EOF'
import sys

from textblob.en import parser
from textblob.taggers import PatternTagger

tagger = PatternTagger()
rules = parser.lexicon.context
pairs = {
    "run": ("they run a shop", "it was a good run"),
    "love": ("I love this film", "a film about love"),
    "walk": ("they walk home", "a long walk home"),
    "record": ("to record a song", "a new record"),
    "act": ("he can act", "an act of love"),
}


def tagged(sentence):
    return [[word, tag] for word, tag in tagger.tag(sentence, tokenize=False)]


seen = {}
for word, sentences in pairs.items():
    ours = [dict(tagged(sentence))[word] for sentence in sentences]
    ruled = [dict(rules.apply(tagged(sentence)))[word] for sentence in sentences]
    seen[word] = ours, ruled
    print(f"{word:6} in {sentences}: {ours}; with the {len(rules)} rules {ruled}")
same = sum(ours[0] == ours[1] for ours, _ in seen.values())
told_apart = sum(ruled[0] != ruled[1] for _, ruled in seen.values())
print(f"{same} of {len(pairs)} words tagged alike; with the rules {told_apart} are told apart")
if (len(rules), same, told_apart) != (290, 5, 5):
    sys.exit("the tags differ from those that were found")
EOF
