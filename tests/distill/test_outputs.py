"""The teacher's cache: computed once, never damaged, never stale."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.data import TextDataset
from rosearch.distill import Teacher, Wanted
from rosearch.distill.teacher import array_cache as cache
from rosearch.distill.teacher import outputs
from rosearch.errors import DataError
from rosearch.tokens import answers
from tests.distill.teacher_outputs import EVERYTHING, arrays, assert_same, files


class TestComputedOnce:
    def test_order_labels_and_repetitions_do_not_matter(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, counted: list[int]
    ) -> None:
        first = arrays(fresh(), dataset)
        assert sum(counted) == 200
        order = np.random.default_rng(0).permutation(200)
        shuffled = dataset.select(order)
        assert_same(arrays(fresh(), shuffled), {k: v[order] for k, v in first.items()})
        twice = TextDataset.unlabelled([*dataset.texts, *dataset.texts], classes=dataset.classes)
        assert_same(arrays(fresh(), twice), {k: np.concatenate([v, v]) for k, v in first.items()})
        assert sum(counted) == 200

    def test_another_batch_size_changes_the_last_bits_at_most(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        tmp_path: Path,
        counted: list[int],
    ) -> None:
        first = arrays(fresh(storage="float32"), dataset)
        for budget in (20, 100_000):
            teacher = fresh(storage="float32", cache_dir=tmp_path / str(budget))
            teacher.outputs(dataset, EVERYTHING, token_budget=budget, progress=False)
            other = arrays(teacher, dataset)
            for name, values in first.items():
                np.testing.assert_allclose(other[name], values, atol=1e-5, rtol=1e-5)
        passes = len(counted)
        again = fresh(storage="float32").outputs(dataset, EVERYTHING, token_budget=20)
        np.testing.assert_array_equal(again.logits(), first["logits"])
        assert len(counted) == passes

    def test_what_is_there_is_not_computed_again(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, counted: list[int]
    ) -> None:
        teacher = fresh()
        teacher.logits(dataset, progress=False)
        logits = next(p for p in files(teacher) if p.name == "logits.float32")
        written = logits.stat().st_mtime_ns
        arrays(teacher, dataset, Wanted(hidden_states=(2,)))
        assert logits.stat().st_mtime_ns == written
        arrays(teacher, dataset, Wanted(logits=False, hidden_states=(2,)))
        assert counted == [200, 200]

    def test_two_threads_share_the_work(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, counted: list[int]
    ) -> None:
        found: list[dict[str, Any]] = []

        def work(teacher: Teacher) -> None:
            found.append(arrays(teacher, dataset))

        threads = [threading.Thread(target=work, args=(fresh(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 3
        assert sum(counted) == 200
        assert_same(found[0], found[1])
        assert_same(found[0], found[2])

    def test_small_parts_hold_the_same(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        whole = arrays(fresh(storage="float32"), dataset)
        monkeypatch.setattr(cache, "ROWS_A_PART", 16)
        parts = arrays(fresh(storage="float32", cache_dir=tmp_path / "b"), dataset)
        for name, values in whole.items():
            np.testing.assert_allclose(parts[name], values, atol=1e-5, rtol=1e-5)
        # Files in other parts are not mistaken for one's own.
        assert_same(arrays(fresh(storage="float32"), dataset), parts)


def _in_child(folder: Path, texts: tuple[str, ...], barrier: Any, queue: Any) -> None:
    teacher = Teacher.from_pretrained(folder / "model", cache_dir=folder / "cache")
    barrier.wait()
    data = TextDataset.unlabelled(texts, classes=("a", "b"))
    found = teacher.outputs(data, EVERYTHING, progress=False)
    batch = found.batch(np.arange(len(data)), length=64)
    queue.put((batch.hidden_states[2].float().numpy(), teacher.logits(data)))


@pytest.mark.slow
def test_two_processes_at_once(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    tiny_bert().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    orders = [dataset.texts, dataset.texts[::-1]]
    children = [
        context.Process(target=_in_child, args=(tmp_path, texts, barrier, queue))
        for texts in orders
    ]
    for child in children:
        child.start()
    results = [queue.get(timeout=200) for _ in children]
    for child in children:
        child.join()
    states, logits = zip(*results, strict=True)
    assert sorted(map(bytes, logits)) == sorted([bytes(logits[0]), bytes(logits[0][::-1].copy())])
    assert np.array_equal(states[0], states[1]) or np.array_equal(states[0], states[1][::-1])
    alone = Teacher.from_pretrained(tmp_path / "model", cache_dir=tmp_path / "alone")
    ours = alone.logits(dataset, progress=False)
    assert any(np.array_equal(ours, other) for other in logits)


class TestInterruption:
    def test_goes_on_after_the_last_whole_part(
        self,
        small_parts: None,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        counted: list[int],
    ) -> None:
        expected = arrays(fresh(), dataset)
        killed = fresh(cache_dir=tmp_path / "killed")
        done: list[int] = []

        def dying(model: Any, rows: Any, *args: Any, **kwargs: Any) -> Any:
            if len(done) == 5:
                raise KeyboardInterrupt
            done.append(len(rows))
            yield from answers(model, rows, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(outputs, "answers", dying)
            with pytest.raises(KeyboardInterrupt):
                arrays(killed, dataset)
        assert not list(tmp_path.rglob("*.tmp"))
        counted.clear()
        again = arrays(fresh(cache_dir=tmp_path / "killed"), dataset)
        assert sum(counted) == 200 - 5 * 16
        assert_same(again, expected)

    def test_a_damaged_part_is_where_it_begins_again(
        self,
        small_parts: None,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        counted: list[int],
    ) -> None:
        teacher = fresh()
        expected = arrays(teacher, dataset)
        path = next(p for p in files(teacher) if p.name == "hidden-1.bfloat16")
        path.write_bytes(_flipped(path.read_bytes(), at=path.stat().st_size // 2))
        counted.clear()
        assert_same(arrays(fresh(), dataset), expected)
        assert 0 < sum(counted) < 120


def _flipped(data: bytes, *, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class TestDamage:
    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: _flipped(data, at=len(data) - 1),
            lambda data: _flipped(data, at=0),
            lambda data: data[: len(data) // 2],
            lambda data: data + b"more",
            lambda data: b"",
            lambda data: None,
        ],
        ids=["last bit", "first bit", "half", "longer", "empty", "gone"],
    )
    def test_of_the_data(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        damage: Callable[[bytes], bytes | None],
    ) -> None:
        data = dataset[:30]
        expected = arrays(fresh(), data)
        paths = files(fresh())
        assert len(paths) == 7
        for path in paths:
            broken = damage(path.read_bytes())
            path.unlink()
            if broken is not None:
                path.write_bytes(broken)
        assert_same(arrays(fresh(), data), expected)

    @pytest.mark.parametrize(
        "change",
        [
            lambda m: "",
            lambda m: "{",
            lambda m: "[]",
            lambda m: json.dumps({**m, "format": 0}),
            lambda m: json.dumps({**m, "identity": {**m["identity"], "teacher": "another"}}),
            lambda m: json.dumps({**m, "sums": m["sums"] * 2}),
            lambda m: json.dumps({**m, "sums": []}),
            lambda m: json.dumps({**m, "sums": [m["sums"][0] ^ 1, *m["sums"][1:]]}),
        ],
        ids=["empty", "half", "list", "format", "teacher", "too many", "none", "other sum"],
    )
    def test_of_the_manifest(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        counted: list[int],
        change: Callable[[dict[str, Any]], str],
    ) -> None:
        data = dataset[:30]
        expected = arrays(fresh(), data)
        held = fresh().outputs(data, EVERYTHING, progress=False)
        for path in files(fresh()):
            manifest = path.with_name(path.name + ".json")
            manifest.write_text(change(json.loads(manifest.read_text())))
        counted.clear()
        assert_same(arrays(fresh(), data), expected)
        assert counted == [30]
        # Who had the files mapped before still reads what was in them.
        still = held.batch(np.arange(30), length=64).hidden_states[1].float().numpy()
        np.testing.assert_array_equal(still, expected["hidden-1"])

    def test_files_of_another_teacher_in_the_right_place(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        data = dataset[:30]
        one, other = (Teacher(tiny_bert(seed=s), tokenizer, cache_dir=tmp_path) for s in (0, 1))
        expected, foreign = np.array(one.logits(data)), np.array(other.logits(data))
        assert not np.array_equal(expected, foreign)
        target, source = (tmp_path / "teachers" / t.fingerprint for t in (one, other))
        shutil.rmtree(target)
        shutil.copytree(source, target)
        np.testing.assert_array_equal(one.logits(data), expected)

    def test_large_files_are_verified_when_they_changed(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        monkeypatch: pytest.MonkeyPatch,
        counted: list[int],
    ) -> None:
        monkeypatch.setattr(cache, "ALWAYS_CHECKED", 0)
        expected = arrays(fresh(), dataset)
        verified: list[Path] = []
        original = cache.CachedArray._good_parts
        monkeypatch.setattr(
            cache.CachedArray,
            "_good_parts",
            lambda self, sums: verified.append(self.path) or original(self, sums),
        )
        assert_same(arrays(fresh(), dataset), expected)
        assert verified == []
        path = next(p for p in files(fresh()) if p.name == "values-2.bfloat16")
        os.utime(path, ns=(1, 1))
        for _ in range(2):  # verified once, and remembered
            assert_same(arrays(fresh(), dataset), expected)
            assert verified == [path]
        counted.clear()
        path.write_bytes(_flipped(path.read_bytes(), at=9))
        assert_same(arrays(fresh(), dataset), expected)
        assert sum(counted) == 200

    def test_outputs_that_are_not_finite_are_refused(
        self, fresh: Callable[..., Teacher], dataset: TextDataset
    ) -> None:
        teacher = fresh()
        with torch.no_grad():
            teacher.model.classifier.bias[0] = float("nan")
        with pytest.raises(DataError, match="logits are not finite"):
            teacher.logits(dataset[:4], progress=False)
        with torch.no_grad():
            teacher.model.classifier.bias[0] = 0.0
        assert np.isfinite(teacher.logits(dataset[:4], progress=False)).all()

    def test_another_shape_than_was_reserved_is_refused(self, tmp_path: Path) -> None:
        array = cache.CachedArray(
            tmp_path / "x", identity={"what": "values-1"}, offsets=np.array([0, 2, 3]), width=4,
            storage="float32",
        )  # fmt: skip
        array.begin()
        for shape in ((3, 2), (2, 4), (3, 4, 1)):
            with pytest.raises(DataError, match=rf"values-1 have .*{shape[0]}, .*expected \(3, 4"):
                array.write(0, torch.zeros(shape))
        array.write(0, torch.ones(3, 4))
        np.testing.assert_array_equal(array.open(), np.ones((3, 4)))

    def test_files_are_as_open_to_others_as_the_umask_says(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, tmp_path: Path
    ) -> None:
        before = os.umask(0o002)
        try:
            teacher = fresh()
            arrays(teacher, dataset[:5])
            assert teacher.embedding.tokens.size
            found = list((tmp_path / "cache").rglob("*"))
            manifests = [path for path in found if path.suffix == ".json"]
            assert len(manifests) == 7
            for path in found:
                assert path.stat().st_mode & 0o777 == (0o775 if path.is_dir() else 0o664), path
        finally:
            os.umask(before)


class TestNumbers:
    def test_bfloat16_is_rounded_once_and_read_exactly(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, tmp_path: Path
    ) -> None:
        exact = arrays(fresh(storage="float32"), dataset)
        stored = fresh().outputs(dataset, EVERYTHING, progress=False)
        half = arrays(fresh(), dataset)
        assert stored.arrays["hidden-1"].dtype == np.uint16
        assert stored.batch(np.arange(2), length=64).hidden_states[1].dtype == torch.bfloat16
        np.testing.assert_array_equal(half["logits"], exact["logits"])
        for name in half.keys() - {"logits"}:
            rounded = torch.from_numpy(exact[name]).to(torch.bfloat16).float().numpy()
            np.testing.assert_array_equal(half[name], rounded)
        assert (half["hidden-1"] != exact["hidden-1"]).any()

    def test_a_teacher_in_bfloat16_has_a_cache_of_its_own(
        self, fresh: Callable[..., Teacher], dataset: TextDataset
    ) -> None:
        exact = arrays(fresh(), dataset)
        teacher = fresh(precision="bfloat16")
        low = arrays(teacher, dataset)
        assert next(teacher.model.parameters()).dtype == torch.float32
        assert not np.array_equal(low["logits"], exact["logits"])
        np.testing.assert_allclose(low["logits"], exact["logits"], atol=0.05)
        assert_same(arrays(fresh(), dataset), exact)

    def test_a_model_in_bfloat16_is_computed_in_the_teacher_s_precision(
        self, tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
    ) -> None:
        low = tiny_bert().to(torch.bfloat16)
        full = copy.deepcopy(low).float()
        found, expected = (
            Teacher(model, tokenizer, cache_dir=tmp_path).logits(dataset) for model in (low, full)
        )
        np.testing.assert_array_equal(found, expected)
        assert next(low.parameters()).dtype == torch.bfloat16

    def test_size_is_known_before(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, counted: list[int]
    ) -> None:
        for storage, number in (("bfloat16", 2), ("float32", 4)):
            teacher = fresh(storage=storage)
            tokens = sum(len(ids) for ids in teacher.tokenizer(list(dataset.texts))["input_ids"])
            expected = 5 * tokens * 32 * number + 200 * 32 * number
            logits = 200 * 2 * 4 if storage == "bfloat16" else 0  # there by the second time
            assert teacher.cache_size(dataset, EVERYTHING) == expected + logits
            assert not [p for p in files(teacher) if p.name.endswith(storage)] or logits == 0
            arrays(teacher, dataset)
            assert teacher.cache_size(dataset, EVERYTHING) == 0
        assert sum(p.stat().st_size for p in files(fresh())) == (
            5 * tokens * 32 * 6 + 200 * 32 * 6 + 200 * 2 * 4
        )
        assert fresh().cache_size(dataset[:10]) == 10 * 2 * 4

    def test_a_full_disk_is_said_before(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        counted: list[int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        usage = shutil._ntuple_diskusage(100, 50, 50)  # type: ignore[attr-defined]
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(DataError, match=r"outputs take 1\.6 kB, and .* has room for 50 bytes"):
            fresh().logits(dataset, progress=False)
        assert counted == []

    def test_other_texts_than_the_teacher_read_are_refused(
        self, fresh: Callable[..., Teacher], dataset: TextDataset
    ) -> None:
        found = fresh().outputs(dataset[:5], Wanted(hidden_states=(1,)), progress=False)
        with pytest.raises(DataError, match="tokens where the student reads 3"):
            found.batch(np.arange(5), length=3)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")
def test_only_the_rows_of_a_batch_are_touched(tmp_path: Path) -> None:
    examples, tokens, width = 4000, 32, 256  # 65 MB in bfloat16, 131 in float32
    offsets = np.arange(examples + 1) * tokens
    path = tmp_path / "hidden-1.float32"
    with path.open("wb") as file:
        file.truncate(int(offsets[-1]) * width * 4)
    mapped = np.memmap(path, np.float32, mode="r", shape=(int(offsets[-1]), width))
    found = outputs.TeacherOutputs(np.arange(examples), offsets, {"hidden-1": mapped})

    def resident() -> int:
        text = Path("/proc/self/smaps").read_text()
        entry = text[text.index(str(path)) :]
        return int(re.search(r"Rss:\s+(\d+) kB", entry)[1]) * 1024  # type: ignore[index]

    assert resident() == 0
    rows = np.arange(0, examples, examples // 8)
    batch = found.batch(rows, length=tokens)
    assert batch.hidden_states[1].shape == (8, tokens, width)
    needed = len(rows) * tokens * width * 4
    # The kernel maps up to 64 kB around a page that is touched.
    assert needed <= resident() <= needed + len(rows) * 2 * 65536
    assert found.offsets is offsets
