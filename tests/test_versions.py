"""Versions of packages."""

from __future__ import annotations

import platform

import torch

from rosearch import versions


def test_are_those_of_the_packages(monkeypatch):
    found = versions.versions()
    assert found["python"] == platform.python_version()
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(versions, "_PACKAGES", ("numpy", "no-such-package"))
    assert versions.versions.__wrapped__().keys() == {"python", "numpy"}
