"""rosearch: search for student architectures that stay right under adversarial attack.

The names below are public. Each is loaded when it is first used, so ``import rosearch`` takes
milliseconds and loads neither torch nor transformers. Once rosearch is imported,
``AutoModelForSequenceClassification`` loads its students (see ``rosearch._autoregister``).
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rosearch import _autoregister
from rosearch.version import __version__

if TYPE_CHECKING:
    from rosearch import errors, operators
    from rosearch.attack import Attack, RobustnessEvaluator, RobustnessReport, attacks
    from rosearch.data import TextDataset
    from rosearch.distill import (
        DistillationLoss,
        DistillationResult,
        Distiller,
        Teacher,
        distillation_losses,
    )
    from rosearch.encode import Encoding, encodings
    from rosearch.errors import RosearchError
    from rosearch.evolve import (
        NSGA2,
        SMSEMOA,
        Evolver,
        RandomSearch,
        RayExecutor,
        RegularizedEvolution,
        SearchResult,
        Strategy,
        SuccessiveHalving,
        SurrogateEvolution,
        compare,
        confirm,
        load_search,
        strategies,
    )
    from rosearch.fitness import Fitness, FitnessTerm, Score, fitness_terms
    from rosearch.operators import EmbeddingOperator, Operator
    from rosearch.pipeline import Pipeline, Rung
    from rosearch.report import Statistics, statistics, write_report
    from rosearch.space import Embedding, Genome, Node, SearchSpace, TextEncoding, templates
    from rosearch.student import StudentConfig, StudentForSequenceClassification

_MODULES = {
    "errors": "rosearch.errors",
    "operators": "rosearch.operators",
    "strategies": "rosearch.evolve.strategies",
    "templates": "rosearch.space.templates",
}
_OBJECTS = {
    "Attack": "rosearch.attack",
    "DistillationLoss": "rosearch.distill",
    "DistillationResult": "rosearch.distill",
    "Distiller": "rosearch.distill",
    "Embedding": "rosearch.space",
    "EmbeddingOperator": "rosearch.operators",
    "Encoding": "rosearch.encode",
    "Evolver": "rosearch.evolve",
    "Fitness": "rosearch.fitness",
    "FitnessTerm": "rosearch.fitness",
    "Genome": "rosearch.space",
    "NSGA2": "rosearch.evolve",
    "Node": "rosearch.space",
    "Operator": "rosearch.operators",
    "Pipeline": "rosearch.pipeline",
    "RandomSearch": "rosearch.evolve",
    "RayExecutor": "rosearch.evolve",
    "RegularizedEvolution": "rosearch.evolve",
    "RobustnessEvaluator": "rosearch.attack",
    "RobustnessReport": "rosearch.attack",
    "RosearchError": "rosearch.errors",
    "Rung": "rosearch.pipeline",
    "SMSEMOA": "rosearch.evolve",
    "SuccessiveHalving": "rosearch.evolve",
    "Score": "rosearch.fitness",
    "SearchResult": "rosearch.evolve",
    "SearchSpace": "rosearch.space",
    "Statistics": "rosearch.report",
    "Strategy": "rosearch.evolve",
    "StudentConfig": "rosearch.student",
    "StudentForSequenceClassification": "rosearch.student",
    "SurrogateEvolution": "rosearch.evolve",
    "Teacher": "rosearch.distill",
    "TextDataset": "rosearch.data",
    "TextEncoding": "rosearch.space",
    "attacks": "rosearch.attack",
    "compare": "rosearch.evolve",
    "confirm": "rosearch.evolve",
    "distillation_losses": "rosearch.distill",
    "encodings": "rosearch.encode",
    "fitness_terms": "rosearch.fitness",
    "load_search": "rosearch.evolve",
    "statistics": "rosearch.report",
    "write_report": "rosearch.report",
}

__all__ = [
    "Attack",
    "DistillationLoss",
    "DistillationResult",
    "Distiller",
    "Embedding",
    "EmbeddingOperator",
    "Encoding",
    "Evolver",
    "Fitness",
    "FitnessTerm",
    "Genome",
    "NSGA2",
    "Node",
    "Operator",
    "Pipeline",
    "RandomSearch",
    "RayExecutor",
    "RegularizedEvolution",
    "RobustnessEvaluator",
    "RobustnessReport",
    "RosearchError",
    "Rung",
    "SMSEMOA",
    "Score",
    "SearchResult",
    "SearchSpace",
    "Statistics",
    "Strategy",
    "StudentConfig",
    "StudentForSequenceClassification",
    "SuccessiveHalving",
    "SurrogateEvolution",
    "Teacher",
    "TextDataset",
    "TextEncoding",
    "__version__",
    "attacks",
    "compare",
    "confirm",
    "distillation_losses",
    "encodings",
    "errors",
    "fitness_terms",
    "load_search",
    "operators",
    "statistics",
    "strategies",
    "templates",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(_MODULES[name])
    elif name in _OBJECTS:
        value = getattr(import_module(_OBJECTS[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # the next access does not come here again
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


logging.getLogger("rosearch").addHandler(logging.NullHandler())
_autoregister.install()
