from __future__ import annotations

import copy
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rosearch.classifiers import accuracy
from rosearch.data import TextDataset
from rosearch.errors import DataError
from rosearch.threads import computing
from rosearch.tokens import (
    TokenizedText,
    answers,
    collate,
    default_device,
    evaluating,
    length_limit,
    pads_left,
    position_limit,
    predict,
    require_padding,
    token_batches,
    tokenize,
)


def test_encode_is_what_the_tokenizer_says(tokenizer, dataset):
    rows = tokenize(tokenizer, dataset.texts, max_length=8)
    for row, text in zip(rows, dataset.texts, strict=True):
        expected = tokenizer(text, truncation=True, max_length=8)["input_ids"]
        assert list(row.ids) == expected
        assert row.types is None
    assert max(len(row.ids) for row in rows) == 8
    assert tokenize(tokenizer, [], max_length=8) == []


def test_encode_pairs_keeps_token_types(tokenizer):
    (row,) = tokenize(tokenizer, [("good film", "bad")], max_length=16)
    assert tokenizer.convert_ids_to_tokens(list(row.ids)) == [
        "[CLS]", "good", "film", "[SEP]", "bad", "[SEP]",
    ]  # fmt: skip
    assert row.types == (0, 0, 0, 0, 1, 1)


def test_padding_token_is_required(tokenizer):
    assert require_padding(tokenizer) == tokenizer.pad_token_id
    without = SimpleNamespace(pad_token_id=None, name_or_path="some-decoder", model_max_length=9)
    with pytest.raises(DataError, match=r"'some-decoder' has no padding token.*eos_token"):
        require_padding(without)


@pytest.mark.parametrize(
    ("own", "asked", "limit"),
    [(64, None, 64), (64, 32, 32), (64, 128, 64), (int(1e30), None, 512), (int(1e30), 800, 800)],
)
def test_length_limit(own, asked, limit):
    assert length_limit(SimpleNamespace(model_max_length=own), asked) == limit


@given(
    lengths=st.lists(st.integers(1, 60), max_size=80),
    budget=st.integers(1, 400),
)
def test_batches_hold_every_row_once_within_the_budget(lengths, budget):
    batches = token_batches(lengths, token_budget=budget)
    rows = [int(i) for batch in batches for i in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[i] for i in rows] == sorted(lengths)
    for batch, following in zip(batches, [*batches[1:], None], strict=False):
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget
        if following is not None:  # a batch ends only where the next row would not fit
            assert (len(batch) + 1) * lengths[following[0]] > budget


