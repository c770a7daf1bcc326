"""The documentation's page on confirmation runs from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "confirmation.md"


def test_page_on_confirmation_runs_from_top_to_bottom(capsys):
    text = PAGE.read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(code) == 4
    exec(compile("\n".join(code), PAGE.name, "exec"), {"__name__": "page"})
    printed = capsys.readouterr().out
    searched, confirmed = (
        float(re.search(rf"^{word} (.*)$", printed, re.MULTILINE)[1])
        for word in ("searched", "confirmed")
    )
    assert confirmed < searched, "the best of forty noisy metrics is too optimistic"
    assert re.search(r"^surrogate +100%", printed, re.MULTILINE)
