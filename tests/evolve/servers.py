"""Database servers that some tests need.

``.ci/postgres COMMAND`` and ``.ci/mariadb COMMAND`` start one for a command, with the URL of an
empty database in ``ROSEARCH_TEST_POSTGRES`` or ``ROSEARCH_TEST_MYSQL``.
"""

from __future__ import annotations

import os

import pytest

SERVERS = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("postgres", "mysql")]
"""For ``parametrize``; where there is no such server the test is skipped."""


def server_url(name: str) -> str:
    """URL of a server's database, as a user would give it."""
    return os.environ[f"ROSEARCH_TEST_{name.upper()}"]
