"""The differences between settings."""

from __future__ import annotations

from rosearch.differences import differences


def test_differences_name_each_setting_that_differs():
    def settings(**last):
        attack = {"name": "long", "words": ["word"] * 100, **last}
        return {"attacks": [{"name": "first"}, attack], "examples": [1, 2]}

    def lines(stored, current):
        return list(differences(stored, current))

    assert lines(settings(), settings()) == []
    assert lines(settings(keep=1), settings(keep=2)) == ["attacks[1].keep: 1 in the study, 2 now"]
    assert lines(settings(keep=1), settings()) == ["attacks[1].keep: 1 in the study, not set now"]
    assert lines(settings(), {**settings(), "examples": [1, 3]}) == [
        "examples: [1, 2] in the study, [1, 3] now"
    ]
    changed = settings(words=["word"] * 99 + ["last"])
    (line,) = lines(settings(), changed)
    assert line.startswith("attacks[1].words: ...")
    assert line.endswith("'last'] now")
    (line,) = lines({"a": "x" * 500}, {"a": "y" * 500})
    assert line == f"a: '{'x' * 119}... in the study, '{'y' * 119}... now"
    (line,) = lines({"attacks": [{"name": "a"}] * 30}, {"attacks": [{"name": "a"}] * 29})
    assert len(line) < 300


def test_a_long_list_is_one_difference_and_shown_where_it_begins_to_differ():
    stored, current = list(range(100)), [*range(90), *range(1000, 1010)]
    (line,) = differences({"examples": stored}, {"examples": current})
    assert "89, 90, 91" in line
    assert "89, 1000, 1001" in line
    assert len(line) < 330
