"""PyTorch's threads while rosearch computes, and before and after it."""

from __future__ import annotations

import logging
import threading

import pytest
import torch

from rosearch.threads import batches_at_once, computing

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def state():
    return torch.get_num_threads(), batches_at_once()


def test_an_operation_gets_one_thread_and_batches_get_all():
    assert state() == (3, 3)
    with computing(CPU):
        assert state() == (1, 3)
        with computing(CPU):
            assert state() == (1, 3)
    assert state() == (3, 3)


def test_a_given_number_is_that_of_both():
    with computing(CPU, 2):
        assert state() == (2, 2)
        with computing(CPU):
            assert state() == (1, 2)
        assert state() == (2, 2)
    assert state() == (3, 3)


def test_threads_are_restored_after_an_error():
    with pytest.raises(KeyError), computing(CPU, 2):
        raise KeyError
    assert state() == (3, 3)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [3]


def test_on_a_gpu_nothing_changes():
    with computing(torch.device("cuda"), 2):
        assert state() == (3, 3)


def test_threads_that_wait_asleep_are_gone_afterwards():
    def names():
        return {thread.name for thread in threading.enumerate()}

    with computing(CPU, 2):
        assert "rosearch-threads" in names()
    assert "rosearch-threads" not in names()
    with computing(CPU):  # nothing waits for another thread
        assert "rosearch-threads" not in names()


def test_the_log_says_what_was_chosen(caplog):
    with caplog.at_level(logging.INFO, "rosearch"), computing(CPU, work="a fit"):
        assert caplog.messages == ["a fit: threads 1, batches predicted at a time 3"]
