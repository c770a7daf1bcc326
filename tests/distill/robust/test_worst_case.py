"""Token scores: their exact worst case, and their training against it."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import WordReplacements
from rosearch.data import TextDataset
from rosearch.distill import (
    DistillationResult,
    Distiller,
    Teacher,
    WordChoices,
    WordPerturbation,
    WorstCase,
)
from rosearch.distill.robust.worst_margins import worst_margins
from rosearch.errors import ArgumentError
from rosearch.operators import TokenScores
from rosearch.space import templates
from rosearch.tokens import TokenizedText
from tests.distill.robust.test_word_perturbation import Slots, flat

VOCABULARY = 30


def random_texts(seed: int, count: int = 6) -> tuple[list[TokenizedText], list[Slots], WordChoices]:
    """Texts with up to four slots, of which the options have one to three tokens."""
    rng = np.random.default_rng(seed)

    def tokens(length: int) -> tuple[int, ...]:
        return tuple(rng.integers(1, VOCABULARY, length).tolist())

    rows, texts = [], []
    for _ in range(count):
        row = tokens(int(rng.integers(1, 12)))
        ends = sorted({int(e) for e in rng.integers(0, len(row) + 1, 5)})
        slots = [
            (start, end, [tokens(int(rng.integers(1, 4))) for _ in range(int(rng.integers(1, 4)))])
            for start, end in itertools.pairwise(ends)
        ]
        rows.append(row)
        texts.append(slots)
    return [TokenizedText(row, None) for row in rows], texts, flat(rows, texts)


def variants(row: tuple[int, ...], slots: Slots) -> Sequence[list[int]]:
    """Every combination of replacements."""
    found = []
    for combination in itertools.product(*([row[a:b], *new] for a, b, new in slots)):
        ids, done = [], 0
        for (start, end, _), chosen in zip(slots, combination, strict=True):
            ids += [*row[done:start], *chosen]
            done = end
        found.append([*ids, *row[done:]])
    return found


def random_scores(classes: int) -> TokenScores:
    scores = TokenScores(VOCABULARY, classes)
    with torch.no_grad():
        scores.tokens.weight.normal_()
        scores.bias.normal_()
    return scores


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("seed", range(5))
def test_margins_are_the_least_of_all_combinations(seed: int, classes: int) -> None:
    torch.manual_seed(seed)
    scores = random_scores(classes)
    rows, texts, choices = random_texts(seed)
    labels = [number % classes for number in range(len(rows))]
    found = worst_margins(scores, rows, labels, choices)
    for row, slots, label, margins in zip(rows, texts, labels, found, strict=True):
        with torch.no_grad():
            logits = torch.stack(
                [
                    scores(torch.tensor([ids]), torch.ones(1, len(ids)).bool())[0]
                    for ids in variants(row.ids, slots)
                ]
            )
        least = (logits[:, [label]] - logits).amin(dim=0)
        np.testing.assert_allclose(margins, least.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_margins_with_scopes(seed: int) -> None:
    torch.manual_seed(seed)
    cues = [(VOCABULARY, 1), (VOCABULARY + 1, 2), (VOCABULARY + 2, 3)]  # which replace nothing
    scores = TokenScores(VOCABULARY + 3, 3, cues=cues)
    with torch.no_grad():
        scores.tokens.weight.normal_()
    rows, texts, choices = random_texts(seed)
    rng = np.random.default_rng(seed)
    inserted, slots, places = [], [], []
    for row, own in zip(rows, texts, strict=True):
        # A cue before some of the slots, which moves those after it.
        ids, moved, done, shift = [], [], 0, 0
        for start, end, options in own:
            ids += row.ids[done:start]
            if rng.random() < 0.7:
                ids.append(int(VOCABULARY + rng.integers(3)))
                shift += 1
            moved.append((start + shift, end + shift, options))
            places.append((start + shift, end + shift))
            ids += row.ids[start:end]
            done = end
        inserted.append(TokenizedText((*ids, *row.ids[done:]), None))
        slots.append(moved)
    starts, ends = np.array(places).T
    choices = replace(choices, starts=starts, ends=ends)
    found = worst_margins(scores, inserted, [0] * len(rows), choices)
    for row, own, margins in zip(inserted, slots, found, strict=True):
        with torch.no_grad():
            logits = torch.stack(
                [
                    scores(torch.tensor([ids]), torch.ones(1, len(ids)).bool())[0]
                    for ids in variants(row.ids, own)
                ]
            )
        least = (logits[:, [0]] - logits).amin(dim=0)
        np.testing.assert_allclose(margins, least.numpy(), rtol=1e-4, atol=1e-5)


def test_a_text_without_slots_keeps_its_margin() -> None:
    scores = random_scores(2)
    rows = [TokenizedText((3, 4), None), TokenizedText((5,), None)]
    choices = flat([(3, 4), (5,)], [[], [(0, 1, [(6,)])]])
    margins = worst_margins(scores, rows, [0, 0], choices)
    table = scores.tokens.weight.detach()
    plain = table[3] + table[4] + scores.bias.detach()
    np.testing.assert_allclose(margins[0, 1], (plain[0] - plain[1]).numpy(), rtol=1e-5)


class TestFit:
    def fitted(self, **settings: Any) -> tuple[TokenScores, list[TokenizedText], WordChoices]:
        # Tokens 1 and 2 tell the classes apart, and so do 3 and 4, which exchange for each other.
        rng = np.random.default_rng(0)
        rows, texts, logits = [], [], []
        for label in rng.integers(0, 2, 200).tolist():
            noise = rng.random() < 0.2
            row = (1 + (label ^ int(noise)), 3 + label, int(rng.integers(5, VOCABULARY)))
            rows.append(row)
            texts.append([(1, 2, [(4 - label,)])])
            logits.append([3.0, -3.0] if label == 0 else [-3.0, 3.0])
        tokenized = [TokenizedText(row, None) for row in rows]
        choices = flat(rows, texts)
        scores = TokenScores(VOCABULARY, 2)
        loss = WorstCase(**settings).fit(scores, tokenized, np.array(logits), choices)
        assert np.isfinite(loss)
        self.labels = [int(row[1] == 4) for row in rows]
        return scores, tokenized, choices

    def test_the_worst_case_moves_weight_to_what_cannot_be_replaced(self) -> None:
        shares = {}
        for weight in (0.0, 0.5, 0.9):
            scores, rows, choices = self.fitted(weight=weight)
            margins = worst_margins(scores, rows, self.labels, choices).max(axis=1)
            least = worst_margins(scores, rows, self.labels, choices)
            robust = np.mean([least[i, 1 - label] > 0 for i, label in enumerate(self.labels)])
            table = scores.tokens.weight.detach()
            gaps = (table[:, 1] - table[:, 0]).numpy()
            shares[weight] = (robust, abs(gaps[4] - gaps[3]))
            assert gaps[2] > gaps[1]
            assert margins.min() >= 0
        assert shares[0.0][0] == 0
        assert shares[0.9][0] > 0.7
        assert shares[0.9][1] < shares[0.5][1] < shares[0.0][1]

    def test_the_penalty_shrinks_scores(self) -> None:
        norms = [
            float(self.fitted(penalty=penalty)[0].tokens.weight.detach().norm())
            for penalty in (0.1, 1.0, 10.0)
        ]
        assert norms == sorted(norms, reverse=True)

    def test_a_rare_token_scores_like_tokens_with_its_vector(self) -> None:
        rows = [TokenizedText((1 + label,), None) for label in [0, 1] * 50]
        logits = np.array([[2.0, -2.0], [-2.0, 2.0]] * 50)
        vectors = np.random.default_rng(0).normal(size=(VOCABULARY, 64)).astype(np.float32)
        vectors[7] = vectors[2]  # 7 is in no text
        gaps = {}
        for given in (None, vectors):
            scores = TokenScores(VOCABULARY, 2, padding=0)
            WorstCase().fit(scores, rows, logits, None, given)
            table = scores.tokens.weight.detach()
            assert not table[0].any()
            gaps[given is None] = (table[:, 1] - table[:, 0]).numpy()
        assert gaps[True][7] == 0
        assert gaps[False][7] > 0.5 * gaps[False][2] > 0 > gaps[False][1]

    def test_gives_the_same_again(self) -> None:
        (a, *_), (b, *_) = self.fitted(), self.fitted()
        assert torch.equal(a.tokens.weight, b.tokens.weight)
        assert a.tokens.weight.grad is None

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"weight": 1.0}, "weight"),
            ({"weight": -0.1}, "weight"),
            ({"penalty": -1}, "penalty"),
            ({"temperature": 0}, "temperature"),
            ({"steps": 0}, "steps"),
            ({"learning_rate": 0}, "learning_rate"),
            ({"replacements": "pwws"}, r"replacements must be Replacements such as"),
        ],
    )
    def test_bad_settings_are_refused(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ArgumentError, match=message):
            WorstCase(**settings)


SMALL = {"width": 16, "embedding_width": 8}


@pytest.fixture(scope="module")
def small_teacher(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    return Teacher.from_pretrained(teacher_folder, cache_dir=tmp_path_factory.mktemp("cache"))


class TestDistiller:
    def distiller(self, teacher: Teacher, dataset: TextDataset, **settings: Any) -> Distiller:
        given = {"epochs": 2, "progress": False, "device": "cpu", **settings}
        return Distiller(teacher, dataset, dataset, **given)

    def scores(self, result: DistillationResult) -> torch.Tensor:
        found = result.student.token_scores
        assert found is not None
        return found.tokens.weight.detach()

    def test_scores_are_shared_by_all_graphs_and_stay_as_fitted(
        self, small_teacher: Teacher, dataset: TextDataset
    ) -> None:
        distiller = self.distiller(small_teacher, dataset)
        alone = distiller.distill(templates.additive())
        assert len(alone.history) == 1
        assert alone.accuracy == alone.history[0].accuracy > 0.8
        cnn = replace(templates.text_cnn(**SMALL), bound=0.5)
        beside = distiller.distill(cnn)
        assert torch.equal(self.scores(beside), self.scores(alone))
        assert len(beside.history) == 2
        assert all(parameter.requires_grad for parameter in beside.student.parameters())
        in_scopes = distiller.distill(templates.additive(scopes=True))
        assert self.scores(in_scopes).shape[1] == 6 * self.scores(alone).shape[1]
        assert torch.equal(self.scores(distiller.distill(cnn)), self.scores(alone))
        again = self.distiller(small_teacher, dataset).distill(cnn)
        for name, value in again.student.state_dict().items():
            assert torch.equal(value, beside.student.state_dict()[name]), name

    def test_joint_scores_go_on_learning(
        self, small_teacher: Teacher, dataset: TextDataset
    ) -> None:
        genome = replace(templates.text_cnn(**SMALL), bound=0.5)
        swaps = WordReplacements(["deepwordbug"])
        found = {}
        for joint in (False, True):
            worst = WorstCase(swaps, weight=0.5, joint=joint)
            distiller = self.distiller(small_teacher, dataset, perturbation=worst)
            found[joint] = self.scores(distiller.distill(genome))
            assert distiller.settings["perturbation"].get("joint", False) is joint
        alone = self.distiller(
            small_teacher, dataset, perturbation=WorstCase(swaps, weight=0.5)
        ).distill(templates.additive())
        assert torch.equal(found[False], self.scores(alone))
        assert not torch.equal(found[True], found[False])
        assert (found[True] - found[False]).abs().max() < 0.5

    def test_word_perturbation_trains_scores_and_graph(
        self, small_teacher: Teacher, dataset: TextDataset
    ) -> None:
        genome = replace(templates.text_cnn(**SMALL), bound=0.5, scopes=True)
        swaps = WordPerturbation(WordReplacements(["deepwordbug"]), ramp=0.0, learnt=0.0)
        plain = self.distiller(small_teacher, dataset).distill(genome)
        whole = self.distiller(small_teacher, dataset, perturbation=swaps).distill(genome)
        assert not torch.equal(self.scores(whole), self.scores(plain))
        assert (self.scores(whole) - self.scores(plain)).abs().max() < 0.5
        assert whole.student.token_scores is not None
        assert whole.student.token_scores.tokens.weight.requires_grad

    def test_replacements_make_scores_robust(
        self, small_teacher: Teacher, dataset: TextDataset
    ) -> None:
        swaps = WordReplacements(["deepwordbug"])
        genome = templates.additive()
        plain = self.distiller(small_teacher, dataset).distill(genome)
        robust = self.distiller(
            small_teacher, dataset, perturbation=WorstCase(swaps, weight=0.8)
        ).distill(genome)
        rows = small_teacher.tokenize(dataset.texts)
        longest = small_teacher.max_length
        choices = swaps.choices(dataset, small_teacher.tokenizer, max_length=longest)
        labels = dataset.labels.tolist()

        def survives(result: DistillationResult) -> float:
            scores = result.student.token_scores
            assert scores is not None
            margins = worst_margins(scores, rows, labels, choices)
            return float(np.mean([m[1 - y] > 0 for m, y in zip(margins, labels, strict=True)]))

        assert survives(robust) > survives(plain)

    def test_settings_and_pickles(self, small_teacher: Teacher, dataset: TextDataset) -> None:
        worst = WorstCase(WordReplacements("pwws"), weight=0.4)
        distiller = self.distiller(small_teacher, dataset, perturbation=worst)
        assert distiller.settings["perturbation"]["weight"] == 0.4
        assert distiller.settings["perturbation"]["replacements"]["name"] == "word-replacements"
        assert "perturbation" not in self.distiller(small_teacher, dataset).settings
        assert pickle.loads(pickle.dumps(worst)).settings == worst.settings

    def test_what_does_not_fit_is_refused(
        self, small_teacher: Teacher, dataset: TextDataset
    ) -> None:
        with pytest.raises(ArgumentError, match="perturbation must be a WorstCase"):
            self.distiller(small_teacher, dataset, perturbation=0.3)
        perturbed = self.distiller(
            small_teacher, dataset, perturbation=WordPerturbation(WordReplacements("pwws"))
        )
        with pytest.raises(ArgumentError, match=r"has token scores alone"):
            perturbed.distill(templates.additive())
