"""Records and reports for tests of reports."""

from __future__ import annotations

from rosearch.attack import AttackResult
from rosearch.attack.report.summary import join_attacks, summarise


def record(status: str, *, label: int = 0, **kw: object) -> AttackResult:
    defaults = {
        "skipped": {"predicted": 1, "queries": 1},
        "succeeded": {"predicted": 0, "queries": 10, "words": 4, "changed": (1,), "perturbed": "x"},
        "failed": {"predicted": 0, "queries": 20, "words": 4, "changed": (1, 2), "perturbed": "y"},
        # Possible only with goals other than the default.
        "met but right": {"predicted": 0, "queries": 10, "words": 4, "perturbed": "x"},
        "missed but wrong": {"predicted": 0, "queries": 10, "words": 4, "perturbed": "x"},
        "error": {"predicted": 0, "queries": 3, "error": "ValueError: no"},
        "unseen": {"predicted": None, "queries": 1, "error": "ValueError: no"},
    }[status]
    after = {"succeeded": 1, "missed but wrong": 2, "failed": 0, "met but right": 0}.get(status)
    defaults = {**defaults, "perturbed_predicted": after}
    names = {"unseen": "error", "met but right": "succeeded", "missed but wrong": "failed"}
    status = names.get(status, status)
    fields = {"attack": "test", "index": 0, "text": "a b c d", "label": label}
    return AttackResult(**{**fields, "status": status, **defaults, **kw})


def report(*statuses: str):
    results = [record(status) for status in statuses]
    return summarise(results, forward_rows=5, seconds=1.0, settings={"seed": 0})


def several():
    pair = {"text": ("a premise", "a dull film"), "perturbed": ("a premise", "a drab movie")}
    one = [record("succeeded", attack="one", changed=(1, 2), **pair), record("failed")]
    two = [record("skipped", attack="two"), record("unseen", attack="two", index=1)]
    reports = {
        name: summarise(results, forward_rows=7, seconds=0.5, settings={"attacks": [{"x": [1]}]})
        for name, results in (("one", one), ("two", two))
    }
    return join_attacks(reports, {"seed": 0, "examples": [0, 1]})


def record_with(text, perturbed, **kw):
    return record("succeeded", text=text, perturbed=perturbed, **kw)
