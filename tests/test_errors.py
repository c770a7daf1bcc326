from __future__ import annotations

import inspect
import pickle

import pytest

from rosearch import errors

ALL = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, errors.RosearchError)
]


@pytest.mark.parametrize("cls", ALL)
def test_every_error_is_caught_as_rosearch_error_and_survives_a_process(cls):
    with pytest.raises(errors.RosearchError, match="what came"):
        raise cls("what came\nand what to do")
    again = pickle.loads(pickle.dumps(cls("a\nb")))
    assert type(again) is cls
    assert str(again) == "a\nb"


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.GenomeError, ValueError),
        (errors.SpaceError, ValueError),
        (errors.DataError, ValueError),
        (errors.RegistryError, KeyError),
        (errors.MissingResourceError, RuntimeError),
        (errors.StorageError, RuntimeError),
        (errors.StudyMismatchError, errors.StorageError),
        (errors.EvaluationError, RuntimeError),
        (errors.StatisticsError, ValueError),
    ],
)
def test_errors_are_also_what_a_caller_would_guess(cls, builtin):
    assert issubclass(cls, builtin)


def test_registry_error_shows_line_breaks_unlike_key_error():
    assert str(errors.RegistryError("one\ntwo")) == "one\ntwo"
    assert str(errors.RegistryError()) == ""
