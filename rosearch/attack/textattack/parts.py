"""Classes derived from TextAttack's. Importing this module imports TextAttack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from rosearch.attack.base import Answer
from rosearch.attack.textattack.loading import load_textattack
from rosearch.attack.textattack.wrapping import as_texts
from rosearch.attack.victim.victim import Victim
from rosearch.errors import EvaluationError

load_textattack()  # before the imports below, which would disturb this process

from textattack.constraints import PreTransformationConstraint  # noqa: E402
from textattack.goal_function_results import (  # noqa: E402
    ClassificationGoalFunctionResult,
    GoalFunctionResultStatus,
)
from textattack.goal_functions import UntargetedClassification  # noqa: E402
from textattack.models.wrappers import ModelWrapper  # noqa: E402


class VictimWrapper(ModelWrapper):
    """A victim as TextAttack calls it.

    Args:
        victim: Gives the probabilities.
        tokenizer: Kept as an attribute, as TextAttack's own wrappers do; unused.
    """

    def __init__(self, victim: Victim, tokenizer: Any = None) -> None:
        self.victim = victim
        # TextAttack looks at the class of ``model``, and moves it between devices.
        self.model = getattr(victim, "model", victim)
        self.tokenizer = tokenizer if tokenizer is not None else getattr(self.model, "tokenizer", 0)

    def __call__(self, text_input_list: Sequence[Any], **_: Any) -> torch.Tensor:
        texts = as_texts(text_input_list)
        given = self.victim.probabilities(texts)
        bad = np.isnan(given).any(axis=1)
        if bad.any():
            raise EvaluationError(f"The victim gives NaN for {texts[int(bad.argmax())]!r:.200}.")
        rows = torch.from_numpy(given.astype(np.float32))
        # TextAttack takes a row that is not within 1e-6 of a sum of one for logits, and with it
        # all others, which would go through a second softmax.
        off = (rows.sum(dim=1) - 1).abs() > 5e-7
        if off.any():
            exact = rows[off].double()
            rows[off] = (exact / exact.sum(dim=1, keepdim=True)).float()
        return rows


class NoVictim(ModelWrapper):
    """What an attack is built with before it is known whom it attacks."""

    model = None
    tokenizer = None

    def __call__(self, text_input_list: Sequence[Any], **_: Any) -> Any:
        raise EvaluationError(
            "This TextAttack attack was taken over by rosearch and has no victim of its own. Run "
            "it with RobustnessEvaluator."
        )


class PooledGoal(UntargetedClassification):
    """TextAttack's goal function, its verdicts given by the engine.

    Counts queries as TextAttack's own does, and remembers nothing: the victim does.

    Args:
        ask: Called with attacked texts; returns the engine's answer, about the first of them
            only where the query budget does not pay for more.
        budget: Most queries, the first look at the unchanged text included.
    """

    def __init__(
        self, ask: Callable[[Sequence[Any]], Answer] | None = None, budget: float = float("inf")
    ) -> None:
        # The base's constructor looks at the model's class and logs about it.
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
        return "UntargetedClassification"  # what it stands for, in descriptions of an attack

    __str__ = __repr__

    def initial(self, attacked_text: Any, score: float, probabilities: np.ndarray | None) -> Any:
        """The result for the unchanged text, which the engine has asked about."""
        self.initial_attacked_text = attacked_text
        raw = None if probabilities is None else torch.from_numpy(probabilities)
        return ClassificationGoalFunctionResult(
            attacked_text,
            raw,
            -1 if raw is None else int(raw.argmax()),
            GoalFunctionResultStatus.SEARCHING,
            torch.tensor(score, dtype=torch.float32),
            1,
            self.ground_truth_output,
        )

    def get_results(
        self, attacked_text_list: Sequence[Any], check_skip: bool = False
    ) -> tuple[list[Any], bool]:
        """Results of as many texts as the budget pays for, and whether it is used up."""
        if self._ask is None:
            raise EvaluationError("A goal without a search was asked about texts.")
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
        scores = torch.from_numpy(np.asarray(answer.scores, dtype=np.float32))
        known = len(answer.probabilities) == paid
        results = []
        for row, text in enumerate(wanted[:paid]):
            raw = torch.from_numpy(answer.probabilities[row]) if known else None
            met = bool(answer.succeeded[row])
            results.append(
                ClassificationGoalFunctionResult(
                    text,
                    raw,
                    -1 if raw is None else int(raw.argmax()),
                    GoalFunctionResultStatus.SUCCEEDED
                    if met
                    else GoalFunctionResultStatus.SEARCHING,
                    scores[row],
                    self.num_queries,
                    self.ground_truth_output,
                )
            )
        return results, self.num_queries == self.query_budget


class OnlyWords(PreTransformationConstraint):
    """Leaves all words alone but some of the original ones.

    Args:
        words: Indices of words of the unchanged text that may be changed.
    """

    def __init__(self, words: Sequence[int]) -> None:
        self.words = frozenset(words)

    def _get_modifiable_indices(self, current_text: Any) -> set[int]:
        # Words move when others are inserted or deleted; -1 stands for a deleted one.
        places = current_text.attack_attrs["original_index_map"]
        return {int(place) for i, place in enumerate(places) if i in self.words and place >= 0}
