"""Other models whose worst case is exact: scores of neighbouring tokens, and weighted tokens.

    python benchmarks/encoding_matrix.py teachers      # fine-tunes the teachers
    python benchmarks/exact_models.py run              # all models, half an hour
    python benchmarks/exact_models.py table

Movie reviews, behind ``spelling``, against what PWWS may exchange. Training, and the share of texts
that withstand all combinations of replacements, are exact as for sums of token scores:

- *pairs*: a text's margin is a sum over its tokens and over pairs of neighbours, whose scores are
  products of linear maps of the teacher's token vectors. The worst combination is found by dynamic
  programming over the words (Viterbi 1967).
- *attention*: the margin is a weighted mean of token scores, with weights from exp(-limit) to
  exp(limit) by a linear map of the vectors. The worst combination is that of a fractional program,
  whose words are independent of each other once the mean is known (Dinkelbach 1967).

``table`` prints the committed results.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from encoding_matrix import SPELLING, Row, distiller, splits
from journals import DATA
from lead_search import cached_teacher
from torch import nn
from torch.nn import functional

import rosearch as rs
from rosearch.attack import WordReplacements
from rosearch.tokens import TokenizedText, WordChoices, tokenize

FILE = DATA / "exact-models.json"
RANKS = (2, 8)
PENALTIES = (1.0, 10.0, 100.0)
"""Weights of the squares of what scores pairs."""
LIMITS = (0.5, 1.0, 2.0)
"""Of the logarithm of a token's weight."""
WEIGHT, OWN, MAP = 0.35, 10.0, 0.1
"""Of the worst case, of scores of tokens of their own, of maps: as in ``WorstCase``."""
EPOCHS, BATCH, RATE = 12, 256, 1e-2


