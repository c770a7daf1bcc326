"""Worst-case word substitution: choices, weights and token positions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rosearch.distill import WordChoices, WordPerturbation
from rosearch.distill.robust.word_perturbation import WordPerturbationHook
from rosearch.distill.training.hooks import Batch
from rosearch.operators import TokenScores
from rosearch.operators.scopes import NEGATION
from rosearch.tokens import TokenizedText, Truncation, collate

Slots = Sequence[tuple[int, int, Sequence[tuple[int, ...]]]]


def flat(rows: Sequence[tuple[int, ...]], texts: Sequence[Slots]) -> WordChoices:
    starts, ends, ids = [], [], []
    first_slots, first_choices, first_ids = [0], [0], [0]
    for row, slots in zip(rows, texts, strict=True):
        for start, end, choices in slots:
            starts.append(start)
            ends.append(end)
            for choice in (row[start:end], *choices):
                ids += choice
                first_ids.append(len(ids))
            first_choices.append(len(first_ids) - 1)
        first_slots.append(len(starts))
    return WordChoices(*map(np.array, (first_slots, starts, ends, first_choices, first_ids, ids)))


class Source:
    settings = {"name": "by hand"}

    def choices(self, dataset: Any, tokenizer: Any, *, max_length: int) -> WordChoices:
        raise AssertionError("these tests give the choices by hand")


class Shape:
    inner = 4


class Vectors(nn.Module):
    """An input that gives each token a vector, as students' inputs do."""

    shape = Shape()

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(30, 4)

    def vectors(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.tokens(input_ids)


class Linear(nn.Module):
    """A loss that is linear in the token vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.token_scores: TokenScores | None = None
        self.embedding = Vectors()
        self.weight = nn.Parameter(torch.randn(4))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        vectors = self.embedding.vectors(input_ids, attention_mask.bool())
        return ((vectors @ self.weight) * attention_mask).sum(1)


class Scored(Linear):
    """A loss that is linear in token vectors and scores, which are larger."""

    def __init__(self, *, cues: Sequence[Sequence[int]] | None = None) -> None:
        super().__init__()
        self.token_scores = TokenScores(30, 2, padding=0, cues=cues)
        nn.init.normal_(self.token_scores.tokens.weight, std=3.0)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        assert self.token_scores is not None
        scores = self.token_scores(input_ids, attention_mask.bool())
        return super().forward(input_ids, attention_mask) + scores[:, 1] - scores[:, 0]


def at_work(
    rows: Sequence[tuple[int, ...]],
    slots: Sequence[Slots],
    *,
    model: nn.Module | None = None,
    progress: float = 1.0,
    types: bool = False,
    numbers: Sequence[int] = (),
    max_length: int = 10,
    truncation: Truncation | None = None,
    seed: int = 0,
    **settings: Any,
) -> tuple[Any, list[dict[str, Any]], torch.Tensor]:
    """A model, the passes over it, and their loss."""
    torch.manual_seed(seed)
    model = model or Linear()
    passes: list[dict[str, Any]] = []
    kinds = [tuple(range(len(row))) if types else None for row in rows]
    encoded = [TokenizedText(row, kind) for row, kind in zip(rows, kinds, strict=True)]
    places = np.array(numbers or range(len(rows)))
    batch = Batch(collate(encoded, pad_id=0), encoded, places)

    def backward(batch: Batch, share: float) -> torch.Tensor:
        inputs = batch.inputs
        loss = model(inputs["input_ids"], inputs["attention_mask"]).mean() * share
        loss.backward()
        passes.append({"share": share, **inputs})
        return loss.detach()

    made = WordPerturbationHook(
        WordPerturbation(Source(), **{"learnt": 0.0, **settings}),
        replace(flat(rows[: len(slots)], slots), truncation=truncation),
        pad_id=0,
        max_length=max_length,
    )
    return model, passes, made.accumulate(model, batch, 1.0, backward=backward, progress=progress)


ROWS = [(1, 5, 6, 7, 2), (1, 8, 9, 2)]
SLOTS: list[Slots] = [
    [(1, 2, [(10,), (11,), (12,)]), (3, 4, [(13,), (14,)])],
    [(1, 2, [(15,), (16,)]), (2, 3, [(17,), (18,), (19,)])],
]


def check_worst(model: nn.Module, found: list[list[int]], all_slots: Sequence[Slots]) -> None:
    """Compare perturbed rows with the worst of all combinations, one by one."""
    for row, slots, ids in zip(ROWS, all_slots, found, strict=True):
        worst, most = row, -np.inf
        options = [[row[start:end], *choices] for start, end, choices in slots]
        for chosen in itertools.product(*options):
            changed: tuple[int, ...] = ()
            done = 0
            for (start, end, _), new in zip(slots, chosen, strict=True):
                changed += (*row[done:start], *new)
                done = end
            changed += row[done:]
            with torch.no_grad():
                loss = model(torch.tensor([changed]), torch.ones(1, len(changed))).item()
            if loss > most:
                worst, most = changed, loss
        assert tuple(token for token in ids if token) == worst


def test_finds_the_worst_combination_if_the_loss_is_linear() -> None:
    model, passes, _ = at_work(ROWS, SLOTS)
    check_worst(model, passes[1]["input_ids"].tolist(), SLOTS)


@pytest.mark.parametrize("cues", [None, [(6, NEGATION), (9, NEGATION)]])
@pytest.mark.parametrize("seed", range(5))
def test_token_scores_count(cues: Sequence[Sequence[int]] | None, seed: int) -> None:
    torch.manual_seed(seed)
    model = Scored(cues=cues)
    plain = Scored.forward(model, torch.tensor([ROWS[0]]), torch.ones(1, 5))
    # The word after a cue stands in its scope.
    slots = [SLOTS[0], [(1, 2, [(15,), (16,)]), (3, 4, [(17,), (18,), (19,)])]]
    _, passes, _ = at_work(ROWS, slots, model=model)
    check_worst(model, passes[1]["input_ids"].tolist(), slots)
    assert torch.equal(plain, Scored.forward(model, torch.tensor([ROWS[0]]), torch.ones(1, 5)))


def test_scores_of_several_tokens_add_up() -> None:
    torch.manual_seed(0)
    model = Scored()
    with torch.no_grad():
        model.weight.zero_()  # vectors count with their mean
    slots: list[Slots] = [
        [(1, 2, [(10, 20), (11,)]), (2, 4, [(21, 22, 23), (13,)])],
        [(2, 3, [(17, 24), (18, 25, 26)])],
    ]
    _, passes, _ = at_work(ROWS, slots, model=model)
    check_worst(model, passes[1]["input_ids"].tolist(), slots)


def test_weights_of_the_passes() -> None:
    for steps in (1, 3):
        model, passes, total = at_work(ROWS, SLOTS, weight=0.75, steps=steps)
        assert [one["share"] for one in passes] == [0.25, *[0.75 / steps] * steps]
        with torch.no_grad():
            losses = [
                model(one["input_ids"], one["attention_mask"]).mean().item() for one in passes
            ]
        shares = [one["share"] for one in passes]
        assert float(total) == pytest.approx(np.dot(shares, losses))
        # One step finds the worst there is of a linear loss, and the others keep it.
        assert losses[1] > losses[0]
        assert losses[1:] == pytest.approx([losses[1]] * steps)


class Curved(Linear):
    """Its loss bends, so that a second look at the gradient pays."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return (0.15 * super().forward(input_ids, attention_mask)).sin()


def test_more_steps_find_worse_texts_if_the_loss_is_curved() -> None:
    found = []
    for seed in range(60):
        torch.manual_seed(seed)
        model = Curved()
        _, passes, _ = at_work(ROWS, SLOTS, model=model, seed=seed, steps=6, share=0.5)
        with torch.no_grad():
            found.append([model(p["input_ids"], p["attention_mask"]).mean().item() for p in passes])
    plain, first, *_, last = np.mean(found, axis=0)
    assert plain < first < last


def test_the_weight_rises_and_with_weight_0_there_is_one_pass() -> None:
    made = WordPerturbationHook(
        WordPerturbation(Source(), weight=0.8, ramp=0.5, learnt=0.0),
        flat([], []),
        pad_id=0,
        max_length=9,
    )
    assert [made.weight(p) for p in (0, 0.25, 0.5, 1)] == [0, 0.4, 0.8, 0.8]
    assert [made.counts(1, p) for p in (0, 0.4, 0.5)] == [False, False, True]
    _, passes, _ = at_work(ROWS, SLOTS, progress=0.0)
    assert [one["share"] for one in passes] == [1.0]


def test_the_weight_may_begin_to_rise_later_or_all_at_once() -> None:
    def weights(begin: float, ramp: float) -> list[float]:
        perturbation = WordPerturbation(Source(), begin=begin, ramp=ramp, learnt=0.0)
        made = WordPerturbationHook(perturbation, flat([], []), pad_id=0, max_length=9)
        return [round(made.weight(p), 9) for p in (0, 0.2, 0.3, 0.4, 1)]

    assert weights(0.2, 0.4) == [0, 0, 0.4, 0.8, 0.8]
    assert weights(0.3, 0.3) == [0, 0, 0.8, 0.8, 0.8]
    with pytest.raises(ValueError, match=r"begin must be a finite number from 0 to 0.3, got 0.4"):
        weights(0.4, 0.3)


class CrossEntropy:
    def __init__(self, labels: Sequence[int]) -> None:
        self.labels = torch.tensor(labels)

    def answer_loss(self, logits: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        return functional.cross_entropy(logits, self.labels[rows])


def hook(**settings: Any) -> WordPerturbationHook:
    perturbation = WordPerturbation(Source(), weight=0.8, ramp=0.0, **settings)
    return WordPerturbationHook(
        perturbation, flat(ROWS, SLOTS), pad_id=0, max_length=9, objective=CrossEntropy([0, 1])
    )


def test_the_weight_follows_what_has_been_learnt() -> None:
    made = hook(learnt=0.4)

    def learn(loss: float) -> float:
        for _ in range(200):
            made._learnt.observe(loss, 1.0)
        return made.weight(1.0)

    assert made.weight(1.0) == 0
    assert learn(1.0) == 0
    assert learn(0.8) == pytest.approx(0.8 / 4, rel=1e-3)  # half of what is wanted
    assert learn(0.5) == 0.8
    assert learn(1.2) == 0
    assert hook(learnt=0.0).weight(1.0) == 0.8
    with pytest.raises(ValueError, match="learnt needs an objective"):
        WordPerturbationHook(made.perturbation, made.choices, pad_id=0, max_length=9)


class Classifier(Linear):
    """Two classes."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        score = super().forward(input_ids, attention_mask)
        return SimpleNamespace(logits=torch.stack([-score, score], dim=1))


@pytest.mark.parametrize("gradient", ["current", "previous"])
def test_only_losses_of_original_texts_are_counted(gradient: str) -> None:
    torch.manual_seed(0)
    model = Classifier()
    rows = [TokenizedText(row) for row in ROWS]
    batch = Batch(collate(rows, pad_id=0), rows, np.arange(2))
    with torch.no_grad():
        model.weight.mul_(0.1)
        labels = model(**batch.inputs).logits[:, 1].argsort()  # so that it has learnt something
    objective = CrossEntropy(labels.tolist())
    plain: list[bool] = []

    def backward(batch: Batch, share: float) -> torch.Tensor:
        plain.append([row.ids for row in batch.rows] == ROWS)
        loss = objective.answer_loss(model(**batch.inputs).logits, batch.numbers) * share
        loss.backward()
        return loss.detach()

    perturbation = WordPerturbation(Source(), ramp=0.0, learnt=0.01, weight=0.6, gradient=gradient)
    made = WordPerturbationHook(
        perturbation, flat(ROWS, SLOTS), pad_id=0, max_length=9, objective=objective
    )
    seen: list[tuple[float, float]] = []
    observe = made._learnt.observe
    made._learnt.observe = lambda *losses: (seen.append(losses), observe(*losses))[0]
    for _ in range(20):
        made.accumulate(model, batch, 0.5, backward=backward, progress=1.0)
    with torch.no_grad():
        logits = model(**batch.inputs).logits
        loss = functional.cross_entropy(logits, labels)
        mean = logits.softmax(1).mean(0).log()
        constant = functional.cross_entropy(mean.expand(2, 2), labels)
    assert len(seen) == sum(plain) < len(plain)
    for losses in seen:
        assert losses == pytest.approx((float(loss), float(constant)))


@pytest.mark.parametrize("gradient", ["current", "previous"])
def test_what_was_learnt_is_kept_in_checkpoints(gradient: str) -> None:
    made, other = (hook(learnt=0.4, gradient=gradient) for _ in range(2))
    for loss in (1.0, 0.9, *[0.7] * 40):
        made._learnt.observe(loss, 1.0)
    made._learnt.miss()
    assert 0 < made.weight(1.0) < 0.8
    assert other.weight(1.0) == 0
    other.load(made.state())
    for loss in (0.7, 0.6):
        for one in (made, other):
            one._learnt.observe(loss, 1.0)
        assert made.weight(1.0) == other.weight(1.0)


def count_changed(passes: Sequence[dict[str, Any]], number: int) -> int:
    rows = [ROWS[0], (*ROWS[1], 0)]
    return int((passes[number]["input_ids"] != torch.tensor(rows)).sum())


def test_shares_of_the_words() -> None:
    model = Linear()
    full = count_changed(at_work(ROWS, SLOTS, model=model)[1], 1)
    assert full > 0
    half = [at_work(ROWS, SLOTS, model=model, share=0.5, seed=s)[1] for s in range(300)]
    assert 0.4 * full < np.mean([count_changed(one, 1) for one in half]) < 0.6 * full
    # Of 3 or 4 choices one is the plain word.
    begun = [at_work(ROWS, SLOTS, model=model, start=0.5, seed=s)[1] for s in range(300)]
    expected = 0.5 * (3 / 4 + 2 / 3 + 2 / 3 + 3 / 4)
    assert np.mean([count_changed(one, 0) for one in begun]) == pytest.approx(expected, rel=0.15)


NEARLY_ALL = 1 - 1e-9


class Visits:
    """Passes of one hook over batches of :data:`ROWS`, and their losses."""

    def __init__(self, slots: Sequence[Slots] = SLOTS, model: nn.Module | None = None, **settings):
        self.model = model or Linear()
        self.seen: list[list[tuple[int, ...]]] = []
        given = {"weight": NEARLY_ALL, "ramp": 0.0, "learnt": 0.0, "gradient": "previous"}
        self.hook = WordPerturbationHook(
            WordPerturbation(Source(), **{**given, **settings}),
            flat(ROWS[: len(slots)], slots),
            pad_id=0,
            max_length=9,
        )

    def __call__(self, *numbers: int, progress: float = 1.0) -> list[tuple[int, ...]]:
        """The rows of a pass over these texts, without padding."""
        # Texts that are not among the training texts are the second.
        rows = [TokenizedText(ROWS[min(number, 1)]) for number in numbers]

        def backward(batch: Batch, share: float) -> torch.Tensor:
            assert share == 0.5
            ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
            lengths = mask.sum(1).tolist()
            self.seen.append([tuple(row[:n]) for row, n in zip(ids.tolist(), lengths, strict=True)])
            loss = self.model(ids, mask).mean() * share
            loss.backward()
            return loss.detach()

        batch = Batch(collate(rows, pad_id=0), rows, np.array(numbers))
        before = len(self.seen)
        self.hook.accumulate(self.model, batch, 0.5, backward=backward, progress=progress)
        assert len(self.seen) == before + 1
        return self.seen[-1]


def test_replacements_of_the_previous_gradient_belong_to_their_texts() -> None:
    torch.manual_seed(1)
    visits = Visits()
    assert visits(0, 1) == ROWS  # no gradient yet
    worst = visits(0, 1)
    check_worst(visits.model, [list(row) for row in worst], SLOTS)
    assert all(row != plain for row, plain in zip(worst, ROWS, strict=True))
    assert visits(1, 0) == worst[::-1]
    assert visits(1) == worst[1:]
    late = Visits(model=visits.model)
    late(0)
    assert late(1, 0) == [ROWS[1], worst[0]]


def test_the_previous_gradient_perturbs_whole_batches_with_the_probability_of_the_weight() -> None:
    torch.manual_seed(0)
    model = Linear()
    always = Visits(model=model)
    worst = [always(0, 1) for _ in range(2)][1]

    def found(**settings: Any) -> list[list[tuple[int, ...]]]:
        visits = Visits(model=model, **settings)
        return [visits(0, 1) for _ in range(400)][1:]

    def changed(rows: list[tuple[int, ...]]) -> int:
        return sum(a != b for row, plain in zip(rows, ROWS, strict=True)
                   for a, b in zip(row, plain, strict=True))  # fmt: skip

    rows = found(weight=0.3)
    assert set(map(tuple, rows)) == {tuple(ROWS), tuple(worst)}
    assert 0.2 < np.mean([one == worst for one in rows]) < 0.4
    counts = [changed(one) for one in found(share=0.5)]
    assert 0.4 * changed(worst) < np.mean(counts) < 0.6 * changed(worst)
    visits = Visits(model=model, begin=0.2, ramp=0.5)
    assert [visits(0, 1, progress=0.1) for _ in range(3)] == [ROWS] * 3


def test_the_previous_gradient_leaves_extra_texts_alone() -> None:
    visits = Visits(SLOTS[:1])
    visits(0, 7)
    first, extra = visits(0, 7)
    assert first != ROWS[0]
    assert extra == ROWS[1]
    visits = Visits([[], []])
    assert [visits(0, 1), visits(0, 1)] == [ROWS, ROWS]


def test_what_the_previous_gradient_chose_is_kept_in_checkpoints() -> None:
    torch.manual_seed(0)
    first = Visits()
    second = Visits(model=first.model)
    first(0, 1)
    second.hook.load(first.hook.state())
    worst = first(0, 1)
    assert worst != ROWS
    assert second(0, 1) == worst


@pytest.mark.parametrize("settings", [{"steps": 2}, {"start": 0.1}])
def test_the_previous_gradient_has_no_place_for_more_passes(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"steps=\d and start=0.\d. Leave them out, or use"):
        WordPerturbation(Source(), gradient="previous", **settings)


def test_settings_name_the_gradient_only_where_it_is_the_previous() -> None:
    assert WordPerturbation(Source()).settings["learnt_of_one_answer"] == 0.2
    plain = WordPerturbation(Source(), learnt=0.0).settings
    assert not [name for name in plain if name.startswith("learnt")]
    assert "gradient" not in WordPerturbation(Source()).settings
    assert WordPerturbation(Source(), gradient="previous").settings["gradient"] == "previous"
    with pytest.raises(ValueError, match="gradient must be one of 'current', 'previous', got"):
        WordPerturbation(Source(), gradient="last")


def test_no_replacement_at_all() -> None:
    _, passes, _ = at_work(ROWS, [[], []])
    assert torch.equal(passes[0]["input_ids"], passes[1]["input_ids"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", 0.0),
        ("weight", 1.0),
        ("ramp", -0.1),
        ("ramp", 1.5),
        ("begin", -0.1),
        ("share", 0.0),
        ("start", 2),
        ("steps", 0),
        ("learnt", 1.1),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .* got {value}"):
        WordPerturbation(Source(), **{name: value})
