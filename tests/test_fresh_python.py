"""Programs in forks of an interpreter say what they would say in one of their own."""

from __future__ import annotations

import sys

import pytest


def test_output_and_status(fresh_python, tmp_path):
    code = "import os, sys; print(sys.argv, os.getcwd(), os.environ['A']); sys.exit(3)"
    done = fresh_python.run("-c", code, 1, environment={"A": "a"}, folder=tmp_path)
    assert done.returncode == 3
    assert done.stdout == f"['-c', '1'] {tmp_path} a\n"
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint(__name__, *sys.argv[1:])\n1 / 0\n")
    done = fresh_python.run(script, "x")
    assert (done.returncode, done.stdout) == (1, "__main__ x\n")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_nothing_of_transformers_or_rosearch_is_loaded(fresh_python):
    code = "import sys; print([m for m in ('transformers', 'rosearch') if m in sys.modules])"
    assert fresh_python.run("-c", code, check=True).stdout == "[]\n"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each is an interpreter of its own")
def test_a_program_that_is_given_up_is_killed_and_the_next_one_is_right(fresh_python, tmp_path):
    late = tmp_path / "late"
    code = f"import time; time.sleep(1); open({str(late)!r}, 'w')"
    with pytest.raises(TimeoutError, match="not ended within"):
        fresh_python.run("-c", code, timeout=0.2)
    done = fresh_python.run("-c", "import time; time.sleep(1.5); raise SystemExit(7)")
    assert (done.returncode, late.exists()) == (7, False)
