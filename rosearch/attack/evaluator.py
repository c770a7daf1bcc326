"""Evaluate the robustness of classifiers on the same examples under the same attacks."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from rosearch.attack.base import Attack, make_attack
from rosearch.attack.certificates.certificate import certified
from rosearch.attack.engine.attack_run import Example
from rosearch.attack.engine.checkpoint import open_checkpoint
from rosearch.attack.engine.engine import run_attack
from rosearch.attack.goals import Goal, Untargeted
from rosearch.attack.report.results import AttackResult, RobustnessReport
from rosearch.attack.report.summary import join_attacks, summarise
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.make import Precision, describe_victim, make_victim
from rosearch.attack.victim.victim import Victim
from rosearch.checks import choice, whole_number
from rosearch.data import TextDataset, as_dataset, check_class_order, class_names
from rosearch.encode import Encoding
from rosearch.errors import ArgumentError, EvaluationError
from rosearch.progress import progress_bar
from rosearch.seeding import generator
from rosearch.threads import batches_at_once, computing


class RobustnessEvaluator:
    """Attacks classifiers and reports their accuracy under attack.

    Every victim is attacked on the same examples. A smaller number of examples is a prefix of a
    larger one with the same seed: the 50 examples are the first of the 200. What attacks can
    precompute without a victim is computed once, here. Instances are picklable.

    Args:
        attacks: Names of registered attacks or :class:`Attack` instances; one or several.
        dataset: Data set to draw examples from: a :class:`~rosearch.TextDataset`; a
            ``datasets.Dataset`` or ``pandas.DataFrame`` with the columns ``text`` and ``label``; or
            a list of pairs of a text and its class index.
        examples: Number of examples (``None`` or a number above the data set's size: all), or their
            indices.
        seed: Root of all random draws: choice of examples, random substitutions.
        goal: Goal function. Default: any wrong class.
        query_budget: Maximum number of queries per example and attack. Default: no limit.
        attacked_side: Attacked text of a pair, 0 or 1.
        skip_truncated: Do not change words that the victim truncates away. ``False`` agrees exactly
            with TextAttack on long texts.
        max_length: Maximum input length in tokens. Default: the tokenizer's and the model's limit.
        certify: Also find out, for each example that an attack does not break, whether any
            combination of its substitutions would; see :meth:`RobustnessReport.certified`.
        in_flight: Number of examples attacked concurrently; affects only speed.
        token_budget: Tokens per batch; affects only speed. Default: 2048 on a CPU, else 65536.
        threads: Threads of a CPU, each of which computes batches of its own; affects only speed.
            Default: as many as PyTorch has. A function may use as many for its own operations.
        precision: ``"float32"`` queries the model as it was loaded (in bfloat16 if its weights
            are). ``"bfloat16"`` is faster: searches query the model in bfloat16, and every verdict
            is computed in float32; see
            :class:`~rosearch.attack.victim.precision.Bfloat16Victim`.
        progress: Show a progress bar if an evaluation takes longer than two seconds.

    Raises:
        RegistryError: An attack name is unknown.
        MissingResourceError: A resource that an attack needs is not installed.
        ArgumentError: No attack is given, two have the same name, ``dataset`` is none of these, or
            an argument is out of range.
        DataError: A text or label of ``dataset`` is invalid.
    """

    def __init__(
        self,
        attacks: str | Attack | Sequence[str | Attack],
        dataset: TextDataset | Any,
        *,
        examples: int | Sequence[int] | None = 200,
        seed: int = 0,
        goal: Goal | None = None,
        query_budget: int | None = None,
        attacked_side: int = 1,
        skip_truncated: bool = True,
        max_length: int | None = None,
        certify: bool = False,
        in_flight: int = 256,
        token_budget: int | None = None,
        threads: int | None = None,
        precision: Precision = "float32",
        progress: bool = True,
    ) -> None:
        given = [attacks] if isinstance(attacks, (str, Attack, type)) else list(attacks)
        self.attacks = tuple(make_attack("each of attacks", attack) for attack in given)
        names = [attack.name for attack in self.attacks]
        if not names or len(set(names)) < len(names):
            raise ArgumentError(
                f"attacks must be one attack or several with different names, got "
                f"{', '.join(names) or 'none'}. To compare settings of one attack, use one "
                f"evaluator per setting."
            )
        self.seed = whole_number("seed", seed, None)
        self.goal = goal or Untargeted()
        self.query_budget = _limit("query_budget", query_budget)
        self.attacked_side = choice("attacked_side", attacked_side, (0, 1))
        self.skip_truncated = skip_truncated
        self.max_length = _limit("max_length", max_length)
        self.certify = bool(certify)
        self.in_flight = whole_number("in_flight", in_flight)
        self.token_budget = _limit("token_budget", token_budget)
        self.threads = _limit("threads", threads)
        self.precision: Precision = choice("precision", precision, ("float32", "bfloat16"))
        self.progress = progress
        dataset = as_dataset("dataset", dataset)
        self.indices = choose_examples(len(dataset), examples, self.seed)
        self.classes = len(dataset.classes)
        self.examples = tuple(
            Example(i, dataset.texts[i], int(dataset.labels[i])) for i in self.indices
        )
        """The examples to attack, in the order of the report."""
        self._class_names = tuple(dataset.classes)
        self._fingerprint = dataset.fingerprint
        words = [AttackedInput(e.text, self.attacked_side).words for e in self.examples]
        for attack in self.attacks:
            attack.prepare(words)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything besides the victim that the results depend on, as JSON."""
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
            **({"certify": True} if self.certify else {}),  # else as before there were certificates
        }

    def victim(
        self, model: Any, tokenizer: Any = None, *, encoding: Encoding | None = None
    ) -> Victim:
        """Return the victim that :meth:`evaluate` attacks; see there for arguments and errors."""
        victim = make_victim(
            model,
            tokenizer,
            encoding=encoding,
            max_length=self.max_length,
            token_budget=self.token_budget,
            precision=self.precision,
        )
        check_class_order(_config(victim), self._class_names, owner="The model")
        victim.expect(self.classes)
        victim.exact.require_distinct([example.text for example in self.examples])
        return victim

    def report_settings(self, victim: Victim) -> dict[str, Any]:
        """Return the settings of a report on ``victim``, which :meth:`victim` made."""
        return {
            **self.settings,
            "classes": list(class_names(_config(victim), self._class_names)),
            "victim": describe_victim(victim),
        }

    def evaluate(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        encoding: Encoding | None = None,
        all_may_fail: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> RobustnessReport:
        """Attack one victim.

        The report's settings are the evaluator's, under ``"classes"`` the names of the classes (the
        model's, where the data has only numbers) and, under ``"victim"``, the victim's:
        ``max_length`` and ``precision`` do not apply to functions or to a given
        :class:`~rosearch.attack.victim.victim.Victim`.

        Args:
            model: A Hugging Face sequence classifier; a function from a list of texts to an array
                of probabilities or logits, shape ``(texts, classes)``; or a
                :class:`~rosearch.attack.victim.victim.Victim`.
            tokenizer: The model's tokenizer. Default: its attribute ``tokenizer``.
            encoding: Applied to every text before the model or function reads it; the attack sees
                and changes the original. Default: that of the tokenizer, if it applies one.
            all_may_fail: Report errors if every example failed, instead of raising.
            checkpoint: File that keeps results and the victim's answers as they come. The same call
                goes on where an interrupted one ended, and its report is that of an uninterrupted
                one. Of a function only the name is compared with that in the file.

        Raises:
            DataError: The model has no tokenizer, or one that does not fit it or maps almost all
                examples to the same tokens; the model's class names are those of the data in
                another order; the model is a multi-label classifier or a regression; or
                ``encoding`` is given and the tokenizer is slow or applies an encoding already.
            ArgumentError: ``encoding`` is no encoding, or is given with a ``Victim``; or
                ``checkpoint`` is no path.
            StorageError: ``checkpoint`` cannot be read or written, is in use, is no checkpoint, or
                is one of another victim or other settings.
            EvaluationError: The victim's number of classes differs from the data set's, or it or
                an attack fails on every example; its ``reports`` are those of the attacks that
                completed before. Failures on some examples are counted in the report.
        """
        victim = self.victim(model, tokenizer, encoding=encoding)
        settings = self.report_settings(victim)
        reports: dict[str, RobustnessReport] = {}
        threads = self.threads or batches_at_once()
        with (
            computing(_device(victim), threads, work="attack"),
            open_checkpoint(checkpoint, victim, self.settings) as kept,
            progress_bar(
                total=len(self.attacks) * len(self.examples),
                desc="attack",
                unit="example",
                leave=False,
                show=self.progress,
            ) as bar,
        ):

            def done(result: AttackResult) -> None:
                kept.add(result)
                bar.update()

            for attack in self.attacks:
                before = kept.begin(attack.name)
                bar.update(len(before.results))
                start, rows = time.perf_counter(), victim.forward_rows
                try:
                    results = run_attack(
                        attack,
                        self.examples,
                        victim,
                        goal=self.goal,
                        seed=self.seed,
                        in_flight=self.in_flight,
                        query_budget=self.query_budget,
                        attacked_side=self.attacked_side,
                        skip_truncated=self.skip_truncated,
                        all_may_fail=all_may_fail,
                        on_result=done,
                        known=before.results,
                    )
                except EvaluationError as error:
                    error.reports = dict(reports)
                    raise
                rows = before.rows + victim.forward_rows - rows
                seconds = before.seconds + time.perf_counter() - start
                if self.certify:
                    kept.begin(None)
                    results = certified(results, attack, victim, self.attacked_side, seed=self.seed)
                reports[attack.name] = summarise(
                    results,
                    forward_rows=rows,
                    seconds=seconds,
                    settings={**settings, "attacks": [dict(attack.settings)]},
                )
        return join_attacks(reports, settings)

    def part(
        self, start: int, stop: int, *, attacks: Sequence[str] | None = None
    ) -> RobustnessEvaluator:
        """Return an evaluator for the examples ``[start, stop)`` of this one.

        Args:
            start: First example.
            stop: End of the examples.
            attacks: Names of the attacks to run. Default: all of this evaluator.
        """
        part = copy.copy(self)
        if attacks is not None:
            part.attacks = tuple(a for a in self.attacks if a.name in attacks)
        part.indices = self.indices[start:stop]
        part.examples = self.examples[start:stop]
        return part


def choose_examples(size: int, examples: int | Sequence[int] | None, seed: int) -> tuple[int, ...]:
    """Return the indices of the examples to attack.

    Args:
        size: Size of the data set.
        examples: Number of examples to draw, their indices, or ``None`` for all.
        seed: A smaller number of examples is a prefix of a larger one with the same seed.

    Raises:
        ArgumentError: ``examples`` is below 1 or empty, or an index is out of range or repeated.
    """
    if isinstance(examples, Iterable):
        chosen = tuple(whole_number("each of examples", i, 0, size - 1) for i in examples)
        if not chosen or len(set(chosen)) < len(chosen):
            raise ArgumentError(
                f"examples must be distinct indices, at least one, got {list(chosen)}."
            )
        return chosen
    count = size if examples is None else whole_number("examples", examples)
    order = generator(seed, "attack", "examples").permutation(size)
    return tuple(int(i) for i in order[:count])


def _config(victim: Victim) -> Any:
    """The configuration of a victim's model, if it has one."""
    return getattr(getattr(victim.exact, "model", None), "config", None)


def _device(victim: Victim) -> torch.device:
    """Where a victim's model is; that of a function is its own matter."""
    model = getattr(victim.exact, "model", None)
    if isinstance(model, torch.nn.Module):
        return next(model.parameters()).device
    return torch.device("cpu")


def _limit(name: str, value: int | None) -> int | None:
    return None if value is None else whole_number(name, value)
