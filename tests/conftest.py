"""Small real things that many tests share: a tokenizer, a classifier, sentences.

All are made in code, equal in every run, and need no network.
"""

from __future__ import annotations

import copy
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

# Set before torch and transformers are imported; subprocesses of tests inherit them.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# They import the rosearch beside these tests, installed or not, as pytest does.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
)
if "PYTEST_XDIST_WORKER" in os.environ:  # parallel workers share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from tests.fresh_python import FreshPython

# Looking for cycles among the millions of objects of PyTorch takes a tenth of an export's time.
gc.set_threshold(50_000, 25, 25)

if not torch.cuda.is_available():  # Triton reads it when it is first imported, by whatever test
    os.environ.setdefault("TRITON_INTERPRET", "1")

if TYPE_CHECKING:
    from rosearch.data import TextDataset


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave the cache of whoever runs them alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def fresh_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshPython]:
    """Runs programs in processes of their own."""
    python = FreshPython(tmp_path_factory.mktemp("fresh_python"))
    yield python
    python.close()


@pytest.fixture(scope="session")
def wordnet_folder() -> Path:
    """WordNet's database, if it is installed."""
    from rosearch.errors import MissingResourceError
    from rosearch.wordnet import find_wordnet

    try:
        return find_wordnet()
    except MissingResourceError as error:
        pytest.skip(str(error))


