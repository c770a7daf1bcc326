"""Masked language models as an oracle, and what is read off them."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from rosearch.attack import MaskedLM, MaskedWords, Words
from rosearch.attack.resources import status
from rosearch.attack.resources.masked_lm import find_masked_lm
from rosearch.attack.word_swaps.substitutions import masked as masked_module
from rosearch.errors import DataError, MissingResourceError
from tests.attack.resources import masked_models

MASKED = "the film was [MASK] good ."


@pytest.fixture(scope="module")
def pair(tokenizer: Any) -> tuple[Any, Any]:
    return masked_models.wordpiece(tokenizer)


@pytest.fixture(scope="module")
def byte_pair(dataset: Any) -> tuple[Any, Any]:
    return masked_models.byte_level([str(text) for text in dataset.texts])


@pytest.fixture
def lm(pair: tuple[Any, Any]) -> MaskedLM:
    return MaskedLM(pair, count=6, cache=False)


@pytest.fixture
def folder(pair: tuple[Any, Any], tmp_path: Path) -> Path:
    for part in pair:
        part.save_pretrained(tmp_path / "lm")
    return tmp_path / "lm"


def proposed(substitution: MaskedWords, text: str, index: int) -> list[str]:
    proposing = substitution.propose_in(Words.of(text), index)
    try:
        ask = next(proposing)
        while True:
            ask = proposing.send(ask.oracle.answer(ask.questions))
    except StopIteration as stop:
        return list(stop.value)


class TestOracle:
    def test_gives_the_likeliest_words(self, lm: MaskedLM, pair: tuple[Any, Any]) -> None:
        model, tokenizer = pair
        inputs = tokenizer(MASKED, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[0, inputs["input_ids"][0].tolist().index(4)]
        chances = torch.softmax(logits, dim=0)
        expected = []
        for token in chances.argsort(descending=True).tolist():
            word = tokenizer.convert_ids_to_tokens(token).replace("##", "")
            if len(Words.of(word)) == 1:
                expected.append((word, float(chances[token])))
        (answer,) = lm.answer([("mask", MASKED)])
        assert [word for word, _ in answer] == [word for word, _ in expected[:6]]
        assert [c for _, c in answer] == pytest.approx([c for _, c in expected[:6]], rel=1e-4)
        assert json.loads(json.dumps(answer)) == answer

    def test_company_and_batches_change_nothing(self, pair: tuple[Any, Any], dataset: Any) -> None:
        texts = [str(text).replace(" ", " [MASK] ", 1) for text in dataset.texts[:25]]
        questions = [(kind, text) for kind in ("mask", "places") for text in texts]
        small = MaskedLM(pair, count=4, token_budget=32, cache=False).answer(questions)
        large = MaskedLM(pair, count=4, token_budget=9999, cache=False).answer(questions[::-1])
        for a, b in zip(small, large[::-1], strict=True):
            assert [row[0] if isinstance(row[0], str) else row for row in a] == [
                row[0] if isinstance(row[0], str) else row for row in b
            ]

    def test_places_are_those_of_the_tokens(self, lm: MaskedLM, pair: tuple[Any, Any]) -> None:
        (answer,) = lm.answer([("places", "the film was good .")])
        assert len(answer) == 7  # [CLS] and [SEP] too
        with torch.no_grad():
            logits = pair[0](**pair[1]("the film was good .", return_tensors="pt")).logits[0]
        assert [row[0] for row in answer] == logits.argmax(dim=1).tolist()

    def test_nothing_where_the_mask_is_cut_off(self, lm: MaskedLM) -> None:
        assert lm.max_length == 64
        assert lm.answer([("mask", "good " * 70 + "[MASK]"), ("mask", "no mask")]) == [[], []]

    def test_more_words_than_the_first_glance_holds(self, pair: tuple[Any, Any]) -> None:
        every = MaskedLM(pair, count=10_000, cache=False).answer([("mask", MASKED)])[0]
        few = MaskedLM(pair, count=1, cache=False)
        chances = torch.zeros(len(pair[1]))
        chances[pair[1].convert_tokens_to_ids("film")] = -1.0  # the least likely of all
        chances[
            [i for i in range(len(chances)) if not pair[1].convert_ids_to_tokens(i)[-1:].isalnum()]
        ] = 9
        ranked = [token for _, token in few._ranked(chances)]
        assert sorted(ranked) == list(range(len(chances)))
        assert ranked[-1] == pair[1].convert_tokens_to_ids("film")
        assert len({word for word, _ in every}) > 50

    def test_is_cached_by_content(
        self, pair: tuple[Any, Any], folder: Path, tmp_path: Path
    ) -> None:
        first = MaskedLM(pair, count=3, cache=tmp_path / "cache")
        answers = first.answer([("mask", MASKED)])
        again = MaskedLM(pair, count=3, cache=tmp_path / "cache")
        assert again.answer([("mask", MASKED)]) == answers
        assert (first.computed, again.computed) == (1, 0)
        other = MaskedLM(
            masked_models.wordpiece(pair[1], seed=1), count=3, cache=tmp_path / "cache"
        )
        other.answer([("mask", MASKED)])
        assert other.computed == 1
        more = MaskedLM(pair, count=4, cache=tmp_path / "cache")
        assert len(more.answer([("mask", MASKED)])[0]) == 4

    def test_a_folder_gives_the_same(self, lm: MaskedLM, folder: Path) -> None:
        loaded = MaskedLM(folder, count=6, cache=False)
        settings = dict(loaded.settings)
        assert loaded.max_length == 64
        assert loaded.answer([("mask", MASKED)]) == lm.answer([("mask", MASKED)])
        assert dict(loaded.settings) == settings  # nothing that use has left
        assert str(folder) not in json.dumps(settings)
        twin = pickle.loads(pickle.dumps(loaded))
        assert len(pickle.dumps(loaded)) < 5000  # no weights
        assert twin.answer([("mask", MASKED)]) == lm.answer([("mask", MASKED)])

    def test_train_mode_comes_back(self, pair: tuple[Any, Any]) -> None:
        model = pair[0].train()
        next(model.children()).eval()
        modes = [module.training for module in model.modules()]
        try:
            lm = MaskedLM(pair, cache=False)
            first = lm.answer([("mask", MASKED)])
            assert [module.training for module in model.modules()] == modes
            assert MaskedLM(pair, cache=False).answer([("mask", MASKED)]) == first  # no dropout
        finally:
            model.eval()


class TestMissing:
    def test_a_folder_that_holds_something_else(
        self, trained_bert: Any, tokenizer: Any, tmp_path: Path
    ) -> None:
        with pytest.raises(MissingResourceError, match="AutoModelForMaskedLM"):
            MaskedLM(tmp_path)
        trained_bert.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        with pytest.raises(MissingResourceError, match="BertForSequenceClassification, which"):
            MaskedLM(tmp_path)
        # Without the hint in the configuration the weights tell.
        config = json.loads((tmp_path / "config.json").read_text())
        del config["architectures"]
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(MissingResourceError, match=r"lacks weights .*cls\.predictions"):
            MaskedLM(tmp_path, cache=False).answer([("mask", MASKED)])

    @pytest.mark.slow
    def test_offline(self, tmp_path: Path) -> None:
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

    def test_the_environment_names_a_folder(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROSEARCH_MASKED_LM", str(folder))
        assert find_masked_lm() == folder

    @pytest.mark.parametrize("missing", ["weights", "tokenizer"])
    def test_half_a_download_is_named(self, folder: Path, missing: str) -> None:
        for path in folder.iterdir():
            of_tokenizer = "token" in path.name or "vocab" in path.name
            if of_tokenizer == (missing == "tokenizer") and path.name != "config.json":
                path.unlink()
        with pytest.raises(MissingResourceError, match=f"holds no {missing}.*AutoModelForMaskedLM"):
            find_masked_lm(folder)

    @pytest.mark.parametrize("name", ["bert-base-uncased", "google-bert/bert-base-uncased"])
    @pytest.mark.parametrize("stored", ["bert-base-uncased", "google-bert--bert-base-uncased"])
    def test_names_with_and_without_owner_are_one(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, stored: str
    ) -> None:
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        monkeypatch.delenv("ROSEARCH_MASKED_LM", raising=False)
        with pytest.raises(MissingResourceError, match="is neither a folder nor"):
            find_masked_lm(download=False)
        repository = tmp_path / f"models--{stored}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("abc")
        (repository / "snapshots").mkdir()
        folder.rename(repository / "snapshots" / "abc")
        assert find_masked_lm(name) == find_masked_lm() == repository / "snapshots" / "abc"
        table = {resource.name: resource for resource in status()}["masked language model"]
        assert table.where == str(repository / "snapshots" / "abc")
        assert MaskedLM().settings == MaskedLM(name).settings
        with pytest.raises(MissingResourceError, match="is neither a folder nor"):
            find_masked_lm("someone/bert-base-uncased", download=False)

    def test_status_names_the_command_that_the_error_names(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        monkeypatch.delenv("ROSEARCH_MASKED_LM", raising=False)
        table = {resource.name: resource for resource in status()}["masked language model"]
        assert not table.here
        with pytest.raises(MissingResourceError) as error:
            find_masked_lm(download=False)
        assert table.command in str(error.value)

    def test_another_tokenizer_is_another_model(self, pair: tuple[Any, Any]) -> None:
        model, tokenizer = pair
        plain = MaskedLM(pair, cache=False).settings
        shorter, cased = copy.deepcopy(tokenizer), copy.deepcopy(tokenizer)
        shorter.model_max_length = 8
        cased.backend_tokenizer.normalizer = None
        for other in (shorter, cased):
            assert MaskedLM((model, other), cache=False).settings != plain
        assert MaskedLM((model, copy.deepcopy(tokenizer)), cache=False).settings == plain

    def test_bad_arguments(self, pair: tuple[Any, Any], tokenizer: Any) -> None:
        with pytest.raises(DataError, match="a pair"):
            MaskedLM(3)
        with pytest.raises(DataError, match="count"):
            MaskedLM(pair, count=0)
        with pytest.raises(DataError, match="method"):
            MaskedWords(pair, method="bea")  # type: ignore[arg-type]
        with pytest.raises(DataError, match="min_confidence"):
            MaskedWords(pair, min_confidence=2)


class TestMaskedWords:
    def test_words_by_masking(self, pair: tuple[Any, Any]) -> None:
        every = MaskedWords(MaskedLM(pair, count=200, cache=False), min_confidence=0.0)
        found = proposed(every, "the film was good .", 3)
        assert "good" not in found
        assert not [w for w in found if not any(c.isalpha() for c in w)]
        likely = MaskedWords(MaskedLM(pair, count=200, cache=False), min_confidence=0.02)
        assert (
            proposed(likely, "the film was good .", 3)
            == found[: len(proposed(likely, "the film was good .", 3))]
        )
        assert 0 < len(proposed(likely, "the film was good .", 3)) < len(found)

    def test_whole_words_without_masking(self, pair: tuple[Any, Any]) -> None:
        substitution = MaskedWords(MaskedLM(pair, count=9, cache=False), method="bert-attack")
        text = "the film was good ."
        (places,) = substitution.masked_lm.answer([("places", text)])
        tokens = pair[1].convert_ids_to_tokens(places[4])
        assert proposed(substitution, text, 3) == [
            t for t in tokens if "##" not in t and t != "good" and len(Words.of(t)) == 1
        ]

    def test_combinations_of_pieces(self, pair: tuple[Any, Any]) -> None:
        lm = MaskedLM(pair, count=4, cache=False)
        substitution = MaskedWords(lm, method="bert-attack")
        text = "the film was goods ."
        (places,) = lm.answer([("places", text)])
        pieces = [pair[1].convert_ids_to_tokens(places[i]) for i in (4, 5)]
        words = ["".join(both).replace("##", "") for both in itertools.product(*pieces)]
        expected = [w for w in words if len(Words.of(w)) == 1 and w != "goods"][:4]
        assert proposed(substitution, text, 3) == expected
        assert lm.computed == 1  # one look at the text serves all its words

    def test_a_word_of_many_pieces_ends(
        self, pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked = []

        class NoWords:
            @staticmethod
            def of(text: str) -> str:
                looked.append(text)
                return ""

        substitution = MaskedWords(MaskedLM(pair, count=8, cache=False), method="bert-attack")
        monkeypatch.setattr(masked_module, "MOST_COMBINATIONS", 1000)
        monkeypatch.setattr(masked_module, "Words", NoWords)
        assert substitution._joined([[5, 6, 7]] * 20) == []
        assert len(looked) == 1000

    def test_cut_off_words_stay(self, pair: tuple[Any, Any]) -> None:
        text = " ".join(["good"] * 80)
        for method in ("bae", "bert-attack"):
            substitution = MaskedWords(MaskedLM(pair, cache=False), method=method)  # type: ignore[arg-type]
            assert proposed(substitution, text, 79) == []
            assert proposed(substitution, text, 30) != []

    @pytest.mark.parametrize("method", ["bae", "bert-attack"])
    def test_byte_level_models(self, byte_pair: tuple[Any, Any], method: Any) -> None:
        lm = MaskedLM(byte_pair, count=200, cache=False)
        assert lm.within_word("good", starting=False)
        assert not lm.within_word("good", starting=True)
        assert not lm.within_word("\u0120good", starting=False)
        found = proposed(
            MaskedWords(lm, method=method, min_confidence=0.0), "the film was good .", 3
        )
        assert found
        assert not [word for word in found if "\u0120" in word or not word]
        # The bytes of a letter of two stand for others in the vocabulary.
        assert lm.plain("\u0120caf\u00c3\u00a9") == "café"
