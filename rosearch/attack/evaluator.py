"""Robustness of one classifier after the other, on the same examples under the same attacks."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tqdm.auto import tqdm

from rosearch.attack.base import Attack
from rosearch.attack.base import attacks as registry
from rosearch.attack.engine.engine import Example, run_attack
from rosearch.attack.goals import Goal, Untargeted
from rosearch.attack.report.results import AttackResult, RobustnessReport, combine, summarise
from rosearch.attack.settings import check_whole
from rosearch.attack.text import AttackedInput, check_side
from rosearch.attack.victim.precision import describe_victim
from rosearch.attack.victim.victim import Precision, Victim, make_victim
from rosearch.data import TextDataset
from rosearch.errors import DataError, EvaluationError
from rosearch.labels import check_class_order
from rosearch.seeding import generator


class RobustnessEvaluator:
    """Attacks classifiers and reports what is left of their accuracy.

    Every victim faces the same examples, by index: a plain seeded choice of which a smaller
    number takes the first ones, so that 50 examples are among the 200 of the same seed. What
    attacks can do without a victim is done once, here. Instances are picklable.

    Args:
        attacks: Names of registered attacks or :class:`Attack` instances; one or several.
        dataset: Where the examples come from.
        examples: How many (all, if there are fewer; ``None``: all), or their indices.
        seed: Root of all randomness: choice of examples, random substitutions.
        goal: What counts as success. Default: any wrong class.
        query_budget: Most logical queries of one example and attack. Default: no limit.
        attacked_side: Which text of a pair is attacked: 0 the first, 1 the second.
        skip_truncated: Leave words alone that the victim truncates away. Set it to ``False`` for
            exact agreement with TextAttack on long texts.
        max_length: Longest input in tokens. Default: the tokenizer's and the model's limit.
        in_flight: Examples attacked side by side; changes speed only.
        token_budget: Tokens of a batch; changes speed only. Default: 2048 on a CPU, else 65536.
        precision: ``"bfloat16"``: searches ask the model in bfloat16, and every verdict is
            confirmed in float32; see :class:`~rosearch.attack.victim.precision.Bfloat16Victim`.
            Faster; a search may prefer another of two nearly equal replacements. ``"float32"``:
            the model is asked as it was loaded, in bfloat16 if its weights are.
        progress: Show a bar for what takes longer than two seconds.

    Raises:
        RegistryError: An attack name is unknown.
        MissingResourceError: An attack needs a resource that is not on this machine.
        DataError: No attack is given, two have the same name, an index is out of range, or a
            number is not a whole one from 1 (the seed: not a whole one).
    """

    def __init__(
        self,
        attacks: str | Attack | Sequence[str | Attack],
        dataset: TextDataset,
        *,
        examples: int | Sequence[int] | None = 200,
        seed: int = 0,
        goal: Goal | None = None,
        query_budget: int | None = None,
        attacked_side: int = 1,
        skip_truncated: bool = True,
        max_length: int | None = None,
        in_flight: int = 256,
        token_budget: int | None = None,
        precision: Precision = "float32",
        progress: bool = True,
    ) -> None:
        given = [attacks] if isinstance(attacks, (str, Attack, type)) else list(attacks)
        self.attacks = tuple(_make(attack) for attack in given)
        names = [attack.name for attack in self.attacks]
        if not names or len(set(names)) < len(names):
            raise DataError(
                f"Expected one attack or several with different names, got "
                f"{', '.join(names) or 'none'}. To compare settings of one attack, use one "
                f"evaluator for each."
            )
        self.seed = check_whole("seed", seed, least=None)
        self.goal = goal or Untargeted()
        self.query_budget = _limit("query_budget", query_budget)
        self.attacked_side = check_side(attacked_side)
        self.skip_truncated = skip_truncated
        self.max_length = _limit("max_length", max_length)
        self.in_flight = check_whole("in_flight", in_flight)
        self.token_budget = _limit("token_budget", token_budget)
        if precision not in ("float32", "bfloat16"):
            raise DataError(f"precision is 'float32' or 'bfloat16', got {precision!r}.")
        self.precision = precision
        self.progress = progress
        self.indices = choose_examples(len(dataset), examples, self.seed)
        self.classes = len(dataset.classes)
        self._class_names = tuple(dataset.classes)
        self._fingerprint = dataset.fingerprint
        self._examples = tuple(
            Example(i, dataset.texts[i], int(dataset.labels[i])) for i in self.indices
        )
        words = [AttackedInput(e.text, self.attacked_side).words for e in self._examples]
        for attack in self.attacks:
            attack.prepare(words)

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the results depend on besides the victim, as JSON has it."""
        return {
            "attacks": [dict(attack.settings) for attack in self.attacks],
            "goal": dict(self.goal.settings),
            "seed": self.seed,
            "query_budget": self.query_budget,
            "attacked_side": self.attacked_side,
            "skip_truncated": self.skip_truncated,
            "max_length": self.max_length,
            "precision": self.precision,
            "data": self._fingerprint,
            "examples": list(self.indices),
        }

    def victim(self, model: Any, tokenizer: Any = None) -> Victim:
        """What :meth:`evaluate` attacks; arguments and errors are its own."""
        victim = make_victim(
            model,
            tokenizer,
            classes=self.classes,
            max_length=self.max_length,
            token_budget=self.token_budget,
            precision=self.precision,
        )
        config = getattr(getattr(victim.exact, "model", None), "config", None)
        check_class_order(config, self._class_names, owner="The model")
        return victim

    def evaluate(
        self, model: Any, tokenizer: Any = None, *, all_may_fail: bool = False
    ) -> RobustnessReport:
        """Attack one victim.

        The report's settings are the evaluator's, and under ``"victim"`` how this victim really
        answered: ``max_length`` and ``precision`` are no settings of functions, nor of a
        :class:`~rosearch.attack.victim.victim.Victim` that was made elsewhere.

        Args:
            model: A Hugging Face sequence classifier; a function from a list of texts to an array
                of shape ``(texts, classes)``, probabilities or logits; or a
                :class:`~rosearch.attack.victim.victim.Victim`.
            tokenizer: The model's tokenizer. Default: its attribute ``tokenizer``.
            all_may_fail: Report errors where every example failed, instead of raising.

        Raises:
            DataError: The model has no tokenizer, the tokenizer no padding token, or the model
                has the data's class names in another order.
            EvaluationError: The victim gives another number of classes than the data set has,
                or it or an attack fails on every example. What fails on some examples only is
                counted in the report. Its ``reports`` are those of the attacks before.
        """
        begun = time.perf_counter()
        victim = self.victim(model, tokenizer)
        rows_before = victim.forward_rows
        settings = {**self.settings, "victim": describe_victim(victim)}
        reports: dict[str, RobustnessReport] = {}
        with tqdm(
            total=len(self.attacks) * len(self._examples),
            desc="attack",
            unit="example",
            delay=2,
            leave=False,
            disable=not self.progress,
        ) as bar:
            for attack in self.attacks:
                started, rows = time.perf_counter(), victim.forward_rows
                try:
                    results = run_attack(
                        attack,
                        self._examples,
                        victim,
                        goal=self.goal,
                        seed=self.seed,
                        in_flight=self.in_flight,
                        query_budget=self.query_budget,
                        attacked_side=self.attacked_side,
                        skip_truncated=self.skip_truncated,
                        all_may_fail=all_may_fail,
                        on_result=lambda _: bar.update(),
                    )
                except EvaluationError as error:
                    error.reports = dict(reports)
                    raise
                reports[attack.name] = summarise(
                    results,
                    forward_rows=victim.forward_rows - rows,
                    seconds=time.perf_counter() - started,
                    settings={**settings, "attacks": [dict(attack.settings)]},
                )
        return summarise(
            _over_all(list(reports.values())),
            forward_rows=victim.forward_rows - rows_before,
            seconds=time.perf_counter() - begun,
            settings=settings,
            attacks=reports,
        )

    @property
    def examples(self) -> tuple[Example, ...]:
        """The examples that are attacked, in their order."""
        return self._examples

    def part(
        self, start: int, stop: int, *, attacks: Sequence[str] | None = None
    ) -> RobustnessEvaluator:
        """This evaluator for some of its examples only, those from ``start`` up to ``stop``.

        Args:
            start: Place of the first example.
            stop: Place after the last.
            attacks: Names of those of its attacks to run. Default: all.
        """
        twin = copy.copy(self)
        if attacks is not None:
            twin.attacks = tuple(a for a in self.attacks if a.name in attacks)
        twin.indices = self.indices[start:stop]
        twin._examples = self._examples[start:stop]
        return twin

    def __repr__(self) -> str:
        names = ", ".join(attack.name for attack in self.attacks)
        return f"RobustnessEvaluator({names}; {len(self.indices)} examples, seed {self.seed})"


