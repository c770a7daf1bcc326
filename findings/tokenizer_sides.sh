#!/usr/bin/env bash
# Of three attributes set on a fast tokenizer, saving keeps one: model_max_length comes back,
# padding_side and truncation_side are "right" again. Only what was passed to the constructor, or
# the length, is written to tokenizer_config.json.
# Versions: transformers 5.23.0 (4.57.6 too).
# Why it matters: for decoders as teachers or students the side of the padding is usually set
# after loading. The saved model is then served with padding at the end, where its last token is
# read, and texts lose their other end.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet transformers==5.23.0
cat > "$folder/sides.py" <<'EOF'
import sys

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

transformers.logging.set_verbosity_error()
words = "[PAD] [UNK] a fine film".split()
backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
backend.pre_tokenizer = pre_tokenizers.Whitespace()
passed = {
    "passed to the constructor": {"padding_side": "left", "truncation_side": "left"},
    "set": {},
}
texts = ["film", "a fine a fine film"]
seen = {}
for way, arguments in passed.items():
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", **arguments
    )
    tokenizer.padding_side = tokenizer.truncation_side = "left"
    tokenizer.model_max_length = 3
    tokenizer.save_pretrained(sys.argv[1])
    loaded = AutoTokenizer.from_pretrained(sys.argv[1])
    ids = [one(texts, padding=True, truncation=True)["input_ids"] for one in (tokenizer, loaded)]
    seen[way] = loaded.padding_side, loaded.truncation_side, loaded.model_max_length
    print(f"{way}: loaded again {seen[way]}, ids before {ids[0]}, after {ids[1]}")
if list(seen.values()) != [("left", "left", 3), ("right", "right", 3)]:
    sys.exit("the attributes differ from those that were found")
EOF
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" -W ignore "$folder/sides.py" "$folder/saved" \
  2> "$folder/log" || { cat "$folder/log" >&2; exit 1; }
