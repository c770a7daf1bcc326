"""Progress bars in terminals, log files and silent runs."""

from __future__ import annotations

import io
import re
import threading
from pathlib import Path

import pytest

from rosearch import progress
from rosearch.progress import above_bars, bytes_text, no_bars, progress_bar, use_thread_lock

ROOT = Path(__file__).parents[1]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time for bars, which a test moves on."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock.time)
    monkeypatch.setattr(progress, "time", clock)
    return clock


class Log:
    """What a test writes to the error stream, which is no terminal."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def read(self) -> str:
        return self._capsys.readouterr().err


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Log:
    return Log(capsys)


def work(clock: Clock, seconds: int, **settings: object) -> None:
    """Ten updates and a new description in each second."""
    with progress_bar(total=10 * seconds, desc="work", **settings) as bar:
        for second in range(seconds):
            for _ in range(10):
                bar.update()
            clock.now += 1
            bar.set_description(f"work {second}")
            bar.set_postfix(second=second)


def test_without_a_terminal_a_bar_is_a_line_every_30_seconds(log: Log, clock: Clock) -> None:
    work(clock, 100, leave=False)
    text = log.read()
    lines = text.splitlines()
    assert len(lines) == 3
    assert re.match(r"work 29: +30%", lines[0])
    assert "\r" not in text
    assert "\x1b" not in text


def test_nested_bars_of_a_log_have_lines_of_their_own(log: Log, clock: Clock) -> None:
    with progress_bar(total=2, desc="outer") as outer:
        for _ in range(2):
            work(clock, 35, leave=False)
            outer.update()
    lines = log.read().splitlines()
    assert [line.split(":")[0] for line in lines] == ["work 29", "outer"] * 2 + ["outer"]


def test_short_work_writes_nothing_to_a_log(log: Log, clock: Clock) -> None:
    work(clock, 20)
    assert list(progress_bar(range(3))) == [0, 1, 2]
    assert log.read() == ""


def test_in_a_terminal_a_bar_is_drawn_over_itself(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    work(clock, 20)
    assert stream.getvalue().count("\r") >= 18
    assert "100%" in stream.getvalue()


def test_work_that_ends_within_the_delay_shows_nothing_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    work(clock, 1)
    assert stream.getvalue() == ""


def test_what_is_written_above_bars_has_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with progress_bar(total=9, desc="work") as bar:
        clock.now += 3
        bar.update()
        before = len(stream.getvalue())
        with above_bars():
            stream.write("a line\n")
        written = stream.getvalue()[before:]
    assert re.match(r"\r *\ra line\n\rwork: ", written)


def test_no_bar_is_shown_where_bars_are_silenced(log: Log, clock: Clock) -> None:
    with no_bars():
        with no_bars(silent=False):
            work(clock, 100)
        work(clock, 100, show=True)
    work(clock, 100, show=False)
    assert log.read() == ""
    with no_bars(silent=False):
        work(clock, 100)
    assert log.read()


def test_silence_is_that_of_a_thread() -> None:
    hidden: list[bool] = []
    with no_bars():
        thread = threading.Thread(target=lambda: hidden.append(progress_bar(total=1).disable))
        thread.start()
        thread.join()
        hidden.append(progress_bar(total=1).disable)
    assert hidden == [False, True]


def test_bytes_are_told_with_their_unit() -> None:
    assert bytes_text(2_600_000_000) == "2.60GB"


def test_the_lock_of_bars_is_that_of_threads() -> None:
    from tqdm.auto import tqdm

    before = tqdm.get_lock()
    try:
        use_thread_lock()
        assert isinstance(tqdm.get_lock(), type(threading.RLock()))
    finally:
        tqdm.set_lock(before)


def test_all_bars_are_made_in_one_place() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "rosearch").rglob("*.py")
        if re.search(r"^\s*(from|import) tqdm", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert users == {"rosearch/progress.py"}
