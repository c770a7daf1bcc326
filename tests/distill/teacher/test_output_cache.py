"""The teacher's disk cache: computed once, never stale, and safe from crashes."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.data import TextDataset
from rosearch.distill import Teacher, Wanted
from rosearch.distill.teacher import output_cache, output_reader
from rosearch.distill.teacher.outputs import Output, OutputPart, TeacherOutputs
from rosearch.distill.tensor_files import read_tensors, read_unverified, write_tensors
from rosearch.errors import DataError
from rosearch.tokens import answers
from tests.distill.teacher.teacher_outputs import EVERYTHING, arrays, assert_same, files


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

    def test_another_batch_size_changes_only_the_last_bits(
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

    def test_cached_outputs_are_not_computed_again(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        counted: list[int],
        tmp_path: Path,
    ) -> None:
        teacher = fresh()
        teacher.logits(dataset, progress=False)
        (logits,) = files(tmp_path / "cache")
        written = logits.stat().st_mtime_ns
        arrays(teacher, dataset, Wanted(hidden_states=(2,)))
        assert logits.stat().st_mtime_ns == written
        arrays(teacher, dataset, Wanted(logits=False, hidden_states=(2,)))
        assert counted == [200, 200]

    def test_threads_share_the_work(
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

    def test_small_files_hold_the_same_outputs(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        whole = arrays(fresh(storage="float32"), dataset)
        monkeypatch.setattr(output_cache, "TEXTS_PER_FILE", 16)
        parts = arrays(fresh(storage="float32", cache_dir=tmp_path / "b"), dataset)
        for name, values in whole.items():
            np.testing.assert_allclose(parts[name], values, atol=1e-5, rtol=1e-5)

    def test_outputs_in_memory_write_no_file(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, tmp_path: Path
    ) -> None:
        teacher = fresh()
        in_memory = teacher.outputs(dataset[:9], Wanted(), cached=False)
        assert files(tmp_path / "cache") == []
        assert teacher.cache_size(dataset[:9]) == 9 * (2 * 4 + 16)
        np.testing.assert_allclose(in_memory.logits(), teacher.logits(dataset[:9]), atol=1e-6)


class TestKnownTexts:
    """Texts are served from whatever files hold them."""

    @pytest.fixture
    def whole(
        self, small_files: None, fresh: Callable[..., Teacher], dataset: TextDataset
    ) -> dict[str, Any]:
        """All outputs for the data set, now in 13 files each."""
        return arrays(fresh(), dataset)

    def test_a_subset_equals_its_rows_of_the_whole(
        self,
        whole: dict[str, Any],
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        counted: list[int],
    ) -> None:
        for rows in (np.arange(120), np.array([199, 3, 3, 0]), np.array([7])):
            found = arrays(fresh(), dataset.select(rows))
            assert_same(found, {name: values[rows] for name, values in whole.items()})
        assert counted == []

    def test_a_union_of_data_sets_computes_nothing(
        self, small_files: None, fresh: Callable[..., Teacher], dataset: TextDataset, counted: Any
    ) -> None:
        parts = (dataset[:70], dataset[90:], dataset[70:90])
        found = [fresh().logits(part, progress=False) for part in parts]
        assert counted == [16] * 4 + [6] + [16] * 6 + [14] + [16, 4]
        counted.clear()
        together = fresh().logits(dataset, progress=False)
        order = [*range(70), *range(90, 200), *range(70, 90)]
        np.testing.assert_array_equal(together[order], np.concatenate(found))
        assert counted == []

    def test_only_new_texts_are_computed(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, counted: list[int]
    ) -> None:
        first = fresh().logits(dataset[:50], progress=False)
        both = fresh().logits(dataset[:80], progress=False)
        np.testing.assert_array_equal(both[:50], first)
        assert counted == [50, 30]

    def test_each_output_may_be_known_for_other_texts(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, tmp_path: Path, counted: Any
    ) -> None:
        logits, states = Wanted(), Wanted(logits=False, pooled=True, hidden_states=(1,))
        for wanted, data in ((logits, dataset[:60]), (states, dataset[40:90])):
            fresh().outputs(data, wanted, progress=False)
        both = Wanted(pooled=True, hidden_states=(1,))
        counted.clear()
        found = arrays(fresh(), dataset[:100], both)
        # Neither output; the states only; the logits only.
        assert sorted(counted) == [10, 30, 40]
        alone = arrays(fresh(cache_dir=tmp_path / "alone"), dataset[:100], both)
        tolerance = {"logits": 1e-5, "pooled": 0.02, "hidden-1": 0.02}
        for name, values in alone.items():
            np.testing.assert_allclose(found[name], values, atol=tolerance[name], rtol=0.02)

    def test_known_texts_are_not_tokenised(
        self, whole: dict[str, Any], fresh: Callable[..., Teacher], dataset: TextDataset
    ) -> None:
        teacher = fresh()
        teacher.tokenize = None  # type: ignore[method-assign, assignment]
        assert_same(arrays(teacher, dataset), whole)

    def test_of_two_files_with_a_text_the_first_by_name_counts(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, tmp_path: Path
    ) -> None:
        fresh().logits(dataset[:5], progress=False)
        (path,) = files(tmp_path / "cache")
        tensors = read_tensors(path)
        assert tensors is not None
        write_tensors(path.with_name("0.safetensors"), {**tensors, "values": tensors["values"] + 1})
        write_tensors(path.with_name("z.safetensors"), {**tensors, "values": tensors["values"] + 2})
        found = fresh().logits(dataset[:5], progress=False)
        expected = fresh(cache_dir=tmp_path / "alone").logits(dataset[:5], progress=False)
        np.testing.assert_array_equal(found, expected + 1)

    def test_pairs_and_single_texts_are_told_apart(
        self, fresh: Callable[..., Teacher], counted: list[int]
    ) -> None:
        pairs = [("a good film", "a dull plot"), ("a dull plot", "a good film"), ("a", "b")]
        texts = ["a good film", "a good filma dull plot", "paira", "pair"]
        data = [TextDataset.unlabelled(x, classes=("0", "1")) for x in (pairs, texts)]
        first = [arrays(fresh(), one) for one in data]
        assert counted == [3, 4]
        assert_same(arrays(fresh(), data[0][:2]), {k: v[:2] for k, v in first[0].items()})
        assert len({bytes(row) for one in first for row in one["logits"]}) == 7
        assert counted == [3, 4]

    def test_files_of_other_texts_are_not_read_in_full(
        self,
        whole: dict[str, Any],
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        opened: list[Path] = []

        def opening(path: Path) -> Any:
            opened.append(path)
            return read_tensors(path)

        monkeypatch.setattr(output_cache, "read_tensors", opening)
        np.testing.assert_array_equal(fresh().logits(dataset[:2]), whole["logits"][:2])
        assert 1 <= len(opened) <= 2


def _in_child(folder: Path, texts: tuple[str, ...], barrier: Any, queue: Any) -> None:
    teacher = Teacher.from_pretrained(folder / "model", cache_dir=folder / "cache")
    barrier.wait()
    data = TextDataset.unlabelled(texts, classes=("a", "b"))
    queue.put((texts, arrays(teacher, data)))


@pytest.mark.slow
def test_two_processes_at_once_share_the_texts_that_both_need(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    tiny_bert().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    children = [
        context.Process(target=_in_child, args=(tmp_path, texts, barrier, queue))
        for texts in (dataset.texts[:150], dataset.texts[50:][::-1])
    ]
    for child in children:
        child.start()
    results = [queue.get(timeout=200) for _ in children]
    for child in children:
        child.join()
    (texts, first), (others, second) = results
    ours, theirs = zip(
        *((k, others.index(text)) for k, text in enumerate(texts) if text in others), strict=True
    )
    assert len(ours) == 100
    assert_same(
        {name: values[list(ours)] for name, values in first.items()},
        {name: values[list(theirs)] for name, values in second.items()},
    )
    held = [read_unverified(path, "texts") for path in files(tmp_path / "cache")]
    assert sum(len(found) for found in held if found is not None) == 7 * 200


class TestCrashes:
    def test_resumes_after_the_last_whole_file(
        self,
        small_files: None,
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
            patch.setattr(output_reader, "answers", dying)
            with pytest.raises(KeyboardInterrupt):
                arrays(killed, dataset)
        assert not list(tmp_path.rglob("*.tmp"))
        counted.clear()
        again = arrays(fresh(cache_dir=tmp_path / "killed"), dataset)
        assert sum(counted) == 200 - 5 * 16
        assert_same(again, expected)

    def test_only_lost_files_are_computed_again(
        self,
        small_files: None,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        tmp_path: Path,
        counted: list[int],
    ) -> None:
        expected = arrays(fresh(), dataset)
        files(tmp_path / "cache")[5].unlink()
        counted.clear()
        assert_same(arrays(fresh(), dataset), expected)
        assert counted == [16]

    def test_a_damaged_file_among_others_is_replaced(
        self,
        small_files: None,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        tmp_path: Path,
        counted: list[int],
    ) -> None:
        expected = fresh().logits(dataset[:40], progress=False)
        before = files(tmp_path / "cache")
        for path in before[:2]:
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        counted.clear()
        np.testing.assert_allclose(
            fresh().logits(dataset[:70], progress=False)[:40], expected, atol=1e-5
        )
        # Its texts are computed with those that are new, so that files are full.
        assert set(counted[:-1]) == {16}
        after = files(tmp_path / "cache")
        assert all(read_tensors(path) is not None for path in after)
        assert set(after) >= set(before[2:])
        fresh().logits(dataset[:70], progress=False)
        assert len(files(tmp_path / "cache")) == len(after)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[:-1] + bytes([data[-1] ^ 1]),
            lambda data: data[: len(data) // 2],
            lambda data: data + b"more",
            lambda data: b"",
        ],
        ids=["last bit", "half", "longer", "empty"],
    )
    def test_damaged_files_are_computed_again(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        tmp_path: Path,
        damage: Callable[[bytes], bytes],
    ) -> None:
        data = dataset[:30]
        expected = arrays(fresh(), data)
        paths = files(tmp_path / "cache")
        assert len(paths) == 7
        held = fresh().outputs(data, EVERYTHING, progress=False)
        for path in paths:
            broken = damage(path.read_bytes())
            path.unlink()
            path.write_bytes(broken)
        assert_same(arrays(fresh(), data), expected)
        # A process that had mapped the old files still reads them.
        still = held.batch(np.arange(30), length=64).hidden_states[1].float().numpy()
        np.testing.assert_array_equal(still, expected["hidden-1"])

    def test_too_little_disk_space_is_refused_before_computing(
        self,
        fresh: Callable[..., Teacher],
        dataset: TextDataset,
        counted: list[int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        usage = shutil._ntuple_diskusage(100, 50, 50)  # type: ignore[attr-defined]
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(DataError, match=r"outputs take 4\.80kB, and .* has space for 50\.0B"):
            fresh().logits(dataset, progress=False)
        assert counted == []

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

    def test_file_permissions_follow_the_umask(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, tmp_path: Path
    ) -> None:
        before = os.umask(0o002)
        try:
            teacher = fresh()
            arrays(teacher, dataset[:5])
            assert teacher.embedding.tokens.size
            found = list((tmp_path / "cache").rglob("*"))
            assert len([path for path in found if path.suffix == ".safetensors"]) == 8
            for path in found:
                assert path.stat().st_mode & 0o777 == (0o775 if path.is_dir() else 0o664), path
        finally:
            os.umask(before)


class TestStorage:
    def test_bfloat16_is_rounded_once_and_read_exactly(
        self, fresh: Callable[..., Teacher], dataset: TextDataset
    ) -> None:
        exact = arrays(fresh(storage="float32"), dataset)
        stored = fresh().outputs(dataset, EVERYTHING, progress=False)
        half = arrays(fresh(), dataset)
        assert stored.batch(np.arange(2), length=64).hidden_states[1].dtype == torch.bfloat16
        np.testing.assert_array_equal(half["logits"], exact["logits"])
        for name in half.keys() - {"logits"}:
            rounded = torch.from_numpy(exact[name]).to(torch.bfloat16).float().numpy()
            np.testing.assert_array_equal(half[name], rounded)
        assert (half["hidden-1"] != exact["hidden-1"]).any()

    def test_size_is_known_before_computing(
        self, fresh: Callable[..., Teacher], dataset: TextDataset
    ) -> None:
        for storage, number in (("bfloat16", 2), ("float32", 4)):
            teacher = fresh(storage=storage)
            tokens = sum(len(ids) for ids in teacher.tokenizer(list(dataset.texts))["input_ids"])
            # Of each text also a digest and, where there is a row per token, its length.
            per_token, pooled = tokens * 32 * number + 200 * 20, 200 * (32 * number + 16)
            expected = 5 * per_token + pooled
            # Cached by the second time.
            logits = 200 * (2 * 4 + 16) if storage == "bfloat16" else 0
            assert teacher.cache_size(dataset, EVERYTHING) == expected + logits
            arrays(teacher, dataset)
            assert teacher.cache_size(dataset, EVERYTHING) == 0
        new = TextDataset.unlabelled([*dataset.texts[:30], "new", "newer"], classes=("a", "b"))
        assert fresh().cache_size(new) == 2 * (2 * 4 + 16)

    def test_size_is_that_of_the_tensors_in_the_files(
        self, fresh: Callable[..., Teacher], dataset: TextDataset, tmp_path: Path
    ) -> None:
        expected = fresh().cache_size(dataset, EVERYTHING)
        arrays(fresh(), dataset)
        found = [read_tensors(path) for path in files(tmp_path / "cache")]
        assert sum(t.nbytes for tensors in found for t in (tensors or {}).values()) == expected

    def test_texts_longer_than_the_student_s_are_refused(
        self, fresh: Callable[..., Teacher], dataset: TextDataset
    ) -> None:
        found = fresh().outputs(dataset[:5], Wanted(hidden_states=(1,)), progress=False)
        with pytest.raises(DataError, match="student reads only 3"):
            found.batch(np.arange(5), length=3)


def test_the_cache_of_another_teacher_is_not_used(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    data = dataset[:30]
    one, other = (Teacher(tiny_bert(seed=s), tokenizer, cache_dir=tmp_path) for s in (0, 1))
    first, second = np.array(one.logits(data)), np.array(other.logits(data))
    assert not np.array_equal(first, second)
    shutil.rmtree(tmp_path / "teachers")
    np.testing.assert_array_equal(other.logits(data), second)
    np.testing.assert_array_equal(one.logits(data), first)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux's /proc")
def test_a_batch_reads_only_its_rows_from_disk(tmp_path: Path) -> None:
    examples, tokens, width = 4000, 32, 256
    size = examples * tokens * width * 4  # 131 MB
    entry = {"dtype": "F32", "shape": [examples * tokens, width], "data_offsets": [0, size]}
    checksum = {"crc32": str(zlib.crc32(bytes(size)))}
    header = json.dumps({"values": entry, "__metadata__": checksum}).encode()
    path = tmp_path / "hidden-1"
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)  # sparse: the kernel reads ahead little
    mapped = read_tensors(path)
    assert mapped is not None
    with path.open("rb") as file:  # forget what verifying the checksum has read
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    part = OutputPart(mapped["values"], np.arange(examples + 1) * tokens)
    found = TeacherOutputs({"hidden-1": Output([part], np.arange(examples))})

    def resident() -> int:
        text = Path("/proc/self/smaps").read_text()
        entries = text.split(str(path))[1:]
        sizes = [re.search(r"Rss:\s+(\d+) kB", entry) for entry in entries]
        return sum(int(size[1]) for size in sizes if size) * 1024

    before = resident()
    rows = np.arange(0, examples, examples // 8)
    batch = found.batch(rows, length=tokens)
    assert batch.hidden_states[1].shape == (8, tokens, width)
    needed = len(rows) * tokens * width * 4
    # The kernel maps up to 64 kB around an accessed page.
    assert needed <= resident() - before <= needed + len(rows) * 2 * 65536
