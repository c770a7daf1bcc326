"""Python processes that start with PyTorch loaded, which takes longer than most of what they test.

Each is a fork of one interpreter that has imported PyTorch with what transformers asks of it, and
neither transformers nor rosearch. Elsewhere than on Linux, where a fork of such a process may end
in a crash, each is a new interpreter.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LOADED = ("torch._dynamo", "torch.distributed.tensor", "torch.export", "scipy.optimize", "sympy")
_FORKS = f"""
import {", ".join(LOADED)}
import gc, json, os, runpy, sys
gc.freeze()  # or each would go through all those objects when it ends
for line in iter(sys.stdin.readline, ""):
    arguments, environment, folder, outputs = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(outputs, start=1):
            os.dup2(os.open(path, os.O_WRONLY), number)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        if arguments[0] == "-c":
            sys.argv, sys.path[0] = ["-c", *arguments[2:]], ""
            exec(arguments[1], {{"__name__": "__main__"}})
        else:
            sys.argv, sys.path[0] = arguments, os.path.dirname(arguments[0])
            runpy.run_path(arguments[0], run_name="__main__")
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class FreshPython:
    """Runs Python programs, one at a time.

    Args:
        folder: Where they write what they print.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._parent: subprocess.Popen[bytes] | None = None

    def run(
        self,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        timeout: float = 240.0,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program and wait for its end, as :func:`subprocess.run`.

        All forks have the seed of hashes, the import path and the number of OpenMP threads (one) of
        the interpreter that they are forks of: nothing in ``environment`` changes these.

        Args:
            arguments: ``-c`` and code, or a script; then its arguments.
            environment: Instead of this process's.
            folder: To run it in, instead of this process's.
            timeout: Seconds after which it is killed.
            check: Whether an exit status other than 0 is an error.
        """
        line = [str(argument) for argument in arguments]
        environment = dict(os.environ if environment is None else environment)
        folder = folder or Path.cwd()
        if sys.platform != "linux":
            return subprocess.run(
                [sys.executable, *line],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=check,
                env=environment, cwd=folder, timeout=timeout,
            )  # fmt: skip
        self._count += 1
        # Of its own: an earlier program that was given up may still write.
        outputs = [self._folder / f"{name}-{self._count}" for name in ("out", "err")]
        for path in outputs:
            path.touch()
        try:
            code = self._fork([line, environment, str(folder), list(map(str, outputs))], timeout)
        except BaseException:
            self.close()  # or what it says of this program would be taken for the next one's
            raise
        out, err = (path.read_text(encoding="utf-8") for path in outputs)
        if check:
            assert code == 0, err
        return subprocess.CompletedProcess(line, code, out, err)

    def _fork(self, order: Sequence[object], timeout: float) -> int:
        self._parent = self._parent or subprocess.Popen(
            [sys.executable, "-c", _FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        given, answers = self._parent.stdin, self._parent.stdout
        assert given
        assert answers
        given.write(json.dumps(order).encode() + b"\n")
        given.flush()
        if not select.select([answers], [], [], timeout)[0]:
            raise TimeoutError(f"the program has not ended within {timeout:g} s")
        answer = answers.readline()
        if not answer:
            raise RuntimeError("the interpreter that makes the forks has ended")
        return int(answer)

    def close(self) -> None:
        """End the interpreter, and a program that was given up."""
        if self._parent:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._parent.pid, signal.SIGKILL)
            self._parent.communicate()
            self._parent = None
