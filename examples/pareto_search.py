"""A search with several objectives: a Pareto front of students instead of one.

    python examples/pareto_search.py
    python examples/pareto_search.py --strategy sms_emoa --objectives robustness latency

Searches for students that no other dominates in accuracy under attack, accuracy and size, prints
them, and plots them if matplotlib is installed. A dozen candidates are a demonstration; hundreds
make a front. Takes about five minutes on two cores. Run it again to continue, also with a larger
--candidates.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import searching  # beside this file

import rosearch as rs
from rosearch.errors import MissingResourceError
from rosearch.report import plots


def main(line: Sequence[str] | None = None) -> None:
    """Search with the arguments of the command line."""
    parser = searching.parser(__doc__ or "", out="runs/pareto")
    parser.add_argument(
        "--objectives",
        nargs="+",
        default=["robustness", "accuracy", "parameters"],
        help="fitness terms, the one you care for most first",
    )
    parser.add_argument("--strategy", default="nsga2", help="nsga2, sms_emoa or another")
    options = parser.parse_args(line)
    teacher, train, dev = searching.material(options)
    pipeline = rs.Pipeline(
        searching.distiller(options, teacher, train, dev),
        rs.RobustnessEvaluator(options.attacks, dev, examples=options.examples),
        students=options.out / "students",
    )
    evolver = rs.Evolver(
        searching.space(options),
        pipeline,
        # Without the limit one end of the front would be a constant answer, which is right for
        # half of the sentences whatever an attack does.
        rs.Fitness.pareto(
            options.objectives, constraints={"accuracy": (0.85 * teacher.accuracy(dev), None)}
        ),
        storage=searching.storage(options),
        study="pareto",
        strategy=options.strategy,
        seed=options.seed,
    )
    search = evolver.run(candidates=options.candidates)

    print(f"{search}\n\n    {'  '.join(f'{name:>12}' for name in options.objectives)}  operators")
    rows = []
    for trial in sorted(search.front, key=lambda t: t.metrics["parameters"]):
        values = trial.score.values if trial.score else ()
        operators = ", ".join(node.operator for node in trial.genome.nodes) or "bag of words"
        print(f"{trial.number:3d} {'  '.join(f'{value:12.6g}' for value in values)}  {operators}")
        objectives = dict(zip(options.objectives, values, strict=True))
        rows.append({"number": trial.number, **objectives, "genome": trial.genome.to_json()})
    path = options.out / "front.json"
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(f"\nwritten: {path}; students in {options.out / 'students'}")
    try:
        figure = plots.front(search)
    except MissingResourceError as error:
        print(f"no picture: {error}")
    else:
        plots.save(figure, options.out / "front.png")
        print(f"written: {options.out / 'front.png'}")


if __name__ == "__main__":
    main()
