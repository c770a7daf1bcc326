"""The quickstart on the test suite's own small material, for a subprocess to run.

python small_quickstart.py TEACHER_FOLDER TSV_OF_LABEL_AND_TEXT [arguments of the quickstart]
"""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import materials
import quickstart

import rosearch

distill = rosearch.Distiller.distill


def noted(
    self: rosearch.Distiller, genome: rosearch.Genome, *, seed: int = 0, **more: Any
) -> object:
    """Write down every student that has been trained."""
    result = distill(self, genome, seed=seed, **more)
    with Path(table).with_name("trained.txt").open("a", encoding="utf-8") as log:
        log.write(f"{genome.key} {seed}\n")
    return result


rosearch.Distiller.distill = noted

teacher, table, *sys.argv[1:] = sys.argv[1:]
rows = [line.split("\t") for line in Path(table).read_text(encoding="utf-8").splitlines()]
materials.minilm = lambda: Path(teacher)
materials.movie_reviews = lambda: rosearch.TextDataset(
    [text for _, text in rows], [int(label) for label, _ in rows], classes=("negative", "positive")
)

if __name__ == "__main__":
    quickstart.main()
