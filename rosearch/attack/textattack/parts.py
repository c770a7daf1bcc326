"""Subclasses of TextAttack's classes. Importing this module imports TextAttack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rosearch.attack.textattack.loading import load_textattack
from rosearch.attack.victim.victim import Victim
from rosearch.errors import EvaluationError

load_textattack()  # before the imports below, which would change the state of this process

from textattack.constraints import PreTransformationConstraint  # noqa: E402
from textattack.goal_function_results import (  # noqa: E402
    ClassificationGoalFunctionResult,
    GoalFunctionResultStatus,
)
from textattack.goal_functions import UntargetedClassification  # noqa: E402
from textattack.models.wrappers import ModelWrapper  # noqa: E402


class VictimWrapper(ModelWrapper):
    """A victim with TextAttack's interface.

    Args:
        victim: The victim.
        tokenizer: Kept as an attribute like in TextAttack's own wrappers; unused.
    """

    def __init__(self, victim: Victim, tokenizer: Any = None) -> None:
        self.victim = victim
        # TextAttack looks at the class of ``model``, and moves it between devices.
        self.model = getattr(victim, "model", victim)
        self.tokenizer = tokenizer if tokenizer is not None else getattr(self.model, "tokenizer", 0)

    def __call__(self, text_input_list: Sequence[Any], **_: Any) -> torch.Tensor:
        texts = [text if isinstance(text, str) else tuple(text) for text in text_input_list]
        probabilities = self.victim.probabilities(texts)
        bad = np.isnan(probabilities).any(axis=1)
        if bad.any():
            raise EvaluationError(f"The victim gives NaN for {texts[int(bad.argmax())]!r:.200}.")
        rows = torch.from_numpy(probabilities.astype(np.float32))
        # TextAttack applies softmax to all rows if the sum of one is off by more than 1e-6.
        off = (rows.sum(dim=1) - 1).abs() > 5e-7
        if off.any():
            exact = rows[off].double()
            rows[off] = (exact / exact.sum(dim=1, keepdim=True)).float()
        return rows


class NoVictim(ModelWrapper):
    """The victim of an attack that rosearch runs: its queries go to the engine instead."""

    model = None
    tokenizer = None

    def __call__(self, text_input_list: Sequence[Any], **_: Any) -> Any:
        raise EvaluationError(
            "This TextAttack attack is run by rosearch and has no victim of its own. Run it with "
            "RobustnessEvaluator."
        )


class PooledGoal(UntargetedClassification):
    """TextAttack's goal function with the verdicts of rosearch's engine.

    It counts queries like TextAttack's own, and caches nothing, since the victim does.

    Args:
        ask: Maps attacked texts to the engine's answer, which is about the first of them only if
            the query budget does not cover all.
        budget: Maximum number of queries, including the one about the unchanged text.
    """

    def __init__(self, ask: Any, budget: float) -> None:
        # The constructor of the base class inspects the model and logs about it.
        self.model = NoVictim()
        self.maximizable = False
        self.use_cache = False
        self.query_budget = budget
        self.batch_size = 32
        self._call_model_cache = None
        self.allow_skip = True
        self.target_max_score = None
        self.num_queries = 1
        self.ground_truth_output = 0
        self._ask = ask

    def __repr__(self) -> str:
        return "UntargetedClassification"  # in the description of an attack

    __str__ = __repr__

    def initial(self, attacked_text: Any, score: float, probabilities: Any) -> Any:
        """The result for the unchanged text, which the engine has queried."""
        self.initial_attacked_text = attacked_text
        return self._result(attacked_text, score, probabilities)

    def get_results(
        self, attacked_text_list: Sequence[Any], check_skip: bool = False
    ) -> tuple[list[Any], bool]:
        """Results for as many texts as the budget covers, and whether it is exhausted."""
        wanted = list(attacked_text_list)
        if self.query_budget < float("inf"):
            wanted = wanted[: max(0, int(self.query_budget) - self.num_queries)]
        if not wanted:
            return [], self.num_queries >= self.query_budget
        answer = self._ask(wanted)
        paid = len(answer.scores)
        self.num_queries += paid
        if paid < len(wanted):
            self.query_budget = self.num_queries
        columns = (wanted[:paid], answer.scores, answer.probabilities, answer.succeeded)
        results = [self._result(*row) for row in zip(*columns, strict=True)]
        return results, self.num_queries == self.query_budget

    def _result(
        self, text: Any, score: float, probabilities: np.ndarray, succeeded: bool = False
    ) -> Any:
        status = GoalFunctionResultStatus
        return ClassificationGoalFunctionResult(
            text,
            torch.from_numpy(probabilities),
            int(probabilities.argmax()),
            status.SUCCEEDED if succeeded else status.SEARCHING,
            torch.tensor(score, dtype=torch.float32),
            self.num_queries,
            self.ground_truth_output,
        )


class OnlyWords(PreTransformationConstraint):
    """Allows changes of some of the original words only.

    Args:
        words: Indices of words of the unchanged text that may be changed.
    """

    def __init__(self, words: Sequence[int]) -> None:
        self.words = frozenset(words)

    def _get_modifiable_indices(self, current_text: Any) -> set[int]:
        # Words move when others are inserted or deleted; -1 marks a deleted one.
        positions = current_text.attack_attrs["original_index_map"]
        return {int(p) for i, p in enumerate(positions) if i in self.words and p >= 0}
