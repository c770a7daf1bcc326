"""A search on movie reviews, beside random search and hand-designed students, attacked afresh.

Four steps, each kept on disk and taken up again by the same command, and what they need:

    python benchmarks/make_tabular.py             # 150 of its candidates are random
    python benchmarks/first_search.py search      # 150 candidates, chosen by a model
    python benchmarks/first_search.py confirm     # the best three of each, three trainings each
    python benchmarks/first_search.py textattack  # the best one again, by TextAttack itself
    python benchmarks/first_search.py export      # the files that reproduce_results.py reads

``confirm`` attacks sentences that no search has seen, by the two attacks that were searched for and
by two that were not. It needs word vectors: without TextAttack's, run
``python -m rosearch.attack.resources.counterfitting MODEL`` first. ``textattack`` needs
rosearch[textattack].
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import json
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import material
import movie_search
from journals import DATA, pack, restore
from make_tabular import JOURNAL, SEARCH, SEARCH_JOURNAL, STUDY, EveryRung, is_random
from movie_search import ATTACKS, FITNESS

import rosearch as rs
from rosearch.attack.textattack import load_textattack, wrapper

UNSEEN = ("textfooler", "textbugger")
"""Attacks that the search never saw."""
RECIPES = {"pwws": "PWWSRen2019", "deepwordbug": "DeepWordBugGao2018"}
"""Those that it saw, by their names in TextAttack."""
SUMMARY = "first_search.json"
OUTCOMES = "outcomes.json"
"""What became of each text under each group of attacks, beside a student."""


class Afresh:
    """Distils a genome and attacks its student by several groups of attacks, each counted apart.

    Args:
        distiller: Trains it.
        attackers: By the name of the group. A text stands if no attack of its group changes it.
        students: Folder that keeps the students.
    """

    def __init__(
        self,
        distiller: rs.Distiller,
        attackers: Mapping[str, rs.RobustnessEvaluator],
        students: Path,
    ) -> None:
        self.distiller = distiller
        self.attackers = dict(attackers)
        self.students = students

    @property
    def settings(self) -> dict[str, Any]:
        attackers = {name: dict(one.settings) for name, one in self.attackers.items()}
        return {"distiller": self.distiller.settings, "attackers": attackers}

    def __call__(self, genome: rs.Genome, *, seed: int) -> dict[str, float]:
        result = self.distiller.distill(genome, seed=seed)
        result.student.save_pretrained(self.where(genome, seed))
        cost = result.student.num_parameters()
        found = {
            "dev_accuracy": result.accuracy,
            "compression": self.distiller.teacher.parameters / cost,
        }
        outcomes: dict[str, str] = {}
        found |= attacked(self.attackers, result.student, outcomes=outcomes)
        path = self.where(genome, seed) / OUTCOMES
        path.write_text(json.dumps(outcomes) + "\n", encoding="utf-8")
        return found

    def where(self, genome: rs.Genome, seed: int) -> Path:
        """Folder of a student."""
        return self.students / f"{genome.key}-{seed}"


def attacked(
    attackers: Mapping[str, rs.RobustnessEvaluator],
    *victim: Any,
    outcomes: dict[str, str] | None = None,
) -> dict[str, float]:
    """Accuracy; under each attack and those of each group together; the latter's worst class.

    Into ``outcomes`` goes what :func:`outcomes_of` says of each group.
    """
    found: dict[str, float] = {}
    for group, attacker in attackers.items():
        report = attacker.evaluate(*victim)
        if outcomes is not None:
            outcomes[group] = outcomes_of(report)
        found.setdefault("accuracy", report.accuracy)  # later groups may attack fewer texts
        found[f"under_{group}"] = report.accuracy_under_attack_bounds.low
        found[f"worst_class_under_{group}"] = report.worst_class(attacker.classes)
        for name, one in report.attacks.items():
            found[f"under_{name}"] = one.accuracy_under_attack_bounds.low
    return found


def outcomes_of(report: rs.attack.RobustnessReport) -> str:
    """A digit for each text: 0 for a wrong answer, 1 for one that an attack changes, else 2."""
    stands = (
        one.predicted == one.label and not one.broken and one.status != "error"
        for one in report.examples
    )
    right = (one.predicted == one.label for one in report.examples)
    return "".join(str(a + b) for a, b in zip(right, stands, strict=True))


def attackers(test: rs.TextDataset) -> dict[str, rs.RobustnessEvaluator]:
    """The attacks of the search, and others, on all of ``test``."""
    groups = {"searched": list(ATTACKS), "unseen": [rs.attacks.get(n)().lazily() for n in UNSEEN]}
    return {
        name: rs.RobustnessEvaluator(group, test, examples=None, progress=False)
        for name, group in groups.items()
    }


def random_pool(search: rs.SearchResult, options: argparse.Namespace) -> rs.SearchResult:
    """As many random samples as the search has candidates, the first of make_tabular.py."""
    samples = [t for t in search.trials if is_random(t.number)][: options.candidates]
    return rs.SearchResult.from_trials("random", samples, FITNESS, settings=search.settings)


def best(search: rs.SearchResult) -> list[rs.Genome]:
    """The best three that were evaluated in full."""
    whole = [t for t in search.trials if t.state == "complete" and t.score is not None]
    order = rs.fitness.rank_order([t.score for t in whole if t.score is not None])
    return [whole[place].genome for place in order[:3]]


def best_by_hand(teacher: rs.Teacher, options: argparse.Namespace) -> dict[str, rs.Genome]:
    """The best three templates of those that the space holds, by their names."""
    train, dev, _ = movie_search.splits()
    space = movie_search.space(teacher)
    genomes = rs.templates.fitting(space)
    evolver = rs.Evolver(
        space,
        EveryRung(movie_search.pipeline(teacher, train, dev)),
        FITNESS,
        storage=f"sqlite:///{options.out.resolve()}/templates.db",
        initial_genomes=genomes,
    )
    result = evolver.run(len(genomes), executor=workers(options))
    names = {operators(make()): name for name, make in rs.templates.ALL.items()}
    return {names[operators(genome)]: genome for genome in best(result)}


def operators(genome: rs.Genome) -> tuple[str, ...]:
    """What tells templates apart."""
    return tuple(node.operator for node in genome.nodes)


def search(options: argparse.Namespace, teacher: rs.Teacher) -> None:
    """Go on until the study has its candidates."""
    train, dev, _ = movie_search.splits()
    teacher.logits(train)  # once, for all workers
    evolver = rs.Evolver(
        movie_search.space(teacher),
        # All of it for every candidate, so that they can join the table.
        EveryRung(movie_search.pipeline(teacher, train, dev)),
        FITNESS,
        storage=study(options),
        study=SEARCH,
        # What was the default of strategy="surrogate" when it began.
        strategy=rs.SurrogateEvolution(pool=100, exploration=2.0),
        seed=1,  # another than the table's, whose first samples it would repeat
    )
    print(evolver.run(options.candidates, executor=workers(options)))


def confirm(options: argparse.Namespace, teacher: rs.Teacher) -> None:
    """Train the best again, with robust training and plainly, and attack them afresh."""
    found = rs.load_search(study(options), SEARCH)
    pool = random_pool(rs.load_search(restore(JOURNAL, STUDY, options.table), STUDY), options)
    train, dev, test = movie_search.splits()
    robust = {
        **{f"search {i + 1}": genome for i, genome in enumerate(best(found))},
        **{f"random {i + 1}": genome for i, genome in enumerate(best(pool))},
        **best_by_hand(teacher, options),
    }
    plain = {name: genome for name, genome in robust.items() if not name.endswith((" 2", " 3"))}
    summary: dict[str, Any] = {}
    for name, genomes in {"robust": robust, "plain": plain}.items():
        distiller = movie_search.distiller(teacher, train, dev, robust=name == "robust")
        afresh = Afresh(distiller, attackers(test), options.out / f"students-{name}")
        confirmation = rs.confirm(
            found,
            afresh,
            top=0,
            seeds=3,
            genomes=genomes,
            storage=options.out / f"confirmed-{name}.json",
            executor=workers(options),
        )
        print(name, confirmation, flush=True)
        summary[name] = {
            c.name: {
                "genome": c.genome.to_dict(),
                "runs": [{"seed": run.seed, **run.metrics} for run in c.runs if not run.failure],
            }
            for c in confirmation.candidates
        }
    kept = options.out / "teacher.json"
    if not kept.exists():  # as long as a dozen students
        of_teacher = attacked(attackers(test), teacher.model, teacher.tokenizer)
        kept.write_text(json.dumps(of_teacher), encoding="utf-8")
    summary["teacher"] = json.loads(kept.read_text(encoding="utf-8"))
    (options.out / SUMMARY).write_text(json.dumps(summary, indent=1), encoding="utf-8")


def textattack(options: argparse.Namespace, _: rs.Teacher) -> None:
    """Attack the first student of the search's best that falls at all, by TextAttack itself."""
    summary = json.loads((options.out / SUMMARY).read_text(encoding="utf-8"))
    name, one, run = next(
        (name, one, run)
        for name, one in summary["robust"].items()
        for run in one["runs"]
        if run["under_searched"] < run["accuracy"]
    )
    key = rs.Genome.from_dict(one["genome"]).key
    student = rs.StudentForSequenceClassification.from_pretrained(
        options.out / "students-robust" / f"{key}-{run['seed']}"
    )
    found = left_by_textattack(student, movie_search.splits()[2])
    for short in RECIPES:
        one, own = found[f"under_{short}"], run[f"under_{short}"]
        print(f"{short}: TextAttack {one:.3f}, rosearch {own:.3f}", flush=True)
    of = {"student": name, "seed": run["seed"], "version": version("textattack")}
    summary["textattack"] = of | found
    (options.out / SUMMARY).write_text(json.dumps(summary, indent=1), encoding="utf-8")


