"""Fingerprints and answers of teachers whose model or tokenizer changes while they exist."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher
from rosearch.encode import encodings
from rosearch.space import templates


class LowRank(nn.Module):
    """A linear map and a low-rank one that can be switched off, as adapters are."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)
        self._disabled = False

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.base(hidden)
        return out if self._disabled else out + 9 * self.up(self.down(hidden))


def add_adapter(model: Any) -> None:
    torch.manual_seed(1)
    model.bert.pooler.dense = LowRank(model.bert.pooler.dense)


def merge_by_data(model: Any) -> None:
    # Raises no version counter and leaves the memory where it is.
    model.bert.pooler.dense.weight.data *= 5


def swap_by_numpy(model: Any) -> None:
    weights = model.classifier.weight.detach().numpy()
    weights[:] = weights[::-1].copy()


def swap_rows_of_a_table(model: Any) -> None:
    weight = model.get_input_embeddings().weight
    weight.data[:] = weight.data.flip(0)


def cut_layers(model: Any) -> None:
    model.bert.encoder.layer = model.bert.encoder.layer[:1]
    model.config.num_hidden_layers = 1


def shift_buffer(model: Any) -> None:
    model.bert.embeddings.position_ids.copy_(model.bert.embeddings.position_ids.flip(1))


def quantise(model: Any) -> None:
    linear = model.bert.encoder.layer[0].output.dense
    linear.weight.data = (linear.weight * 8).round() / 8


def loosen_norms(model: Any) -> None:
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 0.5


def train(model: Any) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    ids = torch.tensor([[2, 9, 3], [2, 8, 3]])
    model.train()(input_ids=ids, labels=torch.tensor([0, 1])).loss.backward()
    optimizer.step()


CHANGES: dict[str, Callable[[Any], object]] = {
    "a step of training": train,
    "weights written by data": merge_by_data,
    "weights written by numpy": swap_by_numpy,
    "rows of a table swapped": swap_rows_of_a_table,
    "other weights loaded": lambda m: m.load_state_dict(
        {k: v.roll(1, 0) if v.dim() == 2 else v for k, v in m.state_dict().items()}
    ),
    "an adapter": add_adapter,
    "fewer layers": cut_layers,
    "a buffer that is not saved": shift_buffer,
    "half precision": lambda m: m.bfloat16(),
    "weights rounded": quantise,
    "another activation": lambda m: setattr(
        m.bert.encoder.layer[0].intermediate, "intermediate_act_fn", nn.ReLU()
    ),
    "another epsilon": loosen_norms,
    "a hook": lambda m: m.classifier.register_forward_hook(_doubled),
}


