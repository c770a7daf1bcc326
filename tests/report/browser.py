"""A headless Chromium for tests of the report, where there is one."""

from __future__ import annotations

import contextlib
import os
import shutil

import pytest

VARIABLE = "ROSEARCH_CHROMIUM"
"""Names the browser where it is not on the path."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def executable():
    """Path of the browser, or ``None``."""
    return os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, _NAMES)), None)


@contextlib.contextmanager
def launched():
    """A browser with an empty profile; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    path = executable()
    if path is None:
        pytest.skip(f"no Chromium: apt-get install chromium, or set {VARIABLE} to its path")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()
