"""Python processes that start with PyTorch loaded, which takes longer than most of what they test.

Each is a fork of one interpreter that has imported PyTorch with what transformers asks of it, and
neither transformers nor rosearch. Elsewhere than on Linux, where a fork of such a process may end
in a crash, each is a new interpreter.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class FreshPython:
    """Runs Python programs, one at a time.

    Args:
        folder: Where they write what they print.
    """

    def __init__(self, folder: Path) -> None:
        self._outputs = [folder / "stdout", folder / "stderr"]
        self._parent: subprocess.Popen[str] | None = None
        self._alone: subprocess.Popen[bytes] | None = None

    def start(
        self,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> int:
        """Start a program and return the number of its process.

        Args:
            arguments: ``-c`` and code, or a script; then its arguments.
            environment: Instead of this process's.
            folder: To run it in, instead of this process's.
        """
        order: Sequence[Any] = (
            [str(argument) for argument in arguments],
            dict(os.environ if environment is None else environment),
            str(folder or Path.cwd()),
            [str(path) for path in self._outputs],
        )
        if sys.platform != "linux":
            return self._start_alone(*order[:3])
        for path in self._outputs:
            path.write_bytes(b"")
        self._parent = self._parent or subprocess.Popen(
            [sys.executable, "-c", _FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._parent.stdin
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        return int(self._answer())

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Wait for the end of the program that was started."""
        code = self._alone.wait() if self._alone else int(self._answer())
        out, err = (path.read_text(encoding="utf-8") for path in self._outputs)
        return subprocess.CompletedProcess([], code, out, err)

    def run(
        self, *arguments: object, check: bool = False, **settings: Any
    ) -> subprocess.CompletedProcess[str]:
        """Start a program and wait for its end, as :func:`subprocess.run`."""
        self.start(*arguments, **settings)
        done = self.wait()
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def close(self) -> None:
        """End the interpreter, and a program that a failed test has left."""
        if self._parent:
            os.killpg(self._parent.pid, signal.SIGKILL)
            self._parent.communicate()

    def _answer(self) -> str:
        assert self._parent
        assert self._parent.stdout
        return self._parent.stdout.readline()

    def _start_alone(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: str
    ) -> int:
        out, err = self._outputs
        with out.open("wb") as to_out, err.open("wb") as to_err:
            self._alone = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_err,
                env=environment, cwd=folder,
            )  # fmt: skip
        return self._alone.pid
