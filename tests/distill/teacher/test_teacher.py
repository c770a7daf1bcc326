"""The teacher: loading, fine-tuning, fingerprints and outputs."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertweetTokenizer, RobertaConfig, RobertaForSequenceClassification

from rosearch.classifiers import accuracy
from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher
from rosearch.errors import ArgumentError, DataError
from rosearch.space import templates


class TestTeacher:
    def test_fine_tuned_teacher_is_accurate_and_has_class_names(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        assert teacher.accuracy(parts[1]) > 0.9
        assert teacher.config.id2label == {0: "negative", 1: "positive"}
        assert "M parameters" in repr(teacher)

    def test_logits_equal_the_model_s(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        rows = teacher.tokenizer(list(parts[1].texts[:5]), padding=True, return_tensors="pt")
        with torch.no_grad():
            expected = teacher.model(**rows).logits.numpy()
        np.testing.assert_allclose(teacher.logits(parts[1])[:5], expected, atol=1e-5)

    def test_a_copy_reads_the_cache_and_does_not_load_the_weights(
        self,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        first, tables = teacher.logits(parts[0]), teacher.embedding
        other = pickle.loads(pickle.dumps(teacher))
        monkeypatch.setattr(
            "rosearch.distill.teacher.teacher.AutoModelForSequenceClassification", None
        )
        np.testing.assert_array_equal(first, other.logits(parts[0], progress=False))
        np.testing.assert_array_equal(other.embedding.tokens, tables.tokens)

    def test_content_decides_the_fingerprint(
        self, teacher: Teacher, tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path
    ) -> None:
        a = Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path)
        same = Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path)
        other = Teacher(tiny_bert(seed=1), tokenizer, cache_dir=tmp_path)
        shorter = Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path, max_length=16)
        assert a.fingerprint == same.fingerprint
        assert len({a.fingerprint, other.fingerprint, shorter.fingerprint}) == 3
        assert pickle.loads(pickle.dumps(teacher)).fingerprint == teacher.fingerprint

    def test_precision_but_not_storage_decides_the_fingerprint(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path
    ) -> None:
        exact = Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path)
        low = Teacher(tiny_bert().bfloat16(), tokenizer, cache_dir=tmp_path)
        stored = Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path, storage="float32")
        assert exact.fingerprint != low.fingerprint
        assert exact.fingerprint == stored.fingerprint
        with pytest.raises(ValueError, match=r"storage must be one of .* got 'half'"):
            Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path, storage="half")

    def test_warns_if_a_constant_classifier_is_as_accurate(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        guessing = Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path)
        one_sided = TextDataset(dataset.texts, 1 - guessing.logits(dataset).argmax(axis=1))
        with pytest.warns(UserWarning, match=r"The teacher's accuracy is 0.000, and always"):
            assert guessing.accuracy(one_sided) == 0.0
        with pytest.raises(DataError, match="unlabelled"):
            guessing.accuracy(TextDataset.unlabelled(["good"], classes=dataset.classes))

    def test_no_warning_for_an_accurate_teacher(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            teacher.accuracy(parts[1])

    def test_the_configuration_decides_the_fingerprint(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path
    ) -> None:
        model = tiny_bert()
        other = type(model)(type(model.config)(**{**model.config.to_dict(), "hidden_act": "relu"}))
        other.load_state_dict(model.state_dict())
        prints = [Teacher(m, tokenizer, cache_dir=tmp_path).fingerprint for m in (model, other)]
        assert prints[0] != prints[1]

    def test_an_xlnet_pads_on_the_left(
        self, tiny_xlnet: Any, xlnet_tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        part = dataset[:30]
        teacher = Teacher(tiny_xlnet, xlnet_tokenizer, cache_dir=tmp_path)
        inputs = xlnet_tokenizer(list(part.texts), padding=True, return_tensors="pt")
        with torch.inference_mode():
            expected = tiny_xlnet(**inputs).logits.numpy()
        np.testing.assert_allclose(teacher.logits(part), expected, atol=1e-4)
        # What the student learns with is what it is used with: types of single texts included.
        distiller = Distiller(teacher, part, part, epochs=1, progress=False)
        result = distiller.distill(templates.transformer(layers=1, width=16))
        assert accuracy(result.student, part) == result.accuracy
        tuned = Teacher.fine_tune(
            _saved(tiny_xlnet, xlnet_tokenizer, tmp_path / "base"),
            part,
            part,
            save_to=tmp_path / "tuned",
            epochs=1,
            progress=False,
            cache_dir=tmp_path,
        )
        assert accuracy(tuned.model, part, tuned.tokenizer) == tuned.accuracy(part)

    def test_truncation_and_padding_sides_decide_the_fingerprint(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path
    ) -> None:
        prints = set()
        for setting in ({}, {"truncation_side": "left"}, {"padding_side": "left"}):
            own = pickle.loads(pickle.dumps(tokenizer))
            own.cls_token = None
            for name, value in setting.items():
                setattr(own, name, value)
            prints.add(Teacher(tiny_bert(), own, cache_dir=tmp_path).fingerprint)
        assert len(prints) == 3

    def test_the_rules_of_a_slow_tokenizer_decide_the_fingerprint(
        self, tiny_bert: Callable[..., Any], tmp_path: Path
    ) -> None:
        # Only how it was made says what such a tokenizer does; its vocabulary is the same.
        words = ["g@@", "o@@", "d", *map(str, range(120))]
        (tmp_path / "vocab.txt").write_text("".join(f"{word} 1\n" for word in words))
        (tmp_path / "bpe.codes").write_text("#version\ng o 1\n")
        prints = set()
        for normalize in (True, False):
            own = BertweetTokenizer(
                str(tmp_path / "vocab.txt"), str(tmp_path / "bpe.codes"), normalization=normalize
            )
            model = tiny_bert()
            model.config.pad_token_id = own.pad_token_id
            found = Teacher(model, own, cache_dir=tmp_path, max_length=9).fingerprint
            prints.add(found)
            own.save_pretrained(tmp_path / "saved")
            loaded = BertweetTokenizer.from_pretrained(tmp_path / "saved")
            again = Teacher(model, loaded, cache_dir=tmp_path, max_length=9)
            assert again.fingerprint == found
        assert len(prints) == 2

    def test_use_and_saving_do_not_change_the_fingerprint(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        model, own = tiny_bert(), pickle.loads(pickle.dumps(tokenizer))
        before = Teacher(model, own, cache_dir=tmp_path / "cache")
        own(list(dataset.texts[:3]), padding=True, truncation=True, max_length=5)
        assert Teacher(model, own, cache_dir=tmp_path / "cache").fingerprint == before.fingerprint
        model.save_pretrained(tmp_path / "saved")
        own.save_pretrained(tmp_path / "saved")
        loaded = Teacher.from_pretrained(tmp_path / "saved", cache_dir=tmp_path / "cache")
        assert loaded.fingerprint == before.fingerprint

    def test_weights_that_changed_on_disk_are_refused(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        tiny_bert().save_pretrained(tmp_path / "saved")
        tokenizer.save_pretrained(tmp_path / "saved")
        teacher = Teacher.from_pretrained(tmp_path / "saved", cache_dir=tmp_path / "cache")
        elsewhere = pickle.loads(pickle.dumps(teacher))
        tiny_bert(seed=1).save_pretrained(tmp_path / "saved")
        with pytest.raises(DataError, match="holds another model than the one this teacher"):
            elsewhere.logits(dataset)

    def test_positions_of_roberta_start_after_the_padding_token(
        self, tokenizer: Any, tmp_path: Path
    ) -> None:
        config = RobertaConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=20, pad_token_id=1,
        )  # fmt: skip
        model = RobertaForSequenceClassification(config).eval()
        own = copy.deepcopy(tokenizer)
        own.pad_token = tokenizer.convert_ids_to_tokens(1)
        teacher = Teacher(model, own, cache_dir=tmp_path)
        assert teacher.max_length == 18
        long = TextDataset(["good film " * 40, "bad film " * 40], [1, 0])
        assert np.isfinite(teacher.logits(long)).all()
        table = model.roberta.embeddings.position_embeddings.weight.detach().double()
        words = model.get_input_embeddings().weight.detach().double()
        # The first position that the model uses is the first that a student starts from.
        ours = teacher.embedding.positions
        assert len(ours) == 18
        norms = table[2:].norm(dim=1) / (words.norm() / np.linalg.norm(teacher.embedding.tokens))
        np.testing.assert_allclose(np.linalg.norm(ours, axis=1), norms.numpy(), rtol=1e-4)

    def test_fine_tuning_is_repeatable_and_replaces_its_folder(
        self, base_folder: Path, parts: tuple[TextDataset, TextDataset], tmp_path: Path
    ) -> None:
        def tuned(seed: int, threads: int = 1) -> str:
            return Teacher.fine_tune(
                base_folder,
                *parts,
                save_to=tmp_path / "t",
                epochs=1,
                progress=False,
                seed=seed,
                threads=threads,
            ).fingerprint

        before = torch.get_num_threads()
        assert tuned(0) == tuned(0)
        assert tuned(0) != tuned(1)
        assert torch.get_num_threads() == before
        with pytest.raises(ArgumentError, match="threads must be a whole number from 1"):
            tuned(0, threads=0)
        assert [p.name for p in tmp_path.iterdir()] == ["t"]
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").touch()
        assert (tmp_path / "t").stat().st_mode == (tmp_path / "new").stat().st_mode
        for path in (tmp_path / "t").iterdir():
            assert path.stat().st_mode == (tmp_path / "new" / "file").stat().st_mode

    @pytest.mark.parametrize("what", ["notes", "settings", "file"])
    def test_a_folder_without_a_model_is_not_replaced(
        self, what: str, base_folder: Path, parts: tuple[TextDataset, TextDataset], tmp_path: Path
    ) -> None:
        target = tmp_path / "t"
        if what == "file":
            kept = target
        else:
            target.mkdir()
            kept = target / ("notes.txt" if what == "notes" else "config.json")
        kept.write_text('{"port": 80}')
        with pytest.raises(DataError, match=r"holds no model .* Give a new or empty folder"):
            Teacher.fine_tune(base_folder, *parts, save_to=target, epochs=1, progress=False)
        assert kept.read_text() == '{"port": 80}'

    def test_files_beside_the_model_stay(
        self, base_folder: Path, parts: tuple[TextDataset, TextDataset], tmp_path: Path
    ) -> None:
        target = tmp_path / "t"
        shutil.copytree(base_folder, target)
        (target / "notes.txt").write_text("mine")
        (target / "model-00001-of-00002.safetensors").write_text("of an older model")
        tuned = Teacher.fine_tune(base_folder, *parts, save_to=target, epochs=1, progress=False)
        assert (target / "notes.txt").read_text() == "mine"
        assert not (target / "model-00001-of-00002.safetensors").exists()
        assert Teacher.from_pretrained(target).fingerprint == tuned.fingerprint
        assert tuned.fingerprint != Teacher.from_pretrained(base_folder).fingerprint
        assert [p.name for p in tmp_path.iterdir()] == ["t"]

    def test_weights_saved_in_bfloat16_are_loaded_as_float32(
        self,
        tiny_bert: Callable[..., Any],
        tokenizer: Any,
        parts: tuple[TextDataset, TextDataset],
        tmp_path: Path,
    ) -> None:
        base = _saved(tiny_bert().to(torch.bfloat16), tokenizer, tmp_path / "base")
        loaded = Teacher.from_pretrained(base, cache_dir=tmp_path)
        again = pickle.loads(pickle.dumps(loaded))
        tuned = Teacher.fine_tune(base, *parts, save_to=tmp_path / "t", epochs=1, progress=False)
        saved = load_file(tmp_path / "t" / "model.safetensors").values()
        for model in (loaded.model, again.model, tuned.model):
            assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert {value.dtype for value in saved} == {torch.float32}

    def test_a_tokenizer_without_padding_token_is_refused(
        self, tiny_bert: Callable[..., Any], tokenizer: Any
    ) -> None:
        bare = pickle.loads(pickle.dumps(tokenizer))
        bare.pad_token = None
        with pytest.raises(DataError, match="has no padding token"):
            Teacher(tiny_bert(), bare)

    def test_an_encoder_without_classifier_is_refused(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path
    ) -> None:
        tiny_bert().bert.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        with pytest.raises(DataError, match=r"no weights for classifier.bias.*Teacher.fine_tune"):
            Teacher.from_pretrained(tmp_path)

    def test_other_classes_are_refused(self, teacher: Teacher, dataset: TextDataset) -> None:
        three = TextDataset(dataset.texts, dataset.labels, classes=("a", "b", "c"))
        with pytest.raises(DataError, match="has 2 classes, the data 3"):
            teacher.check(three)
        swapped = TextDataset(dataset.texts, dataset.labels, classes=("positive", "negative"))
        for ask in (teacher.check, teacher.accuracy):
            with pytest.raises(DataError, match="in the order negative, positive"):
                ask(swapped)

    def test_a_head_for_several_labels_is_refused_when_it_is_set(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        teacher = Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path)
        teacher.model.config.problem_type = "multi_label_classification"
        for ask in (teacher.check, teacher.logits):
            with pytest.raises(DataError, match="multi_label"):
                ask(dataset)

    def test_fine_tuning_replaces_a_classifier_of_other_classes(
        self,
        tiny_bert: Callable[..., Any],
        tokenizer: Any,
        parts: tuple[TextDataset, TextDataset],
        tmp_path: Path,
    ) -> None:
        folder = _saved(tiny_bert(5), tokenizer, tmp_path / "five")
        made = Teacher.fine_tune(
            folder, *parts, save_to=tmp_path / "two", epochs=1, progress=False, cache_dir=tmp_path
        )
        assert made.logits(parts[1], progress=False).shape == (len(parts[1]), 2)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 99}))
        with pytest.raises(DataError, match=r"word_embeddings\.weight has the shape"):
            Teacher.fine_tune(folder, *parts, save_to=tmp_path / "two", progress=False)


def _saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