def test_even_batches_mostly_hold_one_length():
    lengths = np.repeat(np.arange(5, 40), 400)
    batches = token_batches(lengths, token_budget=1024, even=True)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(len(batch) * lengths[batch].max() <= 1024 for batch in batches)
    mixed = [batch for batch in batches if len(set(lengths[batch])) > 1]
    assert len(mixed) < len(batches) / 8
    assert len(batches) <= 2 * -(-lengths.sum() // 1024)


def test_collate_pads_and_masks():
    out = collate([TokenizedText((5, 6, 7)), TokenizedText((8,))], pad_id=9)
    assert out["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert out["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert set(out) == {"input_ids", "attention_mask"}
    assert {t.dtype for t in out.values()} == {torch.int64}


def test_collate_pads_token_types_with_zero():
    out = collate([TokenizedText((5, 6), (0, 1)), TokenizedText((8,), (1,))], pad_id=9)
    assert out["token_type_ids"].tolist() == [[0, 1], [1, 0]]


def test_collate_pads_on_the_left_where_asked():
    rows = [TokenizedText((5, 6, 7), (0, 1, 2)), TokenizedText((8,))]
    out = collate(rows, pad_id=9, pad_left=True)
    assert out["input_ids"].tolist() == [[5, 6, 7], [9, 9, 8]]
    assert out["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert out["token_type_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]


@given(
    st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=9),
    st.booleans(),
)
def test_collate_and_mask_give_the_rows_back(rows, pad_left):
    out = collate([TokenizedText(tuple(row)) for row in rows], pad_id=0, pad_left=pad_left)
    masks = out["attention_mask"].bool()
    again = [ids[mask].tolist() for ids, mask in zip(out["input_ids"], masks, strict=True)]
    assert again == rows


@pytest.mark.parametrize("budget", [1, 50, 4096])
def test_predict_equals_one_row_at_a_time(device, budget, tokenizer, dataset, trained_bert):
    model = trained_bert.to(device)
    rows = tokenize(tokenizer, dataset.texts[:40], max_length=64)
    logits = predict(model, rows, pad_id=tokenizer.pad_token_id, token_budget=budget)
    assert logits.shape == (40, 2)
    assert logits.dtype == np.float32
    with torch.inference_mode():
        for row, got in zip(rows, logits, strict=True):
            alone = model(input_ids=torch.tensor([row.ids], device=device)).logits[0]
            np.testing.assert_allclose(got, alone.cpu().numpy(), atol=1e-5)


def test_token_types_of_single_texts_are_kept_where_they_say_something(xlnet_tokenizer):
    (row,) = tokenize(xlnet_tokenizer, ["a good film"], max_length=16)
    assert row.types == (0, 0, 0, 0, 2)


def test_predict_equals_transformers_on_an_xlnet(xlnet_tokenizer, tiny_xlnet, dataset):
    texts = [*dataset.texts[:20], " ".join(dataset.texts[:3])]
    rows = tokenize(xlnet_tokenizer, texts, max_length=64)
    assert pads_left(xlnet_tokenizer)
    logits = predict(tiny_xlnet, rows, pad_id=0, pad_left=True, token_budget=4096)
    inputs = xlnet_tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        np.testing.assert_allclose(logits, tiny_xlnet(**inputs).logits.numpy(), atol=1e-4)
    alone = np.concatenate([predict(tiny_xlnet, [row], pad_id=0, pad_left=True) for row in rows])
    np.testing.assert_allclose(logits, alone, atol=1e-4)
    data = TextDataset(texts, alone.argmax(axis=1).tolist(), classes=("a", "b"))
    assert accuracy(tiny_xlnet, data, xlnet_tokenizer) == 1.0


def test_left_padding_moves_no_position(tokenizer, dataset):
    from transformers import GPT2Config, GPT2ForSequenceClassification

    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, pad_token_id=0,
        initializer_range=0.5, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2ForSequenceClassification(config).eval()
    rows = tokenize(tokenizer, [*dataset.texts[:9], " ".join(dataset.texts[:3])], max_length=64)
    together = predict(model, rows, pad_id=0, pad_left=True)
    alone = np.concatenate([predict(model, [row], pad_id=0) for row in rows])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_what_begins_with_the_classification_token_is_padded_on_the_right(tokenizer):
    assert not pads_left(tokenizer)
    odd = copy.deepcopy(tokenizer)
    odd.padding_side = "left"  # a BERT would take a padding token for [CLS]
    assert not pads_left(odd)
    odd.cls_token = None
    assert pads_left(odd)


def test_every_module_gets_its_own_mode_back(trained_bert):
    trained_bert.train()
    trained_bert.bert.embeddings.eval()
    modes = [module.training for module in trained_bert.modules()]
    with evaluating(trained_bert):
        assert not any(module.training for module in trained_bert.modules())
    assert [module.training for module in trained_bert.modules()] == modes
    predict(trained_bert, [TokenizedText((5, 6))], pad_id=0)
    assert [module.training for module in trained_bert.modules()] == modes


@pytest.mark.parametrize("training", [True, False])
def test_predict_runs_in_eval_mode_and_puts_the_mode_back(
    training, tokenizer, dataset, trained_bert
):
    trained_bert.config.hidden_dropout_prob = 0.5
    trained_bert.train(training)
    rows = tokenize(tokenizer, dataset.texts[:4], max_length=64)
    first, second = (predict(trained_bert, rows, pad_id=0) for _ in range(2))
    assert (first == second).all()
    assert trained_bert.training is training


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_threads_compute_batches_of_their_own(two_threads, tokenizer, dataset, trained_bert):
    rows = tokenize(tokenizer, dataset.texts, max_length=64)
    seen = set()
    hook = trained_bert.register_forward_hook(
        lambda *_: seen.add((threading.get_ident(), torch.get_num_threads()))
    )
    try:
        together = predict(trained_bert, rows, pad_id=0, token_budget=256)
    finally:
        hook.remove()
    assert {threads for _, threads in seen} == {1}
    assert threading.get_ident() not in {thread for thread, _ in seen}
    assert torch.get_num_threads() == 2
    with computing(torch.device("cpu")):
        assert (together == predict(trained_bert, rows, pad_id=0, token_budget=256)).all()
        assert torch.get_num_threads() == 1
    torch.set_num_threads(1)
    alone = predict(trained_bert, rows, pad_id=0, token_budget=256)
    assert (together == alone).all()


def test_a_single_batch_gets_one_thread(two_threads, tokenizer, dataset, trained_bert):
    rows = tokenize(tokenizer, dataset.texts[:2], max_length=64)
    seen = set()
    hook = trained_bert.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()))
    try:
        together = predict(trained_bert, rows, pad_id=0)
    finally:
        hook.remove()
    assert seen == {1}
    found = answers(trained_bert, rows, lambda _: torch.get_num_threads(), pad_id=0, threaded=False)
    assert [threads for _, threads in found] == [2]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert (together == predict(trained_bert, rows, pad_id=0)).all()


