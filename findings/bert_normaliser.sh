#!/usr/bin/env bash
# A BERT tokenizer with a normaliser of its own loses it on loading, though the saved
# tokenizer.json holds it: transformers 5 builds the normaliser of a BertTokenizer anew from
# do_lower_case and the like. 4.57.6 reads the file as it is. The generic TokenizersBackend reads
# it rightly in 5, too.
# Versions: transformers 5.23.0 and 4.57.6.
# Why it matters: normalisers are where defences against changed letters live (look-alikes, digits
# for letters). The defended model is saved, loaded, and undefended; a student distilled with 4.57
# gets other ids in 5.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/round_trip.py" <<'EOF'
import json
import sys
from pathlib import Path

import transformers
from tokenizers.normalizers import BertNormalizer, Replace, Sequence
from transformers import AutoTokenizer, BertTokenizerFast

transformers.logging.set_verbosity_error()
folder = Path(sys.argv[1]) / transformers.__version__
folder.mkdir()
pieces = "[PAD] [UNK] [CLS] [SEP] [MASK] good go ##od bad g ##0 ##d ##o".split()
vocabulary = folder / "vocab.txt"
vocabulary.write_text("\n".join(pieces))
if transformers.__version__.startswith("4"):
    tokenizer = BertTokenizerFast(str(vocabulary))
else:
    tokenizer = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(pieces)})
tokenizer.backend_tokenizer.normalizer = Sequence([Replace("0", "o"), BertNormalizer()])
before = tokenizer.tokenize("g00d")
tokenizer.save_pretrained(folder / "saved")
saved = json.loads((folder / "saved" / "tokenizer.json").read_text())["normalizer"]["type"]
after = AutoTokenizer.from_pretrained(folder / "saved").tokenize("g00d")
print(f"{transformers.__version__}: {before}, in tokenizer.json {saved}, loaded again {after}")
expected = ["good"] if transformers.__version__.startswith("4") else ["g", "##0", "##0", "##d"]
if (before, saved, after) != (["good"], "Sequence", expected):
    sys.exit("the tokens differ from those that were found")
EOF
for version in 5.23.0 4.57.6; do
  python3 -m venv "$folder/$version-venv"
  "$folder/$version-venv/bin/python" -m pip install --quiet "transformers==$version"
  HF_HUB_OFFLINE=1 "$folder/$version-venv/bin/python" -W ignore "$folder/round_trip.py" "$folder" \
    2> "$folder/log" || { cat "$folder/log" >&2; exit 1; }
done