def choose_examples(size: int, examples: int | Sequence[int] | None, seed: int) -> tuple[int, ...]:
    """Indices of the examples to attack.

    Args:
        size: Examples there are.
        examples: How many to choose, their indices, or ``None`` for all.
        seed: Same seed, same choice; a smaller number chooses the first of a larger one's.

    Raises:
        DataError: Nothing is chosen, a number is not a whole one, or an index is out of range or
            named twice.
    """
    if examples is None or not isinstance(examples, Iterable):
        count = (
            size if examples is None else min(check_whole("examples", examples, least=None), size)
        )
        if count < 1:
            raise DataError(f"Expected at least one example to attack, got examples={examples}.")
        order = generator(seed, "attack", "examples").permutation(size)
        return tuple(int(i) for i in order[:count])
    chosen = tuple(check_whole("An index in examples", i, least=None) for i in examples)
    outside = [i for i in chosen if not 0 <= i < size]
    if outside or not chosen or len(set(chosen)) < len(chosen):
        raise DataError(
            f"examples= takes distinct indices from 0 to {size - 1}, at least one; got "
            f"{outside[0] if outside else list(chosen)}."
        )
    return chosen


def _make(attack: str | Attack) -> Attack:
    if isinstance(attack, Attack):
        return attack
    if isinstance(attack, str):
        return registry.get(attack)()
    raise DataError(
        f"Expected the name of an attack or an Attack instance, got {attack!r}. "
        f"Make an instance of a class first."
    )


def _limit(name: str, value: int | None) -> int | None:
    return None if value is None else check_whole(name, value)


def _over_all(reports: Sequence[RobustnessReport]) -> list[AttackResult]:
    return [combine(records) for records in zip(*(r.examples for r in reports), strict=True)]
