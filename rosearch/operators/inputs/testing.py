"""Tests that every input must pass, for authors of plug-ins.

Subclass :class:`EmbeddingConformance` in a pytest module and name the input::

    from rosearch.testing import EmbeddingConformance

    class TestMine(EmbeddingConformance):
        name = "my_embedding"
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from rosearch.operators.base import registry
from rosearch.operators.inputs.base import EmbeddingOperator, InputShape
from rosearch.operators.inputs.vocabulary import Vocabulary
from rosearch.operators.testing import Batch, ModuleConformance, assert_gradients

_SPECIAL = ("[PAD]", "[CLS]", "[SEP]")
_WORDS = tuple("good great fine bad awful film movie story plot the a was it and . ,".split())
_PIECES = tuple("te rri bel ble fil ms ly a b d e f i l m o s".split())


class SmallNearestWords:
    """Three groups of words, all words of a group equally near."""

    groups: ClassVar[Sequence[str]] = ("good great fine", "bad awful", "film movie")
    settings: Mapping[str, object] = {"name": "small"}

    def neighbours(self, words: Sequence[str], *, count: int) -> list[list[tuple[str, float]]]:
        """Return the other words of the group."""
        groups = [group.split() for group in self.groups]
        near = {word: [w for w in group if w != word] for group in groups for word in group}
        return [
            [(other, 0.8) for other in near.get(word, ()) if other in words][:count]
            for word in words
        ]


def small_vocabulary() -> Vocabulary:
    """Return 3 special tokens, 16 that begin a word, and 17 pieces inside a word."""
    texts = (*_SPECIAL, *_WORDS, *_PIECES)
    begins = [False] * len(_SPECIAL) + [True] * len(_WORDS) + [False] * len(_PIECES)
    special = [k < len(_SPECIAL) for k in range(len(texts))]
    return Vocabulary(texts, tuple(begins), tuple(special))


class EmbeddingConformance(ModuleConformance):
    """Shapes, padding, special tokens, gradients, files, bfloat16 and export of an input."""

    widths = (16,)
    max_length = 24
    fillings = (0, 5, 22)

    inner: ClassVar[int] = 8
    """Embedding width."""

    def make(
        self, width: int, parameters: dict[str, Any], *, seed: int = 0, prepared: bool = True
    ) -> EmbeddingOperator:
        """Return an input in eval mode for :func:`small_vocabulary`."""
        vocabulary = small_vocabulary()
        sizes = {"positions": 24, "types": 2, "inner": self.inner, "width": width, "padding": 0}
        shape = InputShape(vocabulary=len(vocabulary), **sizes)
        torch.manual_seed(seed)
        made: EmbeddingOperator = registry.get(self.name)(shape, **parameters)
        if prepared:
            made.prepare(vocabulary, SmallNearestWords())
        return made.eval()

    def batch(self, width: int, rows: int, length: int, *, seed: int = 0) -> Batch:
        """Return random ids other than padding, a mask and token types of 0."""
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(1, len(small_vocabulary()), (rows, length), generator=generator)
        return ids, torch.ones_like(ids, dtype=torch.bool), torch.zeros_like(ids)

    def test_is_an_input(self) -> None:
        """It is an ``EmbeddingOperator``, and ``vectors`` gives the embedding width."""
        for width, made in self.instances():
            assert isinstance(made, EmbeddingOperator)
            ids, mask, types = self.batch(width, 3, 5)
            assert made.vectors(ids, mask).shape == (3, 5, self.inner)
            assert torch.equal(made(ids, mask, None), made(ids, mask, types))

    def test_special_tokens_stay(self) -> None:
        """``prepare`` does not change special tokens, beside any word."""
        special = torch.tensor(small_vocabulary().special)
        for width, parameters in self.fitting():
            bare = self.make(width, parameters, prepared=False)
            made = self.make(width, parameters)
            made.load_state_dict({**made.state_dict(), **dict(bare.named_parameters())})
            for seed in range(3):
                ids, mask, _ = self.batch(width, 4, 9, seed=seed)
                ids[:, ::4] = torch.tensor([1, 2, 1])
                at = special[ids]
                torch.testing.assert_close(made.vectors(ids, mask)[at], bare.vectors(ids, mask)[at])

    def test_meta_device(self) -> None:
        """On the meta device, it has the same tensors and computes the right shape."""
        for width, parameters in self.fitting():
            made = self.make(width, parameters)
            with torch.device("meta"):
                empty = self.make(width, parameters, prepared=False)
                ids = torch.ones(2, 5, dtype=torch.long)
                assert empty(ids, ids.bool(), None).shape == (2, 5, width)
            shapes = [
                {name: (t.shape, t.dtype) for name, t in module.state_dict().items()}
                for module in (made, empty)
            ]
            assert shapes[0] == shapes[1]

    def test_adopts_a_teacher(self) -> None:
        """Vectors of narrower and wider teachers are taken over; padding stays zero."""
        widths = (self.inner - 3, self.inner + 3)
        for (_, made), teacher_width in itertools.product(self.instances(), widths):
            torch.manual_seed(1)
            table = torch.randn(made.shape.vocabulary, teacher_width)
            made.adopt(table)
            columns = min(teacher_width, self.inner)
            torch.testing.assert_close(made.tokens.weight[1:, :columns], table[1:, :columns])
            assert made.tokens.weight[0].abs().max() == 0
            assert all(torch.isfinite(p).all() for p in made.parameters())

    def test_gradients_reach_everything(self) -> None:
        """Parameters get finite gradients; the vector of the padding token gets none."""
        for width, made in self.instances():
            ids, mask, _ = self.batch(width, 6, 20)
            mask[3:, 12:] = False
            ids[~mask] = 0
            weights = torch.randn(6, 20, width) * mask.unsqueeze(-1)
            (made(ids, mask, ids % 2) * weights).sum().backward()
            assert_gradients(made)
            assert (made.tokens.weight.grad[0] == 0).all()
