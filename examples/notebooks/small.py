"""Texts and a teacher that train in seconds, for the notebooks beside this file."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from tempfile import mkdtemp

from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

import rosearch as rs

sys.path.insert(0, str(Path(__file__).parents[1]))

import materials

disable_progress_bar()

_SUBJECTS = "film movie plot cast story script actor music ending director scene dialogue".split()
_GOOD = "good great wonderful brilliant funny charming moving clever lovely superb".split()
_BAD = "bad awful terrible dull boring clumsy tedious silly dreadful weak".split()
_FRAMES = ("the {s} was {a} and the {t} was {b}", "a {a} {s} with a {b} {t}", "{a} {s} , {b} {t}")


def reviews(train: int = 1200, dev: int = 300) -> tuple[rs.TextDataset, rs.TextDataset]:
    """Return sentences of movie reviews for training and for choosing."""
    first, second = materials.movie_reviews().split(train, dev, seed=0)
    return first, second


def sentences(train: int = 400, dev: int = 100) -> tuple[rs.TextDataset, rs.TextDataset]:
    """Return made-up sentences, so easy that one pass over a few hundred of them is enough."""
    texts, labels = [], []
    for label, words in enumerate((_BAD, _GOOD)):
        pairs = itertools.product(itertools.permutations(words, 2), itertools.pairwise(_SUBJECTS))
        for number, ((a, b), (s, t)) in enumerate(pairs):
            texts.append(_FRAMES[number % 3].format(a=a, b=b, s=s, t=t))
            labels.append(label)
    whole = rs.TextDataset(texts, labels, classes=("negative", "positive"))
    first, second = whole.split(train, dev, seed=0)
    return first, second


def teacher(train: rs.TextDataset, dev: rs.TextDataset) -> rs.Teacher:
    """Return a BERT of two layers that has read nothing but ``train``.

    Load one that has read more with ``rs.Teacher.from_pretrained`` or ``rs.Teacher.fine_tune``.
    """
    folder = Path(mkdtemp(prefix="small-teacher-"))
    words = BertWordPieceTokenizer()
    words.train_from_iterator(map(str, train.texts), vocab_size=3000, show_progress=False)
    special = {
        f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")
    }
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=64, **special)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 192}
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=96, max_position_embeddings=64, **sizes
    )
    for part in (BertForSequenceClassification(config), tokenizer):
        part.save_pretrained(folder / "new")
    return rs.Teacher.fine_tune(
        folder / "new", train, dev, save_to=folder / "tuned", epochs=4, learning_rate=1e-3,
        progress=False,
    )  # fmt: skip
