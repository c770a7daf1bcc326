"""Masked language models as oracles."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from rosearch.attack import MaskedLM, Words
from rosearch.attack.resources import status
from rosearch.attack.resources.masked_lm import find_masked_lm
from rosearch.errors import DataError, MissingResourceError
from tests.attack.resources import masked_models

MASKED = "the film was [MASK] good ."


@pytest.fixture(scope="module")
def pair(tokenizer: Any) -> tuple[Any, Any]:
    return masked_models.wordpiece(tokenizer)


@pytest.fixture
def lm(pair: tuple[Any, Any]) -> MaskedLM:
    return MaskedLM(pair, count=6, cache=False)


@pytest.fixture
def folder(pair: tuple[Any, Any], tmp_path: Path) -> Path:
    for part in pair:
        part.save_pretrained(tmp_path / "lm")
    return tmp_path / "lm"


def words(answer: list[Any]) -> list[str]:
    return [word for word, _ in answer]


class TestAnswers:
    def test_most_likely_words_at_the_mask(self, lm: MaskedLM, pair: tuple[Any, Any]) -> None:
        model, tokenizer = pair
        inputs = tokenizer(MASKED, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[0, inputs["input_ids"][0].tolist().index(4)]
        probabilities = torch.softmax(logits, dim=0)
        expected = []
        for token in probabilities.argsort(descending=True).tolist():
            word = tokenizer.convert_ids_to_tokens(token).replace("##", "")
            if len(Words.of(word)) == 1:
                expected.append((word, float(probabilities[token])))
        (answer,) = lm.answer([("mask", MASKED)])
        assert words(answer) == words(expected[:6])
        assert [p for _, p in answer] == pytest.approx([p for _, p in expected[:6]], rel=1e-4)
        assert json.loads(json.dumps(answer)) == answer
        (every,) = MaskedLM(pair, count=10_000, cache=False).answer([("mask", MASKED)])
        assert words(every) == words(expected)

    def test_most_likely_tokens_at_every_token(self, lm: MaskedLM, pair: tuple[Any, Any]) -> None:
        (answer,) = lm.answer([("places", "the film was good .")])
        assert len(answer) == 7  # with [CLS] and [SEP]
        with torch.no_grad():
            logits = pair[0](**pair[1]("the film was good .", return_tensors="pt")).logits[0]
        assert [row[0] for row in answer] == logits.argmax(dim=1).tolist()

    def test_answers_do_not_depend_on_the_batch(self, pair: tuple[Any, Any], dataset: Any) -> None:
        texts = [str(text).replace(" ", " [MASK] ", 1) for text in dataset.texts[:25]]
        together = MaskedLM(pair, count=4, cache=False)
        alone = MaskedLM(pair, count=4, cache=False)
        for text, found in zip(
            texts, together.answer([("mask", text) for text in texts]), strict=True
        ):
            assert words(alone.answer([("mask", text)])[0]) == words(found)
        places = [("places", text) for text in texts]
        assert together.answer(places) == [alone.answer([place])[0] for place in places]

    def test_batches_are_halved_when_memory_runs_out(self, pair: tuple[Any, Any]) -> None:
        model = copy.deepcopy(pair[0])
        questions = [("places", f"the film was good {k} .") for k in range(40)]
        expected = MaskedLM(pair, count=2, cache=False).answer(questions)
        rows = []

        def limited(module: Any, args: Any, kwargs: Any) -> None:
            rows.append(len(kwargs["input_ids"]))
            if rows[-1] > 8:
                raise torch.OutOfMemoryError

        model.register_forward_pre_hook(limited, with_kwargs=True)
        assert MaskedLM((model, pair[1]), count=2, cache=False).answer(questions) == expected
        assert max(rows) > 8 >= rows[-1]

    def test_no_answer_if_truncation_removes_the_mask(self, lm: MaskedLM) -> None:
        assert lm.max_length == 64
        assert lm.answer([("mask", "good " * 70 + "[MASK]"), ("mask", "no mask")]) == [[], []]

    def test_dropout_is_off_and_train_mode_is_restored(self, pair: tuple[Any, Any]) -> None:
        model = pair[0].train()
        next(model.children()).eval()
        modes = [module.training for module in model.modules()]
        try:
            first = MaskedLM(pair, cache=False).answer([("mask", MASKED)])
            assert [module.training for module in model.modules()] == modes
            assert MaskedLM(pair, cache=False).answer([("mask", MASKED)]) == first
        finally:
            model.eval()

    def test_byte_level_tokens_are_read_as_words(self, dataset: Any) -> None:
        lm = MaskedLM(masked_models.byte_level([str(text) for text in dataset.texts]), cache=False)
        assert lm.within_word("good", starting=False)
        assert not lm.within_word("good", starting=True)
        assert not lm.within_word("\u0120good", starting=False)
        assert lm.plain("\u0120caf\u00c3\u00a9") == "café"


class TestIdentity:
    def test_answers_are_cached_by_content(self, pair: tuple[Any, Any], tmp_path: Path) -> None:
        first = MaskedLM(pair, count=3, cache=tmp_path)
        answers = first.answer([("mask", MASKED)])
        again = MaskedLM(pair, count=3, cache=tmp_path)
        assert again.answer([("mask", MASKED)]) == answers
        assert (first.computed, again.computed) == (1, 0)
        other = MaskedLM(masked_models.wordpiece(pair[1], seed=1), count=3, cache=tmp_path)
        other.answer([("mask", MASKED)])
        assert other.computed == 1
        more = MaskedLM(pair, count=4, cache=tmp_path)
        assert len(more.answer([("mask", MASKED)])[0]) == 4

    def test_folder_gives_the_same_answers(self, lm: MaskedLM, folder: Path) -> None:
        loaded = MaskedLM(folder, count=6, cache=False)
        settings = dict(loaded.settings)
        assert loaded.max_length == 64
        assert loaded.answer([("mask", MASKED)]) == lm.answer([("mask", MASKED)])
        assert dict(loaded.settings) == settings
        assert str(folder) not in json.dumps(settings)
        data = pickle.dumps(loaded)
        assert len(data) < 5000  # without weights
        assert pickle.loads(data).answer([("mask", MASKED)]) == lm.answer([("mask", MASKED)])

    def test_other_tokenizer_is_another_model(self, pair: tuple[Any, Any]) -> None:
        model, tokenizer = pair
        plain = MaskedLM(pair, cache=False).settings
        shorter, cased = copy.deepcopy(tokenizer), copy.deepcopy(tokenizer)
        shorter.model_max_length = 8
        cased.backend_tokenizer.normalizer = None
        for other in (shorter, cased):
            assert MaskedLM((model, other), cache=False).settings != plain
        assert MaskedLM((model, copy.deepcopy(tokenizer)), cache=False).settings == plain


class TestMissing:
    def test_model_of_another_kind(self, trained_bert: Any, tokenizer: Any, tmp_path: Path) -> None:
        with pytest.raises(MissingResourceError, match="AutoModelForMaskedLM"):
            MaskedLM(tmp_path)
        trained_bert.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        with pytest.raises(MissingResourceError, match="BertForSequenceClassification, which"):
            MaskedLM(tmp_path)
        # If the configuration does not say so, the weights do.
        config = json.loads((tmp_path / "config.json").read_text())
        del config["architectures"]
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(MissingResourceError, match=r"lacks weights .*cls\.predictions"):
            MaskedLM(tmp_path, cache=False).answer([("mask", MASKED)])

    @pytest.mark.slow
    @pytest.mark.textattack
    def test_offline_mode_uses_no_network(self, tmp_path: Path) -> None:
        code = (
            "import socket\n"
            "def refuse(*_, **__): raise SystemExit('the network was used')\n"
            "socket.socket.connect = socket.getaddrinfo = refuse\n"
            "from rosearch.attack import BAE\n"
            "from rosearch.errors import MissingResourceError\n"
            "try: BAE(tagger=False, encoder=False)\n"
            "except MissingResourceError as error: print(error)\n"
        )
        out = subprocess.run(
            [sys.executable, "-c", code],
            env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "'bert-base-uncased' is neither a folder nor in the Hugging Face cache" in out.stdout
        assert "ROSEARCH_MASKED_LM" in out.stdout

    def test_environment_variable_names_a_folder(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROSEARCH_MASKED_LM", str(folder))
        assert find_masked_lm() == folder

    @pytest.mark.parametrize("missing", ["weights", "tokenizer"])
    def test_incomplete_download(self, folder: Path, missing: str) -> None:
        for path in folder.iterdir():
            of_tokenizer = "token" in path.name or "vocab" in path.name
            if of_tokenizer == (missing == "tokenizer") and path.name != "config.json":
                path.unlink()
        with pytest.raises(MissingResourceError, match=f"holds no {missing}.*AutoModelForMaskedLM"):
            find_masked_lm(folder)

    def test_models_in_the_cache_of_the_hub_are_found(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = "bert-base-uncased"
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.delenv("ROSEARCH_MASKED_LM", raising=False)
        with pytest.raises(MissingResourceError, match="is neither a folder nor") as error:
            find_masked_lm(download=False)
        table = {resource.name: resource for resource in status()}
        assert table["masked language model"].command in str(error.value)
        repository = tmp_path / f"models--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("abc")
        (repository / "snapshots").mkdir()
        folder.rename(repository / "snapshots" / "abc")
        assert find_masked_lm(name) == find_masked_lm() == repository / "snapshots" / "abc"
        table = {resource.name: resource for resource in status()}
        assert table["masked language model"].where == str(repository / "snapshots" / "abc")
        with pytest.raises(MissingResourceError, match="is neither a folder nor"):
            find_masked_lm("someone/bert-base-uncased", download=False)

    def test_arguments_of_the_wrong_type_or_range(self, pair: tuple[Any, Any]) -> None:
        with pytest.raises(ValueError, match="masked_lm must be a name, a folder or a pair"):
            MaskedLM(3)
        with pytest.raises(ValueError, match="count must be a whole number from 1"):
            MaskedLM(pair, count=0)
        tokenizer = copy.deepcopy(pair[1])
        tokenizer.mask_token = None
        with pytest.raises(DataError, match="no mask token"):
            MaskedLM((pair[0], tokenizer))
