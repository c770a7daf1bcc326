from __future__ import annotations

import contextlib

import pytest
from transformers.utils import logging

from rosearch.quiet import quiet_transformers


@pytest.fixture(autouse=True)
def _restored():
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    yield
    logging.set_verbosity(verbosity)
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()


@pytest.mark.parametrize("bars", [True, False])
@pytest.mark.parametrize("verbosity", [logging.INFO, logging.WARNING, logging.CRITICAL])
def test_everything_is_as_it_was_afterwards(bars, verbosity):
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
    logging.set_verbosity(verbosity)
    for warnings in (True, False):
        with quiet_transformers(warnings=warnings):
            assert not logging.is_progress_bar_enabled()
            quiet = logging.get_verbosity() > logging.WARNING
            assert quiet == (not warnings or verbosity > logging.WARNING)
        assert logging.is_progress_bar_enabled() == bars
        assert logging.get_verbosity() == verbosity


def test_an_error_changes_nothing_about_it():
    logging.set_verbosity(logging.WARNING)
    with contextlib.suppress(KeyError), quiet_transformers(warnings=False):
        raise KeyError
    assert logging.get_verbosity() == logging.WARNING