class Scaled:
    """A hook with a tensor, an array or a number of its own."""

    def __init__(self, by: Any) -> None:
        self.by = by

    def __call__(self, _module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output * torch.as_tensor(self.by)


def scaled(by: Any) -> Callable[..., torch.Tensor]:
    return lambda _module, _inputs, output: output * torch.as_tensor(by)


@pytest.mark.parametrize("kind", ["object", "closure", "partial", "attribute"])
@pytest.mark.parametrize("value", [2.0, torch.tensor([2.0, 3.0]), np.array([2.0, 3.0])])
def test_what_hooks_and_modules_hold_is_seen(
    kind: str, value: Any, tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    def fingerprint(value: Any) -> str:
        model = tiny_bert()
        if kind == "attribute":
            model.classifier.temperature = value
        else:
            hook = {"object": Scaled(value), "closure": scaled(value)}.get(kind)
            hook = hook or partial(_times, by=value)
            model.classifier.register_forward_hook(hook)
        teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
        assert teacher.fingerprint == teacher.fingerprint
        return teacher.fingerprint

    assert fingerprint(value) == fingerprint(copy.deepcopy(value)) != fingerprint(2 * value)


def _times(_module: Any, _inputs: Any, output: torch.Tensor, *, by: Any) -> torch.Tensor:
    return output * torch.as_tensor(by)


def _doubled(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return 2 * output


@pytest.mark.parametrize("change", CHANGES)
def test_answers_are_those_of_the_model_as_it_is(
    change: str,
    tiny_bert: Callable[..., Any],
    tokenizer: Any,
    dataset: TextDataset,
    tmp_path: Path,
) -> None:
    data = dataset[:6]
    model = tiny_bert(intermediate_size=40_000 if change == "weights rounded" else 64)
    original = copy.deepcopy(model)
    teacher, unasked = (Teacher(model, tokenizer, cache_dir=tmp_path / "a") for _ in range(2))
    before, first = teacher.logits(data, progress=False).copy(), teacher.fingerprint
    CHANGES[change](model)
    expected = Teacher(model, tokenizer, cache_dir=tmp_path / "b").logits(data, progress=False)
    assert not np.allclose(before, expected, atol=1e-5)
    for one in (unasked, teacher):
        np.testing.assert_array_equal(one.logits(data, progress=False), expected)
        assert one.fingerprint != first
    # Nothing of it was stored as the original's.
    later = Teacher(original, tokenizer, cache_dir=tmp_path / "a")
    np.testing.assert_array_equal(later.logits(data, progress=False), before)
    assert later.fingerprint == first


def test_a_switched_off_adapter_is_another_teacher(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    model = tiny_bert()
    plain = Teacher(model, tokenizer, cache_dir=tmp_path).logits(dataset[:6], progress=False)
    add_adapter(model)
    teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
    assert not np.allclose(teacher.logits(dataset[:6], progress=False), plain, atol=1e-5)
    model.bert.pooler.dense._disabled = True
    np.testing.assert_allclose(teacher.logits(dataset[:6], progress=False), plain, atol=1e-6)


def test_dynamically_quantised_models_have_fingerprints(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    if "qnnpack" not in torch.backends.quantized.supported_engines:
        pytest.skip("no engine")
    prints = set()
    for seed in (0, 0, 1):
        small: Any = torch.ao.quantization.quantize_dynamic(tiny_bert(seed=seed), {nn.Linear})
        prints.add(Teacher(small, tokenizer, cache_dir=tmp_path, device="cpu").fingerprint)
    assert len(prints) == 2


def test_training_mode_and_the_loss_that_it_names_change_nothing(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    model = tiny_bert()
    teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
    before = teacher.fingerprint
    model.train()
    model.config.problem_type = "single_label_classification"  # as training with labels sets it
    teacher.logits(dataset[:6], progress=False)
    assert teacher.fingerprint == before


def test_a_changed_tokenizer_is_read(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    own = pickle.loads(pickle.dumps(tokenizer))
    model = tiny_bert()
    model.resize_token_embeddings(len(own) + 1)
    teacher = Teacher(model, own, cache_dir=tmp_path)
    before, first = teacher.logits(dataset[:6], progress=False).copy(), teacher.fingerprint
    own.add_tokens([dataset.texts[0].split()[0]])
    own.backend_tokenizer.normalizer = None
    expected = Teacher(model, own, cache_dir=tmp_path / "b").logits(dataset[:6], progress=False)
    assert not np.array_equal(before, expected)
    np.testing.assert_array_equal(teacher.logits(dataset[:6], progress=False), expected)
    assert teacher.fingerprint != first


def test_another_encoding_or_length_is_another_teacher(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    encoding = encodings.get("typo_clusters").fit(dataset)
    plain = Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path)
    encoded = Teacher(tiny_bert(), tokenizer, encoding=encoding, cache_dir=tmp_path)
    prints = {plain.fingerprint, encoded.fingerprint}
    assert len(prints) == 2
    plain.tokenizer = encoded.tokenizer
    assert plain.fingerprint == encoded.fingerprint
    plain.max_length = 5
    prints.add(plain.fingerprint)
    assert len(prints) == 3


def test_a_copy_of_a_changed_teacher_has_the_changed_weights(
    teacher: Teacher, dataset: TextDataset
) -> None:
    own = pickle.loads(pickle.dumps(teacher))
    with torch.no_grad():
        own.model.classifier.bias += 1
    copied = pickle.loads(pickle.dumps(own))
    assert copied.fingerprint == own.fingerprint != teacher.fingerprint
    np.testing.assert_array_equal(
        copied.logits(dataset[:6], progress=False),
        own.logits(dataset[:6], progress=False),
    )


def test_a_distiller_follows_its_teacher(
    tiny_bert: Callable[..., Any],
    tokenizer: Any,
    parts: tuple[TextDataset, TextDataset],
    tmp_path: Path,
) -> None:
    model, genome = tiny_bert(), templates.text_cnn(width=16)

    def distiller() -> Distiller:
        teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
        return Distiller(teacher, parts[0][:40], parts[1], epochs=1, progress=False)

    old = distiller()
    first = old.distill(genome).student.state_dict()
    with torch.no_grad():
        model.get_input_embeddings().weight[5:] *= -1
        model.classifier.bias += torch.tensor([2.0, -2.0])
    followed, new = (d.distill(genome).student.state_dict() for d in (old, distiller()))
    assert any(not torch.equal(first[name], new[name]) for name in new)
    for name, values in new.items():
        assert torch.equal(followed[name], values), name
