"""What Screened is worth: rank correlation with the full attack, and queries saved.

Distils students of sampled genomes on movie reviews, attacks each in full, and again with only the
replacements that promise most to first order. Prints one table. Correlations are over students,
with 95 % bootstrap intervals:

    python benchmarks/screening.py      # after make demo, which makes the teacher
    python benchmarks/screening.py --teacher FOLDER --students 25 --out runs/screening

Students that are done are kept in the folder --out, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from material import cached_teacher, materials
from scipy import stats

import rosearch as rs
from rosearch.attack.word_swaps.screening import Screened


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    teacher = rs.Teacher.from_pretrained(options.teacher or cached_teacher())
    train, dev, _ = materials.movie_reviews().split(0.7, 0.15, 0.15, seed=0)
    train = train.select(range(min(options.train, len(train))))
    distiller = rs.Distiller(teacher, train, dev, epochs=options.epochs, progress=False)
    settings: dict[str, Any] = {"examples": options.examples, "progress": False}
    full = rs.RobustnessEvaluator(options.attack, dev, **settings)
    screens = {
        k: rs.RobustnessEvaluator(Screened(options.attack, keep=k), dev, **settings)
        for k in options.keep
    }
    done: list[dict[str, Any]] = []
    for number in range(options.students):
        path = options.out / f"student-{number}.json"
        if not path.exists():
            row = measure(distiller, number, full, screens)
            path.write_text(json.dumps(row), encoding="utf-8")
        row = json.loads(path.read_text(encoding="utf-8"))
        done.append(row)
        print(summary(number, row), flush=True)
    print()
    print(table(done, options))
    fair = [row for row in done if row["accuracy"] >= options.least]
    print(f"\nThe same without students below {options.least:.0%} accuracy on dev:")
    print(table(fair, options))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--teacher", type=Path, help="a fine-tuned classifier; default: the demo's")
    parser.add_argument("--out", type=Path, default=Path("runs/screening"))
    parser.add_argument("--students", type=int, default=25)
    parser.add_argument("--train", type=int, default=2000, help="sentences to distil on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--examples", type=int, default=100, help="sentences to attack")
    parser.add_argument("--least", type=float, default=0.65, help="accuracy for the second table")
    parser.add_argument("--attack", default="pwws")
    parser.add_argument("--keep", type=int, nargs="+", default=[1, 3, 5])
    return parser.parse_args()


def measure(
    distiller: rs.Distiller,
    number: int,
    full: rs.RobustnessEvaluator,
    screens: dict[int, rs.RobustnessEvaluator],
) -> dict[str, Any]:
    """One student, distilled and attacked in every way."""
    genome = rs.SearchSpace().sample(seed=number)
    result = distiller.distill(genome, seed=0)
    student = result.student
    report, seconds = timed(lambda: full.evaluate(student))
    row: dict[str, Any] = {
        "accuracy": result.accuracy,
        "full": cost(report.accuracy_under_attack, report.queries, report.forward_rows, seconds),
    }
    for keep, evaluator in screens.items():
        fresh, seconds = timed(lambda evaluator=evaluator: evaluator.evaluate(student))
        row[f"screened, keep {keep}"] = cost(
            fresh.accuracy_under_attack, fresh.queries, fresh.forward_rows, seconds
        )
    return row


def cost(robustness: float, queries: int, rows: int, seconds: float) -> dict[str, float]:
    return {"robustness": robustness, "queries": queries, "rows": rows, "seconds": seconds}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What ``work`` returns, and the processor seconds that it took."""
    begun = time.process_time()
    return work(), time.process_time() - begun


def summary(number: int, row: dict[str, Any]) -> str:
    shown = {k: v["robustness"] for k, v in row.items() if isinstance(v, dict)}
    parts = [f"{name} {value:.2f}" for name, value in shown.items()]
    return f"student {number}: accuracy {row['accuracy']:.3f}, under attack: {', '.join(parts)}"


def table(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> str:
    widths = {"Spearman (95 %)": 24, "Kendall (95 %)": 24, "mean": 8, "queries": 9, "rows": 9}
    heads = "".join(f"{head:>{width}}" for head, width in {**widths, "seconds": 9}.items())
    lines = [
        f"{len(rows)} students, {options.attack} on {options.examples} sentences",
        f"{'screen':<18}{'students':>9}{heads}",
    ]
    names = ["full", *(f"screened, keep {k}" for k in options.keep), "accuracy"]
    for name in names:
        chosen = [row for row in rows if name in row]
        if len(chosen) < 3:
            continue
        truth = np.array([row["full"]["robustness"] for row in chosen])
        if name == "accuracy":
            found = np.array([row["accuracy"] for row in chosen])
            shares = [""] * 3
        else:
            found = np.array([row[name]["robustness"] for row in chosen])
            shares = [
                f"{sum(r[name][k] for r in chosen) / sum(r['full'][k] for r in chosen):.1%}"
                for k in ("queries", "rows", "seconds")
            ]
        lines.append(
            f"{name:<18}{len(chosen):>9}{interval(spearman, found, truth):>24}"
            f"{interval(kendall, found, truth):>24}{found.mean():>8.3f}"
            + "".join(f"{share:>9}" for share in shares)
        )
    return "\n".join(lines)


def interval(measure: Callable[..., float], a: np.ndarray, b: np.ndarray) -> str:
    """A correlation and its 95 % interval, by 2,000 bootstrap samples of students."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(a), size=len(a)) for _ in range(2000)]
    values = np.array([measure(a[d], b[d]) for d in draws])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return f"{measure(a, b):.2f} ({low:.2f} to {high:.2f})"


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(stats.spearmanr(a, b).statistic)


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    return float(stats.kendalltau(a, b).statistic)


if __name__ == "__main__":
    main()
