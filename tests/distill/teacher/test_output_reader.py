"""Outputs of teachers of several architectures, against the models themselves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from rosearch.data import TextDataset
from rosearch.distill import Teacher, Wanted
from rosearch.errors import DataError
from tests.distill.teacher.teacher_outputs import arrays, assert_same

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 70,
    "pad_token_id": 0,
}


DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "pad_token_id": 0}
FAMILIES: dict[str, tuple[dict[str, Any], Callable[[Any, int, torch.Tensor], torch.Tensor]]] = {
    "Bert": (SIZES, lambda m, k, h: m.bert.encoder.layer[k].attention.self.value(h)),
    "Roberta": (SIZES, lambda m, k, h: m.roberta.encoder.layer[k].attention.self.value(h)),
    "Electra": (
        {**SIZES, "embedding_size": 16},
        lambda m, k, h: m.electra.encoder.layer[k].attention.self.value(h),
    ),
    "Albert": (
        {**SIZES, "embedding_size": 16},
        lambda m, k, h: m.albert.encoder.albert_layer_groups[0].albert_layers[0].attention.value(h),
    ),
    "DistilBert": (DISTIL, lambda m, k, h: m.distilbert.transformer.layer[k].attention.v_lin(h)),
    "MPNet": (SIZES, lambda m, k, h: m.mpnet.encoder.layer[k].attention.attn.v(h)),
    "DebertaV2": (
        {**SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
        lambda m, k, h: m.deberta.encoder.layer[k].attention.self.value_proj(h),
    ),
}


def make(family: str, tokenizer: Any, *, labels: int = 3) -> Any:
    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(tokenizer), num_labels=labels, **FAMILIES[family][0]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, f"{family}ForSequenceClassification")(config).eval()


class TestArchitectures:
    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("pairs", [False, True])
    def test_outputs_equal_the_model_s(
        self, family: str, pairs: bool, tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        model, values_of = make(family, tokenizer), FAMILIES[family][1]
        teacher = Teacher(model, tokenizer, cache_dir=tmp_path, storage="float32")
        texts: Any = dataset.texts[:7]
        if pairs:
            texts = [(a, b) for a, b in zip(texts, dataset.texts[7:14], strict=True)]
        data = TextDataset.unlabelled(texts, classes="abc")
        found = arrays(teacher, data)
        for row, text in enumerate(texts):
            one = tokenizer(*(text if pairs else (text,)), return_tensors="pt")
            if family in ("DistilBert", "MPNet"):
                one.pop("token_type_ids")
            with torch.no_grad():
                out = model(**one, output_hidden_states=True)
                tokens = one["input_ids"].shape[1]
                expected = {
                    "logits": out.logits[0],
                    "pooled": out.hidden_states[-1][0, 0],
                    **{f"hidden-{k}": out.hidden_states[k][0] for k in (0, 1, 2)},
                    **{
                        f"values-{k}": values_of(model, k - 1, out.hidden_states[k - 1])[0]
                        for k in (1, 2)
                    },
                }
            for name, values in expected.items():
                got = found[name][row]
                if name[:6] in ("hidden", "values"):
                    assert (got[tokens:] == 0).all()
                    got = got[:tokens]
                np.testing.assert_allclose(got, values.numpy(), atol=2e-5, err_msg=name)

    def test_xlnet_has_its_classification_token_last_and_no_values(
        self, tiny_xlnet: Any, xlnet_tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        teacher = Teacher(tiny_xlnet, xlnet_tokenizer, cache_dir=tmp_path, storage="float32")
        data = dataset[:9]
        found = arrays(teacher, data, Wanted(pooled=True, hidden_states=(2,)))
        for row, text in enumerate(data.texts):
            with torch.no_grad():
                one = xlnet_tokenizer(text, return_tensors="pt")
                last = tiny_xlnet(**one, output_hidden_states=True).hidden_states[-1][0]
            np.testing.assert_allclose(found["pooled"][row], last[-1].numpy(), atol=2e-4)
            np.testing.assert_allclose(found["hidden-2"][row, : len(last)], last, atol=2e-4)
        with pytest.raises(DataError, match=r"XLNet.* has no attention module"):
            teacher.outputs(data, Wanted(values=(1,)), progress=False)

    @pytest.mark.parametrize("side", ["right", "left"])
    def test_pooled_is_the_state_that_the_model_classifies(
        self, side: str, tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        # A causal model's first token has read nothing; an encoder's [CLS] is first on either side.
        backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        backend.post_processor = processors.Sequence([])
        causal = PreTrainedTokenizerFast(
            tokenizer_object=backend, pad_token="[PAD]", padding_side=side, model_max_length=64
        )
        encoder = copy.deepcopy(tokenizer)
        encoder.padding_side = side
        config = transformers.GPT2Config(
            vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=64,
            num_labels=2, pad_token_id=0, bos_token_id=None, eos_token_id=None,
        )  # fmt: skip
        torch.manual_seed(0)
        gpt = transformers.GPT2ForSequenceClassification(config).eval()
        for model, own, place in ((gpt, causal, -1), (make("Bert", tokenizer), encoder, 0)):
            teacher = Teacher(model, own, cache_dir=tmp_path, storage="float32")
            data = TextDataset.unlabelled(dataset.texts[:9], classes="abc"[: model.num_labels])
            found = arrays(teacher, data, Wanted(pooled=True))["pooled"]
            for row, text in zip(found, data.texts, strict=True):
                with torch.no_grad():
                    one = own(text, return_tensors="pt", return_token_type_ids=False)
                    states = model(**one, output_hidden_states=True).hidden_states[-1]
                np.testing.assert_allclose(row, states[0, place].numpy(), atol=2e-5)

    @pytest.mark.parametrize("heads", [1, 2, 4])
    def test_values_of_other_channels_are_refused_before_computing(
        self,
        heads: int,
        tokenizer: Any,
        dataset: TextDataset,
        tmp_path: Path,
        counted: list[int],
    ) -> None:
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=heads, max_position_embeddings=64,
            pad_token_id=0,
        )  # fmt: skip
        model = transformers.LlamaForSequenceClassification(config).eval()
        teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
        if heads == 4:
            found = arrays(teacher, dataset[:5], Wanted(values=(1, 2)))
            assert found["values-1"].shape == (5, 64, 32)
            return
        message = f"attention values have {8 * heads} channels and its hidden states 32"
        with pytest.raises(DataError, match=message):
            teacher.outputs(dataset[:5], Wanted(values=(2,)), progress=False)
        assert counted == []

    def test_outputs_are_computed_in_eval_mode(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, tmp_path: Path
    ) -> None:
        expected = arrays(fresh(), dataset[:20])
        other = fresh(cache_dir=tmp_path / "other")
        other.model.train()
        assert_same(arrays(other, dataset[:20]), expected)
        assert other.model.training  # as before

    def test_hooks_are_removed(self, fresh: Callable[..., Teacher], dataset: TextDataset) -> None:
        teacher = fresh()
        arrays(teacher, dataset[:5])
        # A second run reads each layer once, as if no hook had been registered before.
        again = teacher.outputs(dataset[5:9], Wanted(values=(1, 2)), progress=False)
        assert again.batch(np.arange(4), length=64).values.keys() == {1, 2}