class Texts(NamedTuple):
    """Texts as chains of words, each of which may have several forms."""

    forms: torch.Tensor
    """Tokens of each form, int64 ``(forms, longest)``."""

    lengths: torch.Tensor
    """Tokens of each form, int64 ``(forms,)``."""

    chains: list[torch.Tensor]
    """For each text the forms of its words, int64 ``(words, most forms)``; the original first, and
    -1 where a word has fewer."""

    answers: torch.Tensor
    """Probability of the second class, ``(texts,)``."""

    def tokens(self, forms: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the tokens of texts, given the form of each word."""
        inside = torch.arange(self.forms.shape[1]) < self.lengths[:, None]
        return [self.forms[own][inside[own]] for own in forms]


class Model(nn.Module):
    """Scores of tokens, for the second class against the first, whose sum is a text's margin."""

    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        vectors = vectors - vectors.mean(dim=0)
        self.vectors: torch.Tensor
        self.register_buffer("vectors", vectors / (vectors.std() * vectors.shape[1] ** 0.5))
        self.bias = nn.Parameter(torch.zeros(()))
        self.own = nn.Parameter(torch.zeros(len(vectors)))
        self.map = nn.Parameter(torch.zeros(vectors.shape[1]))

    def scores(self, tokens: torch.Tensor) -> torch.Tensor:
        """The score of each token."""
        return self.own[tokens] + self.vectors[tokens] @ self.map

    def penalty(self) -> torch.Tensor:
        """The weighted squares."""
        return (OWN * self.own.square().sum() + MAP * self.map.square().sum()) / 2

    def margins(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        """The margin of each row of tokens."""
        ids, text = torch.cat(list(rows)), numbers_of(rows)
        return self.bias + self.scores(ids).new_zeros(len(rows)).index_add(
            0, text, self.scores(ids)
        )

    def worst(self, options: Options, signs: torch.Tensor) -> torch.Tensor:
        """Which form of each word makes the margin smallest for the class that a sign tells."""
        own = (self.scores(options.ids) * options.inside).sum(dim=1)
        cost = signs[:, None, None] * own[options.place]
        return cost.masked_fill(~options.known, torch.inf).argmin(dim=2)


class Pairs(Model):
    """Scores of pairs of neighbours, too."""

    def __init__(self, vectors: torch.Tensor, rank: int, weight: float) -> None:
        super().__init__(vectors)
        self.weight = weight
        self.left = nn.Parameter(0.1 * torch.randn(vectors.shape[1], rank))
        self.right = nn.Parameter(0.1 * torch.randn(vectors.shape[1], rank))

    def factors(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What tokens contribute to pairs as the left and as the right one."""
        known = self.vectors[tokens]
        return known @ self.left, known @ self.right

    def penalty(self) -> torch.Tensor:
        maps = self.left.square().sum() + self.right.square().sum()
        return super().penalty() + self.weight * maps / 2

    def margins(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        ids, text = torch.cat(list(rows)), numbers_of(rows)
        left, right = self.factors(ids)
        both = (left[:-1] * right[1:]).sum(dim=1) * (text[:-1] == text[1:])
        alone = super().margins(rows)
        return alone + both.new_zeros(len(rows)).index_add(0, text[:-1], both)

    def worst(self, options: Options, signs: torch.Tensor) -> torch.Tensor:
        ids, place, known = options.ids, options.place, options.known
        own = (self.scores(ids) * options.inside).sum(dim=1)
        left, right = self.factors(ids)
        within = (left[:, :-1] * right[:, 1:]).sum(dim=2) * options.inside[:, 1:]
        own = own + within.sum(dim=1)
        final = options.lengths - 1
        first, last = right[:, 0], left[torch.arange(len(ids)), final]
        cost = (signs[:, None, None] * own[place]).masked_fill(~known, torch.inf)
        total, back = cost[:, 0], []
        for w in range(1, place.shape[1]):
            joint = last[place[:, w - 1]] @ first[place[:, w]].transpose(1, 2)
            before = (total[:, :, None] + signs[:, None, None] * joint).min(dim=1)
            real = known[:, w, :1]  # texts that have ended keep what they have
            stay = torch.arange(place.shape[2])
            back.append(torch.where(real, before.indices, stay))
            total = torch.where(real, before.values + cost[:, w], total)
        at = total.argmin(dim=1)
        path = [at]
        for step in reversed(back):
            at = step.gather(1, at[:, None])[:, 0]
            path.append(at)
        return torch.stack(path[::-1], dim=1)


class Attention(Model):
    """A mean of token scores, with weights that have a limit."""

    def __init__(self, vectors: torch.Tensor, limit: float) -> None:
        super().__init__(vectors)
        self.limit = limit
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.attention = nn.Parameter(torch.zeros(vectors.shape[1]))

    def weights(self, tokens: torch.Tensor) -> torch.Tensor:
        """The weight of each token."""
        return torch.exp(self.limit * torch.tanh(self.vectors[tokens] @ self.attention))

    def margins(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        ids, text = torch.cat(list(rows)), numbers_of(rows)
        weights = self.weights(ids)
        zeros = weights.new_zeros(len(rows))
        total = zeros.index_add(0, text, weights)
        return self.bias + self.scale * (
            zeros.index_add(0, text, weights * self.scores(ids)) / total
        )

    def worst(self, options: Options, signs: torch.Tensor) -> torch.Tensor:
        weights = self.weights(options.ids) * options.inside
        sums = (weights * self.scores(options.ids)).sum(dim=1)[options.place]
        sums = sums * (signs * self.scale.sign())[:, None, None]
        totals = weights.sum(dim=1)[options.place]
        real = options.known[:, :, 0]
        picked = torch.zeros_like(real, dtype=torch.int64)
        for _ in range(30):
            chosen = picked[:, :, None]
            means = (sums.gather(2, chosen)[:, :, 0] * real).sum(dim=1)
            means = means / (totals.gather(2, chosen)[:, :, 0] * real).sum(dim=1)
            cost = (sums - means[:, None, None] * totals).masked_fill(~options.known, torch.inf)
            better = cost.argmin(dim=2)
            if (better == picked).all():
                break
            picked = better
        return picked


class Options(NamedTuple):
    """What each word of some texts may become."""

    ids: torch.Tensor
    """Tokens of the distinct forms, ``(forms, longest)``."""

    lengths: torch.Tensor
    """Their numbers of tokens, ``(forms,)``."""

    inside: torch.Tensor
    """Which tokens are real, ``(forms, longest)``."""

    place: torch.Tensor
    """The number of each form of each word, ``(texts, words, most forms)``."""

    known: torch.Tensor
    """Which forms there are, likewise."""


def numbers_of(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """The number of the row of each token."""
    return torch.arange(len(rows)).repeat_interleave(torch.tensor([len(row) for row in rows]))


@torch.no_grad()
def worst_rows(
    model: Model, texts: Texts, chosen: Sequence[int], signs: torch.Tensor
) -> list[torch.Tensor]:
    """The tokens of the worst combination of each text, for the class that its sign tells."""
    words = max(len(texts.chains[k]) for k in chosen)
    most = max(texts.chains[k].shape[1] for k in chosen)
    forms = torch.full((len(chosen), words, most), -1)
    for n, k in enumerate(chosen):
        own = texts.chains[k]
        forms[n, : own.shape[0], : own.shape[1]] = own
    used, place = forms.clamp(min=0).unique(return_inverse=True)
    lengths = texts.lengths[used]
    inside = torch.arange(texts.forms.shape[1]) < lengths[:, None]
    options = Options(texts.forms[used], lengths, inside, place, forms >= 0)
    picked = forms.gather(2, model.worst(options, signs)[:, :, None])[:, :, 0]
    ends = [len(texts.chains[k]) for k in chosen]
    return texts.tokens([own[:end] for own, end in zip(picked, ends, strict=True)])


def chains(rows: Sequence[TokenizedText], choices: WordChoices, answers: torch.Tensor) -> Texts:
    """The words of texts and their forms."""
    numbers: dict[tuple[int, ...], int] = {}

    def number(form: Sequence[int]) -> int:
        return numbers.setdefault(tuple(map(int, form)), len(numbers))

    found = []
    for k, row in enumerate(rows):
        words, done = [], 0
        for slot in range(choices.first_slots[k], choices.first_slots[k + 1]):
            words += [[number(row.ids[i : i + 1])] for i in range(done, choices.starts[slot])]
            options = range(choices.first_choices[slot], choices.first_choices[slot + 1])
            firsts = choices.first_ids
            forms = [number(choices.ids[firsts[c] : firsts[c + 1]]) for c in options]
            words.append(list(dict.fromkeys(forms)))
            done = choices.ends[slot]
        words += [[number(row.ids[i : i + 1])] for i in range(done, len(row.ids))]
        padded = [torch.tensor(word) for word in words]
        found.append(nn.utils.rnn.pad_sequence(padded, batch_first=True, padding_value=-1))
    forms = [torch.tensor(form) for form in numbers]
    lengths = torch.tensor([len(form) for form in forms])
    return Texts(nn.utils.rnn.pad_sequence(forms, batch_first=True), lengths, found, answers)


def batches(count: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Numbers of texts in random order."""
    order = rng.permutation(count).tolist()
    yield from (order[k : k + BATCH] for k in range(0, count, BATCH))


def originals(texts: Texts, chosen: Sequence[int]) -> list[torch.Tensor]:
    """The tokens of texts as they are."""
    return texts.tokens([texts.chains[k][:, 0] for k in chosen])


def fit(model: Model, texts: Texts) -> None:
    """Train a model against the exact worst case."""
    rng = np.random.default_rng(0)
    count = len(texts.chains)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    steps = EPOCHS * -(-count // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        for chosen in batches(count, rng):
            wanted = texts.answers[chosen]
            signs = torch.where(wanted > 0.5, 1.0, -1.0)
            worst = worst_rows(model, texts, chosen, signs)
            both = model.margins([*worst, *originals(texts, chosen)])
            attacked, plain = both.chunk(2)
            loss = WEIGHT * functional.binary_cross_entropy_with_logits(attacked, wanted)
            loss = loss + (1 - WEIGHT) * functional.binary_cross_entropy_with_logits(plain, wanted)
            loss = loss + model.penalty() / count
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def shares(model: Model, texts: Texts, labels: np.ndarray) -> dict[str, float]:
    """Share of texts that are right, and that no combination of replacements makes wrong."""
    signs = torch.from_numpy(np.where(labels == 1, 1.0, -1.0)).float()
    right: list[bool] = []
    held: list[bool] = []
    for start in range(0, len(labels), BATCH):
        chosen = list(range(start, min(start + BATCH, len(labels))))
        own = signs[chosen]
        right += (own * model.margins(originals(texts, chosen)) > 0).tolist()
        held += (own * model.margins(worst_rows(model, texts, chosen, own)) > 0).tolist()
    worst = min(np.mean(np.array(held)[labels == label]) for label in (0, 1))
    return {
        "accuracy": float(np.mean(right)),
        "withstand": float(np.mean(held)),
        "worst_class": float(worst),
    }


def models(vectors: torch.Tensor) -> Iterator[tuple[str, Model]]:
    """All that are compared, each with its name."""
    yield "sum", Model(vectors)
    for rank in RANKS:
        for weight in PENALTIES:
            torch.manual_seed(0)
            yield f"pairs, rank {rank}, weight {weight:g}", Pairs(vectors, rank, weight)
    for limit in LIMITS:
        yield f"attention, limit {limit:g}", Attention(vectors, limit)


def run() -> None:
    """Train all models, and write what is right and withstands."""
    teacher = cached_teacher("movies")
    one = distiller("movies", teacher, Row((SPELLING,), bound=0.0))
    student = one.distill(rs.templates.additive(encodings=(SPELLING,)), seed=0).student
    replacements = WordReplacements("pwws")
    made = []
    for part in splits("movies"):
        length = teacher.max_length
        rows = tokenize(student.tokenizer, part.texts, max_length=length)
        choices = replacements.choices(part, student.tokenizer, max_length=length)
        logits = torch.tensor(teacher.logits(part, progress=False)) / 1.5
        made.append((chains(rows, choices, logits.softmax(dim=1)[:, 1]), part.labels))
    vectors = teacher.model.get_input_embeddings().weight.detach()
    found: list[dict[str, Any]] = []
    for name, model in models(vectors):
        start = time.process_time()
        fit(model, made[0][0])
        found.append({"model": name, "seconds": time.process_time() - start})
        for part_name, (texts, labels) in zip(("train", "dev", "test"), made, strict=True):
            found[-1][part_name] = shares(model, texts, np.asarray(labels))
        print(found[-1], flush=True)
        FILE.write_text(json.dumps(found, indent=1) + "\n")


def table() -> list[list[str]]:
    """Per cent, a row for each model."""
    head = ["model", "train accuracy", "dev accuracy", "dev withstand"]
    rows = [[*head, "test accuracy", "test withstand", "worst class", "seconds"]]
    for one in json.loads(FILE.read_text()):
        figures = [one["train"]["accuracy"], one["dev"]["accuracy"], one["dev"]["withstand"]]
        figures += [one["test"][key] for key in ("accuracy", "withstand", "worst_class")]
        cells = [f"{100 * figure:.1f}" for figure in figures]
        rows.append([one["model"], *cells, f"{one['seconds']:.0f}"])
    return rows


def steps(about: str, run: Callable[[], None], table: Callable[[], list[list[str]]]) -> None:
    """What the command line asks for: to run, or only to print the committed table."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("step", choices=["run", "table"])
    if parser.parse_args().step == "run":
        run()
    for row in table():
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    steps(__doc__ or "", run, table)
