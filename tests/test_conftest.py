from __future__ import annotations

from rosearch.tokens import predict, tokenize


def test_fixtures_are_learnable_and_reload(dataset, tokenizer, trained_bert, teacher_folder):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    assert len(set(dataset.texts)) == 200
    assert list(dataset.labels[:4]) == [0, 1, 0, 1]
    rows = tokenize(tokenizer, dataset.texts, max_length=64)
    assert all(tokenizer.unk_token_id not in row.ids for row in rows)
    logits = predict(trained_bert, rows, pad_id=tokenizer.pad_token_id)
    assert (logits.argmax(1) == dataset.labels).mean() == 1.0
    again = AutoModelForSequenceClassification.from_pretrained(teacher_folder)
    loaded = AutoTokenizer.from_pretrained(teacher_folder)
    assert tokenize(loaded, dataset.texts, max_length=64) == rows
    assert (predict(again, rows, pad_id=tokenizer.pad_token_id) == logits).all()