def test_an_error_in_a_thread_is_raised_and_the_threads_come_back(
    two_threads, tokenizer, dataset, trained_bert
):
    rows = tokenize(tokenizer, dataset.texts, max_length=64)
    with pytest.raises(IndexError):
        predict(trained_bert, [*rows, TokenizedText((10**6,))], pad_id=0, token_budget=256)
    assert torch.get_num_threads() == 2
    new: list[int] = []
    thread = threading.Thread(target=lambda: new.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert new == [2]


def test_predict_puts_the_mode_back_after_an_error(trained_bert):
    trained_bert.train()
    with pytest.raises(IndexError):
        predict(trained_bert, [TokenizedText((10**6,))], pad_id=0)
    assert trained_bert.training


def test_default_device_is_the_gpu_where_there_is_one():
    assert (default_device().type == "cuda") == torch.cuda.is_available()


def test_accuracy_heeds_what_the_model_can_read(tokenizer, tiny_bert, dataset):
    model = tiny_bert()
    rows = tokenize(tokenizer, dataset.texts, max_length=64)
    predicted = predict(model, rows, pad_id=tokenizer.pad_token_id).argmax(axis=1)
    expected = float((predicted == dataset.labels).mean())
    assert accuracy(model, dataset, tokenizer) == expected
    with pytest.raises(DataError, match="carries no tokenizer; pass tokenizer="):
        accuracy(model, dataset)
    limit = position_limit(model)
    long = TextDataset(["good " * 500], [1])
    assert limit is not None
    assert accuracy(model, long, tokenizer, max_length=10_000) in (0.0, 1.0)


def test_accuracy_refuses_classes_in_another_order(tokenizer, tiny_bert, dataset):
    model = tiny_bert()
    model.config.id2label = dict(enumerate(reversed(dataset.classes)))
    with pytest.raises(DataError, match="in the order"):
        accuracy(model, dataset, tokenizer)
    model.config.id2label = dict(enumerate(dataset.classes))
    assert 0 <= accuracy(model, dataset, tokenizer) <= 1
