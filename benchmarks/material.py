"""What the benchmarks train and attack: the quickstart's teacher and its movie-review sentences."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import materials


def cached_teacher() -> Path:
    """Folder of the teacher that ``make demo`` trained; ends the script where there is none."""
    found = sorted(materials.cache_folder().glob("teacher-*/config.json"))
    if not found:
        sys.exit("There is no teacher yet. Run make demo once, or name one with --teacher FOLDER.")
    return found[0].parent