def left_by_textattack(student: Any, test: rs.TextDataset) -> dict[str, float]:
    """Accuracy, and under each of the recipes by TextAttack itself."""
    library = load_textattack()
    library.shared.logger.setLevel("ERROR")
    found: dict[str, float] = {}
    for short, recipe in RECIPES.items():
        attack = getattr(library.attack_recipes, recipe).build(wrapper(student.eval()))
        kinds = [
            type(attack.attack(text, int(label))).__name__
            for text, label in zip(test.texts, test.labels, strict=True)
        ]
        found["accuracy"] = 1 - kinds.count("SkippedAttackResult") / len(kinds)
        found[f"under_{short}"] = kinds.count("FailedAttackResult") / len(kinds)
    return found


def export(options: argparse.Namespace, _: rs.Teacher) -> None:
    """Write the study and what was confirmed as small files."""
    pack(study(options), SEARCH, SEARCH_JOURNAL)
    if (options.out / SUMMARY).exists():
        shutil.copy(options.out / SUMMARY, DATA / SUMMARY)


def workers(options: argparse.Namespace) -> int | None:
    """The executor: one candidate at a time needs no other process."""
    return options.workers if options.workers > 1 else None


def study(options: argparse.Namespace) -> str:
    """URL of the search."""
    return restore(SEARCH_JOURNAL, SEARCH, options.out)


def main() -> None:
    """One step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    steps: dict[str, Callable[[argparse.Namespace, rs.Teacher], None]] = {
        "search": search,
        "confirm": confirm,
        "textattack": textattack,
        "export": export,
    }
    parser.add_argument("step", choices=steps)
    parser.add_argument("--candidates", type=int, default=150, help="of the search, and random")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("runs/first_search"))
    parser.add_argument("--table", type=Path, default=Path("runs/tabular"))
    parser.add_argument("--teacher", help="a fine-tuned classifier; default: that of make demo")
    options = parser.parse_args()
    teacher = rs.Teacher.from_pretrained(options.teacher or material.cached_teacher())
    steps[options.step](options, teacher)


if __name__ == "__main__":
    main()
