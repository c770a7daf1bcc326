#!/usr/bin/env bash
# Training a WordPiece or a Unigram vocabulary twice on the same texts, each time in a new
# process, gives two vocabularies: the ids differ, and with WordPiece some pieces differ too, so
# that a word may be cut in another way. BPE without a prefix for continued pieces gives the same
# vocabulary each time. One thread (RAYON_NUM_THREADS=1) does not help, and the trainers take no
# seed.
# Versions: tokenizers 0.23.3 (0.22.2 too).
# Why it matters: a student with a vocabulary of its own cannot be trained again from the seed,
# and its weights fit no tokenizer but the one that was saved. Keep tokenizer.json with every
# result.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet tokenizers==0.23.3
cat > "$folder/train.py" <<'EOF'
import json
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXTS = [
    "the cat sat on the mat near the dog and the dogs ran in wonderful weather",
    "a film of wonderful beauty and terrible boredom",
    "acting action actor act acted",
    "hopeless helpless endless restless",
]
unknown = {"special_tokens": ["[UNK]"], "show_progress": False}
kinds = {
    "WordPiece": (
        models.WordPiece(unk_token="[UNK]"),
        trainers.WordPieceTrainer(vocab_size=80, **unknown),
    ),
    "Unigram": (
        models.Unigram(),
        trainers.UnigramTrainer(vocab_size=60, unk_token="[UNK]", **unknown),
    ),
    "BPE": (models.BPE(), trainers.BpeTrainer(vocab_size=80, show_progress=False)),
}
model, trainer = kinds[sys.argv[1]]
tokenizer = Tokenizer(model)
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.train_from_iterator(TEXTS * 3, trainer)
vocabulary = tokenizer.get_vocab()
print(json.dumps([sorted(vocabulary, key=vocabulary.get), sorted(vocabulary)]))
EOF
cat > "$folder/compare.py" <<'EOF'
import json
import os
import subprocess
import sys

seen = {}
for kind in ("WordPiece", "Unigram", "BPE"):
    runs = [
        json.loads(
            subprocess.run(
                [sys.executable, sys.argv[1], kind],
                env=os.environ | {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
        )
        for _ in range(12)
    ]
    same = [len({json.dumps(run[part]) for run in runs}) == 1 for part in (0, 1)]
    seen[kind] = same
    print(f"{kind:10} 12 runs: same ids {same[0]}, same pieces {same[1]}")
if seen != {"WordPiece": [False, False], "Unigram": [False, True], "BPE": [True, True]}:
    sys.exit("the vocabularies differ in another way than was found")
EOF
"$folder/venv/bin/python" "$folder/compare.py" "$folder/train.py"