settings.register_profile("rosearch", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("rosearch")

_SUBJECTS = "film movie plot cast story script actor music ending director".split()
_POSITIVE = "good great wonderful brilliant funny charming moving clever lovely superb".split()
_NEGATIVE = "bad awful terrible boring dull stupid clumsy tedious weak horrible".split()
_ADVERBS = "very really quite truly rather".split()
_FRAMES = (
    "the {subject} was {adverb} {word} .",
    "i found this {subject} {word} and {second} .",
    "a {word} {subject} with a {second} {other} .",
    "{adverb} {word} , and the {other} is {second} too .",
    "what a {word} {subject} !",
)
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def _sentences(count: int) -> tuple[list[str], list[int]]:
    """Sentences whose class is that of their two adjectives; label 1 is positive."""
    from rosearch.seeding import generator

    texts: list[str] = []
    labels: list[int] = []
    rng = generator(0, "tests", "sentences")
    while len(texts) < count:
        label = len(texts) % 2
        words = (_NEGATIVE, _POSITIVE)[label]
        text = str(rng.choice(_FRAMES)).format(
            subject=rng.choice(_SUBJECTS),
            other=rng.choice(_SUBJECTS),
            adverb=rng.choice(_ADVERBS),
            word=rng.choice(words),
            second=rng.choice(words),
        )
        if text not in texts:
            texts.append(text)
            labels.append(label)
    return texts, labels


@pytest.fixture(scope="session")
def dataset() -> TextDataset:
    """200 short distinct sentences, classes negative and positive in turn; easy to learn."""
    from rosearch.data import TextDataset

    texts, labels = _sentences(200)
    return TextDataset(texts, labels, classes=("negative", "positive"))


def _fast(backend: Any, **settings: Any) -> Any:
    """A Hugging Face tokenizer with BERT's special tokens, for at most 64 tokens."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **settings,
    )


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A fast WordPiece tokenizer as BERT's: lower case, [CLS] and [SEP], at most 64 tokens.

    It knows the words of ``dataset``; any other lower-case Latin word becomes pieces of one letter.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = {w for frame in _FRAMES for w in frame.split() if "{" not in w}
    words |= {*_SUBJECTS, *_POSITIVE, *_NEGATIVE, *_ADVERBS, *letters, *".,!?'-\"();:"}
    pieces = [*_SPECIAL, *sorted(words), *("##" + letter for letter in letters)]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return _fast(backend)


@pytest.fixture(scope="session")
def tiny_bert(tokenizer: Any) -> Callable[..., Any]:
    """``tiny_bert(num_labels=2, seed=0, width=32)``: a new 2-layer BERT classifier, in eval mode.

    Further settings are those of its configuration.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    def make(num_labels: int = 2, *, seed: int = 0, width: int = 32, **settings: Any) -> Any:
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
            pad_token_id=tokenizer.pad_token_id,
            **{"num_labels": num_labels, "intermediate_size": 64, **settings},
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return BertForSequenceClassification(config).eval()

    return make


def _fit(model: Any, tokenizer: Any, data: TextDataset, *, steps: int, rate: float) -> Any:
    """The model after some steps of all of ``data``, without dropout: no generator counts."""
    import torch

    inputs = tokenizer(list(data.texts), padding=True, return_tensors="pt")
    labels = torch.tensor(data.labels)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        model(**inputs, labels=labels).loss.backward()
        optimiser.step()
    optimiser.zero_grad()
    return model


@pytest.fixture(scope="session")
def _trained(tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset) -> Any:
    return _fit(tiny_bert(), tokenizer, dataset, steps=30, rate=3e-3)


@pytest.fixture(scope="session")
def xlnet_tokenizer(tokenizer: Any) -> Any:
    """``tokenizer`` in XLNet's manner: padding on the left, [CLS] last and of type 2."""
    from tokenizers import Tokenizer, processors

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.post_processor = processors.TemplateProcessing(
        single="$A:0 [SEP]:0 [CLS]:2",
        pair="$A:0 [SEP]:0 $B:1 [SEP]:1 [CLS]:2",
        special_tokens=[(t, backend.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
    )
    return _fast(backend, padding_side="left")


@pytest.fixture(scope="session")
def tiny_xlnet(xlnet_tokenizer: Any) -> Any:
    """A random XLNet classifier of two layers, whose answers differ widely between texts."""
    import torch
    from transformers import XLNetConfig, XLNetForSequenceClassification

    config = XLNetConfig(
        vocab_size=len(xlnet_tokenizer),
        d_model=32,
        n_layer=2,
        n_head=2,
        d_inner=64,
        num_labels=2,
        pad_token_id=xlnet_tokenizer.pad_token_id,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return XLNetForSequenceClassification(config).eval()


@pytest.fixture
def trained_bert(_trained: Any) -> Any:
    """``tiny_bert()`` trained on ``dataset``; yours to change."""
    return copy.deepcopy(_trained)


@pytest.fixture(scope="session")
def teacher_folder(_trained: Any, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained classifier and its tokenizer, saved as ``from_pretrained`` reads them."""
    folder = tmp_path_factory.mktemp("teacher")
    _trained.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def large_teacher(
    dataset: TextDataset,
    tokenizer: Any,
    tiny_bert: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Folder of a classifier so large (400,000 parameters) that students are smaller by far."""
    names = dict(enumerate(dataset.classes))
    labels = {"id2label": names, "label2id": {name: k for k, name in names.items()}}
    model = tiny_bert(len(names), width=128, intermediate_size=512, **labels)
    folder = tmp_path_factory.mktemp("large-teacher")
    _fit(model, tokenizer, dataset, steps=10, rate=1e-3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def fine_tuned(
    dataset: TextDataset,
    tokenizer: Any,
    tiny_bert: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[int], Any]:
    """``fine_tuned(epochs)``: a teacher of so many epochs, its train and its held-out text."""
    import rosearch as rs

    def make(epochs: int) -> Any:
        root = tmp_path_factory.mktemp("fine-tuned")
        tiny_bert().save_pretrained(root / "base")
        tokenizer.save_pretrained(root / "base")
        train, held_out = dataset.split(120, 40, seed=0)
        teacher = rs.Teacher.fine_tune(
            root / "base", train, held_out, save_to=root / "tuned", epochs=epochs, batch_size=16,
            learning_rate=3e-3, progress=False, cache_dir=root / "cache",
        )  # fmt: skip
        return teacher, train, held_out

    return make


def _devices() -> list[str]:
    import torch

    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an argument ``device`` runs on each device of this machine."""
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", _devices())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``gpu``, ``postgres`` or ``mysql`` are skipped where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and "cuda" not in _devices():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    for server, script in {"postgres": "postgres", "mysql": "mariadb"}.items():
        if not os.environ.get(f"ROSEARCH_TEST_{server.upper()}"):
            for item in items:
                if item.get_closest_marker(server):
                    reason = f"needs .ci/{script} or a database's URL"
                    item.add_marker(pytest.mark.skip(reason=reason))
