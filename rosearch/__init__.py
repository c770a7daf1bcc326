"""rosearch: search for student architectures that stay right under adversarial attack.

The names below are public. Each is loaded when it is first used, so ``import rosearch`` takes
milliseconds and loads neither torch nor transformers. Once rosearch is imported,
``AutoModelForSequenceClassification`` loads its students (see ``rosearch._autoregister``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rosearch import _autoregister

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
    from rosearch.errors import RosearchError
    from rosearch.evolve import Evolver, RandomSearch, RegularizedEvolution, SearchResult
    from rosearch.fitness import Fitness, FitnessTerm, Score, fitness_terms
    from rosearch.operators import EmbeddingOperator, Operator
    from rosearch.pipeline import Pipeline
    from rosearch.space import Embedding, Genome, Node, SearchSpace, templates
    from rosearch.student import StudentConfig, StudentForSequenceClassification

__version__ = "0.1.0"

_MODULES = {
    "errors": "rosearch.errors",
    "operators": "rosearch.operators",
    "templates": "rosearch.space.templates",
}
_OBJECTS = {
    "Attack": "rosearch.attack",
    "DistillationLoss": "rosearch.distill",
    "DistillationResult": "rosearch.distill",
    "Distiller": "rosearch.distill",
    "Embedding": "rosearch.space",
    "EmbeddingOperator": "rosearch.operators",
    "Evolver": "rosearch.evolve",
    "Fitness": "rosearch.fitness",
    "FitnessTerm": "rosearch.fitness",
    "Genome": "rosearch.space",
    "Node": "rosearch.space",
    "Operator": "rosearch.operators",
    "Pipeline": "rosearch.pipeline",
    "RandomSearch": "rosearch.evolve",
    "RegularizedEvolution": "rosearch.evolve",
    "RobustnessEvaluator": "rosearch.attack",
    "RobustnessReport": "rosearch.attack",
    "RosearchError": "rosearch.errors",
    "Score": "rosearch.fitness",
    "SearchResult": "rosearch.evolve",
    "SearchSpace": "rosearch.space",
    "StudentConfig": "rosearch.student",
    "StudentForSequenceClassification": "rosearch.student",
    "Teacher": "rosearch.distill",
    "TextDataset": "rosearch.data",
    "attacks": "rosearch.attack",
    "distillation_losses": "rosearch.distill",
    "fitness_terms": "rosearch.fitness",
}

__all__ = [
    "Attack",
    "DistillationLoss",
    "DistillationResult",
    "Distiller",
    "Embedding",
    "EmbeddingOperator",
    "Evolver",
    "Fitness",
    "FitnessTerm",
    "Genome",
    "Node",
    "Operator",
    "Pipeline",
    "RandomSearch",
    "RegularizedEvolution",
    "RobustnessEvaluator",
    "RobustnessReport",
    "RosearchError",
    "Score",
    "SearchResult",
    "SearchSpace",
    "StudentConfig",
    "StudentForSequenceClassification",
    "Teacher",
    "TextDataset",
    "__version__",
    "attacks",
    "distillation_losses",
    "errors",
    "fitness_terms",
    "operators",
    "templates",
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


_autoregister.install()
