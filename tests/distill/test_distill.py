"""Losses, batches, the training loop, the teacher's cache and the distiller."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import RobertaConfig, RobertaForSequenceClassification

from rosearch.data import TextDataset
from rosearch.distill import Distiller, Optimization, Teacher, soft_label_loss
from rosearch.distill.batches import bucketed_batches
from rosearch.encoding import accuracy, encode, predict
from rosearch.errors import DataError, EvaluationError
from rosearch.space import Genome, Node, templates

SMALL = {"width": 16, "embedding_width": 16}


@pytest.fixture(scope="module")
def teacher(
    dataset: TextDataset,
    tokenizer: Any,
    tiny_bert: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Teacher:
    """A tiny BERT fine-tuned on the sentences, saved and loaded again."""
    root = tmp_path_factory.mktemp("teacher")
    tiny_bert().save_pretrained(root / "base")
    tokenizer.save_pretrained(root / "base")
    train, dev = dataset.split(120, 40, seed=0)
    return Teacher.fine_tune(
        root / "base",
        train,
        dev,
        save_to=root / "tuned",
        epochs=12,
        batch_size=16,
        learning_rate=3e-3,
        progress=False,
        cache_dir=root / "cache",
    )


@pytest.fixture
def parts(dataset: TextDataset) -> tuple[TextDataset, TextDataset]:
    train, dev = dataset.split(120, 40, seed=0)
    return train, dev


class TestLoss:
    def test_value_by_hand(self) -> None:
        student = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
        target = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
        p = torch.softmax(target / 3, dim=1)
        q = torch.softmax(student / 3, dim=1)
        expected = 9 * (p * (p / q).log()).sum(dim=1).mean()
        torch.testing.assert_close(soft_label_loss(student, target, temperature=3.0), expected)

    def test_zero_exactly_at_the_teacher(self) -> None:
        logits = torch.randn(5, 3)
        assert soft_label_loss(logits, logits, temperature=2.0).abs() < 1e-6
        assert soft_label_loss(logits + 1.0, logits, temperature=2.0).abs() < 1e-6
        assert soft_label_loss(logits.flip(1), logits, temperature=2.0) > 1e-3

    def test_gradient_keeps_its_size_over_temperatures(self) -> None:
        # Hinton et al. 2015: for high temperatures the gradient tends to the logits' difference.
        student, target = torch.randn(4, 3), torch.randn(4, 3)
        norms = []
        for temperature in (20.0, 200.0):
            leaf = student.clone().requires_grad_()
            soft_label_loss(leaf, target, temperature=temperature).backward()
            norms.append(float(leaf.grad.norm()))  # type: ignore[union-attr]
        assert norms[0] == pytest.approx(norms[1], rel=0.1)


class TestBatches:
    @given(
        lengths=st.lists(st.integers(1, 60), min_size=1, max_size=200),
        size=st.integers(1, 40),
        seed=st.integers(0, 1000),
    )
    def test_every_row_once(self, lengths: list[int], size: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        batches = bucketed_batches(np.array(lengths), batch_size=size, rng=rng, window=3)
        assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
        assert max(len(b) for b in batches) <= size

    def test_little_padding_and_another_order_each_time(self) -> None:
        rng = np.random.default_rng(0)
        lengths = rng.integers(4, 60, size=2000)
        first, second = (bucketed_batches(lengths, batch_size=32, rng=rng) for _ in range(2))
        padded = sum(len(b) * lengths[b].max() for b in first)
        assert padded < 1.1 * lengths.sum()
        assert {tuple(sorted(b)) for b in first} != {tuple(sorted(b)) for b in second}
        longest = [int(lengths[b].max()) for b in first]
        assert longest != sorted(longest)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"warmup": 1.0},
        {"weight_decay": -1.0},
    ],
)
def test_optimization_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Optimization(**{"learning_rate": 1e-3, **settings})


class TestTeacher:
    def test_learnt_something_and_knows_its_classes(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        assert teacher.accuracy(parts[1]) > 0.9
        assert teacher.config.id2label == {0: "negative", 1: "positive"}
        assert "M parameters" in repr(teacher)

    def test_logits_are_the_model_s(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        rows = teacher.tokenizer(list(parts[1].texts[:5]), padding=True, return_tensors="pt")
        with torch.no_grad():
            expected = teacher.model(**rows).logits.numpy()
        np.testing.assert_allclose(teacher.logits(parts[1])[:5], expected, atol=1e-5)

    def test_computed_once_for_all_processes(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset], monkeypatch: Any
    ) -> None:
        first, tables = teacher.logits(parts[0]), teacher.embedding

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise AssertionError("computed again")

        monkeypatch.setattr("rosearch.distill.teacher.predict", refuse)
        other = pickle.loads(pickle.dumps(teacher))
        second = other.logits(parts[0], progress=False)
        assert other._model is None  # nothing needed the weights
        np.testing.assert_array_equal(first, second)
        assert isinstance(second, np.memmap)
        np.testing.assert_array_equal(other.embedding.tokens, tables.tokens)
        assert other._model is None

    @pytest.mark.parametrize("damage", [b"", b"not numpy", b"\x93NUMPY"])
    def test_broken_cache_is_rebuilt(
        self, teacher: Teacher, dataset: TextDataset, damage: bytes
    ) -> None:
        part = dataset[10:20]
        expected = np.array(teacher.logits(part))
        folder = teacher._cache / "teachers" / teacher.fingerprint
        path = folder / f"logits-{part.fingerprint}.npy"
        path.unlink()
        path.write_bytes(damage)
        np.testing.assert_array_equal(teacher.logits(part), expected)
        assert not list(folder.glob("*.tmp"))

    def test_cache_with_other_shape_or_nan_is_rebuilt(
        self, teacher: Teacher, dataset: TextDataset
    ) -> None:
        part = dataset[20:30]
        expected = np.array(teacher.logits(part))
        path = teacher._cache / "teachers" / teacher.fingerprint / f"logits-{part.fingerprint}.npy"
        for bad in (expected[:3], np.full_like(expected, np.nan)):
            path.unlink()
            np.save(path, bad)
            np.testing.assert_array_equal(teacher.logits(part), expected)

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

    def test_what_the_model_computes_decides_it_too(
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

    def test_how_texts_are_cut_and_padded_decides_it_too(
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

    def test_use_and_saving_leave_it_as_it_is(
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

    def test_positions_of_roberta(self, tokenizer: Any, tmp_path: Path) -> None:
        config = RobertaConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=20, pad_token_id=1,
        )  # fmt: skip
        model = RobertaForSequenceClassification(config).eval()
        teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
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
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset], tmp_path: Path
    ) -> None:
        base = Path(str(teacher._source)).parent / "base"
        prints = {
            Teacher.fine_tune(
                base, *parts, save_to=tmp_path / "t", epochs=1, progress=False, seed=seed
            ).fingerprint
            for seed in (0, 0, 1)
        }
        assert len(prints) == 2
        assert [p.name for p in tmp_path.iterdir()] == ["t"]

    def test_no_padding_token(self, tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
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

    def test_other_classes(self, teacher: Teacher, dataset: TextDataset) -> None:
        three = TextDataset(dataset.texts, dataset.labels, classes=("a", "b", "c"))
        with pytest.raises(DataError, match="tells 2 classes apart, the data has 3"):
            teacher.check(three)
        swapped = TextDataset(dataset.texts, dataset.labels, classes=("positive", "negative"))
        with pytest.raises(DataError, match="in the order negative, positive"):
            teacher.check(swapped)


class TestDistiller:
    def test_student_learns_from_soft_labels_alone(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train, dev = parts
        # With labels withheld, only the teacher can have taught the student.
        blind = TextDataset(train.texts, [0] * len(train), classes=train.classes)
        distiller = Distiller(teacher, blind, dev, epochs=15, learning_rate=1e-2, progress=False)
        result = distiller.distill(templates.bag_of_words(**SMALL), seed=0)
        assert result.accuracy > 0.85
        assert result.accuracy == max(epoch.accuracy for epoch in result.history)
        assert [epoch.number for epoch in result.history] == list(range(1, 16))
        assert result.history[-1].loss < result.history[0].loss
        assert result.seconds > 0
        assert not result.student.training

    def test_kept_weights_are_those_of_the_best_epoch(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        distiller = Distiller(teacher, *parts, epochs=4, learning_rate=2e-2, progress=False)
        for seed in range(3):
            result = distiller.distill(templates.text_cnn(**SMALL), seed=seed)
            rows = encode(teacher.tokenizer, parts[1].texts, max_length=teacher.max_length)
            predicted = predict(result.student, rows, pad_id=teacher.pad_id).argmax(axis=1)
            assert float((predicted == parts[1].labels).mean()) == result.accuracy

    @pytest.mark.parametrize("name", ["bag of words", "BiGRU", "transformer"])
    def test_same_seed_same_student(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset], name: str
    ) -> None:
        distiller = Distiller(teacher, *parts, epochs=1, progress=False)
        genome = templates.ALL[name](**SMALL)
        torch.manual_seed(7)
        first = distiller.distill(genome, seed=3).student.state_dict()
        torch.manual_seed(8)
        before = torch.random.get_rng_state()
        second = distiller.distill(genome, seed=3).student.state_dict()
        assert torch.equal(torch.random.get_rng_state(), before)  # the user's generator is theirs
        third = distiller.distill(genome, seed=4).student.state_dict()
        assert all(torch.equal(first[k], second[k]) for k in first)
        assert any(not torch.equal(first[k], third[k]) for k in first)

    def test_isomorphic_genomes_become_one_student(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        a = Node("convolution", inputs=(0,))
        b = Node("feed_forward", inputs=(0,))
        size: dict[str, Any] = {**SMALL, "outputs": (1, 2)}
        first, second = Genome(nodes=(a, b), **size), Genome(nodes=(b, a), **size)
        assert first.key == second.key
        distiller = Distiller(teacher, *parts, epochs=1, progress=False)
        states = [distiller.distill(g, seed=3).student.state_dict() for g in (first, second)]
        assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])

    def test_student_carries_tokenizer_and_class_names(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        student = Distiller(teacher, *parts, progress=False).student(templates.bigru(**SMALL))
        assert student.tokenizer is teacher.tokenizer
        assert student.config.id2label == {0: "negative", 1: "positive"}
        assert student.config.max_position_embeddings == teacher.max_length

    def test_labels_count_where_asked(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        train, dev = parts
        wrong = TextDataset(train.texts, 1 - train.labels, classes=train.classes)
        settings: dict[str, Any] = {"epochs": 6, "learning_rate": 1e-2, "progress": False}
        genome = templates.bag_of_words(**SMALL)
        misled = Distiller(teacher, wrong, dev, label_weight=1.0, **settings).distill(genome)
        assert misled.history[-1].accuracy < 0.3

    def test_settings_tell_what_matters(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        a = Distiller(teacher, *parts).settings
        assert a == Distiller(teacher, *parts, progress=False).settings
        for change in ({"temperature": 4.0}, {"epochs": 5}, {"batch_size": 8}, {"dropout": 0.3}):
            assert Distiller(teacher, *parts, **change).settings != a
        assert Distiller(teacher, parts[1], parts[1]).settings != a

    def test_exploding_loss_is_an_evaluation_error(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        distiller = Distiller(teacher, *parts, epochs=1, learning_rate=1e38, progress=False)
        with pytest.raises(EvaluationError, match=r"training loss of epoch 1 is .*Lower learning"):
            distiller.distill(templates.bag_of_words(**SMALL))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"temperature": 0.0}, "temperature=0.0"),
            ({"label_weight": 1.5}, "label_weight=1.5"),
            ({"dropout": 1.0}, "dropout=1.0"),
            ({"epochs": 0}, "epochs=0"),
        ],
    )
    def test_bad_settings(
        self,
        teacher: Teacher,
        parts: tuple[TextDataset, TextDataset],
        change: dict[str, Any],
        message: str,
    ) -> None:
        with pytest.raises(ValueError, match=message):
            Distiller(teacher, *parts, **change)

    def test_parts_that_do_not_fit(self, teacher: Teacher, dataset: TextDataset) -> None:
        pairs = TextDataset([("a", "b")] * 4, [0, 1, 0, 1], classes=dataset.classes)
        with pytest.raises(DataError, match="train and dev do not fit together"):
            Distiller(teacher, dataset, pairs)

    def test_memory_after_many_candidates_is_memory_after_one(
        self, teacher: Teacher, parts: tuple[TextDataset, TextDataset]
    ) -> None:
        import gc

        distiller = Distiller(teacher, parts[0][:32], parts[1], epochs=1, progress=False)

        def tensors() -> int:
            gc.collect()
            return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

        distiller.distill(templates.text_cnn(**SMALL), seed=0)
        after_one = tensors()
        for seed in range(5):
            distiller.distill(templates.text_cnn(**SMALL), seed=seed)
        assert tensors() <= after_one


def _saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _accuracy_in_child(distiller: Distiller) -> tuple[float, bool]:
    result = distiller.distill(templates.bag_of_words(**SMALL), seed=1)
    return result.accuracy, distiller.teacher._model is None


@pytest.mark.slow
def test_another_process_trains_the_same_student_without_the_teacher_s_weights(
    teacher: Teacher, parts: tuple[TextDataset, TextDataset]
) -> None:
    distiller = Distiller(teacher, *parts, epochs=2, progress=False)
    here = distiller.distill(templates.bag_of_words(**SMALL), seed=1).accuracy
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there, without_weights = pool.apply(_accuracy_in_child, (distiller,))
    assert there == here
    assert without_weights
