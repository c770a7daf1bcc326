"""Tiny masked language models with random weights, made in code and equal in every run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def wordpiece(tokenizer: Any, *, seed: int = 0) -> tuple[Any, Any]:
    """A BERT that fills in masks, and ``tokenizer``."""
    from transformers import BertConfig, BertForMaskedLM

    return _small(BertForMaskedLM, BertConfig, tokenizer, seed, max_position_embeddings=64)


def byte_level(texts: Sequence[str], *, seed: int = 0) -> tuple[Any, Any]:
    """A RoBERTa that fills in masks, and a byte-level tokenizer trained on ``texts``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=64,
    )
    return _small(
        RobertaForMaskedLM, RobertaConfig, tokenizer, seed,
        max_position_embeddings=66, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip


def _small(model: Any, config: Any, tokenizer: Any, seed: int, **sizes: Any) -> tuple[Any, Any]:
    import torch

    made = config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.3,  # so that no two tokens are about equally likely
        **sizes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model(made).eval(), tokenizer
