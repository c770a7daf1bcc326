"""Tests that every input must pass, for plug-in authors to run on their own.

As :class:`~rosearch.operators.testing.OperatorConformance` for what nodes compute::

    from rosearch.testing import EmbeddingConformance

    class TestMine(EmbeddingConformance):
        name = "my_embedding"
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from safetensors.torch import load, save

from rosearch.operators.base import complete, registry
from rosearch.operators.inputs.base import EmbeddingOperator, InputShape
from rosearch.operators.inputs.vocabulary import Vocabulary

_SPECIAL = ("[PAD]", "[CLS]", "[SEP]")
_WORDS = tuple("good great fine bad awful film movie story plot the a was it and . ,".split())
_PIECES = tuple("te rri bel ble fil ms ly a b d e f i l m o s".split())


class SmallLexicon:
    """Three groups of words, all words of a group equally near."""

    groups: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("good", "great", "fine"),
        ("bad", "awful"),
        ("film", "movie"),
    )

    @property
    def settings(self) -> Mapping[str, object]:
        """Its name."""
        return {"name": "small"}

    def neighbours(self, words: Sequence[str], *, count: int) -> list[list[tuple[str, float]]]:
        """The others of the word's group."""
        near: dict[str, list[str]] = {
            word: [w for w in group if w != word and w in words]
            for group in self.groups
            for word in group
        }
        return [[(other, 0.8) for other in near.get(word, [])[:count]] for word in words]


def small_vocabulary() -> Vocabulary:
    """3 special tokens, 16 that begin words, 17 pieces that go on with one."""
    texts = (*_SPECIAL, *_WORDS, *_PIECES)
    begins = [False] * len(_SPECIAL) + [True] * len(_WORDS) + [False] * len(_PIECES)
    special = [k < len(_SPECIAL) for k in range(len(texts))]
    return Vocabulary(texts, tuple(begins), tuple(special))


class EmbeddingConformance:
    """Shapes, masks, special tokens, gradients, files, devices and export of one input."""

    name: ClassVar[str]
    """The input's registered name."""

    inner: ClassVar[int] = 8
    """Width of the tables."""

    width: ClassVar[int] = 16
    """Channels of the hidden states."""

    bfloat16_tolerance: ClassVar[float] = 0.05
    """How far outputs in bfloat16 may be from those in float32; they have a variance of 1."""

    def settings(self) -> Iterator[dict[str, Any]]:
        """Every combination of the input's choices."""
        choices = registry.get(self.name).choices
        for values in itertools.product(*(choice.values for choice in choices.values())):
            yield dict(zip(choices, values, strict=True))

    def make(self, parameters: dict[str, Any], *, prepared: bool = True) -> EmbeddingOperator:
        """An input in eval mode with weights of its own, for :func:`small_vocabulary`."""
        vocabulary = small_vocabulary()
        shape = InputShape(
            vocabulary=len(vocabulary),
            positions=24,
            types=2,
            inner=self.inner,
            width=self.width,
            padding=0,
        )
        torch.manual_seed(0)
        made: EmbeddingOperator = registry.get(self.name)(shape, **parameters)
        if prepared:
            made.prepare(vocabulary, SmallLexicon())
        return made.eval()

    def instances(self) -> Iterator[EmbeddingOperator]:
        """A prepared input for every combination of choices that it accepts."""
        cls = registry.get(self.name)
        for parameters in self.settings():
            if cls.complaint(self.width, parameters) is None:
                yield self.make(parameters)

    def ids(self, rows: int, length: int, *, seed: int = 0) -> torch.Tensor:
        """Tokens that are not padding, words and pieces in any order, ``(rows, length)``."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(1, len(small_vocabulary()), (rows, length), generator=generator)

    def test_defaults_fit(self) -> None:
        """The default values make an input."""
        cls, defaults = registry.get(self.name), complete(self.name, {})
        assert issubclass(cls, EmbeddingOperator)
        assert cls.complaint(self.width, defaults) is None

    def test_shape(self) -> None:
        """A batch gives finite hidden states of the student's width, a single token too."""
        for made, length in itertools.product(self.instances(), (1, 2, 9)):
            ids = self.ids(3, length)
            mask = torch.ones_like(ids, dtype=torch.bool)
            assert made.vectors(ids, mask).shape == (3, length, self.inner)
            out = made(ids, mask, None)
            assert out.shape == (3, length, self.width)
            assert torch.isfinite(out).all()

    def test_padding_changes_nothing(self) -> None:
        """Rows give the same alone and padded, before or behind, whatever token fills the place."""
        for made, filling in itertools.product(self.instances(), (0, 5, 22)):
            ids = self.ids(1, 7)
            alone = made(ids, torch.ones_like(ids, dtype=torch.bool), None)
            for before, behind in ((0, 1), (0, 5), (3, 0)):
                padded = torch.nn.functional.pad(ids, (before, behind), value=filling)
                mask = torch.zeros_like(padded, dtype=torch.bool)
                mask[:, before : before + 7] = True
                out = made(padded, mask, torch.zeros_like(padded))[:, before : before + 7]
                torch.testing.assert_close(out, alone, rtol=1e-4, atol=1e-5)

    def test_texts_do_not_mix(self) -> None:
        """A text's result does not depend on what else is in the batch."""
        for made in self.instances():
            ids = self.ids(3, 6)
            mask = torch.ones_like(ids, dtype=torch.bool)
            together = made(ids, mask, None)
            for row in range(3):
                alone = made(ids[row : row + 1], mask[row : row + 1], None)
                torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)

    def test_special_tokens_stay(self) -> None:
        """A special token reads the same before and after ``prepare``, beside any word."""
        special = small_vocabulary().special
        for parameters in self.settings():
            bare, made = self.make(parameters, prepared=False), self.make(parameters)
            made.load_state_dict({**made.state_dict(), **dict(bare.named_parameters())})
            for seed in range(3):
                ids = self.ids(4, 9, seed=seed)
                ids[:, ::4] = torch.tensor([1, 2, 1])
                mask = torch.ones_like(ids, dtype=torch.bool)
                at = torch.tensor(special)[ids]
                torch.testing.assert_close(made.vectors(ids, mask)[at], bare.vectors(ids, mask)[at])

    def test_files_bring_everything_back(self) -> None:
        """A fresh input with the saved tensors computes the same without ``prepare``."""
        for parameters in self.settings():
            made, fresh = self.make(parameters), self.make(parameters, prepared=False)
            with torch.no_grad():
                for parameter in fresh.parameters():
                    parameter.add_(1.0)
            tensors = {name: tensor.contiguous() for name, tensor in made.state_dict().items()}
            fresh.load_state_dict(load(save(tensors)))
            ids = self.ids(3, 8)
            mask = torch.ones_like(ids, dtype=torch.bool)
            assert torch.equal(fresh(ids, mask, None), made(ids, mask, None))

    def test_meta_device(self) -> None:
        """Without memory it has the same tensors, and computes the right shape."""
        for parameters in self.settings():
            made = self.make(parameters)
            with torch.device("meta"):
                ghost = self.make(parameters, prepared=False)
                ids = torch.ones(2, 5, dtype=torch.long)
                out = ghost(ids, ids.bool(), None)
            assert out.shape == (2, 5, self.width)
            assert {n: (t.shape, t.dtype) for n, t in ghost.state_dict().items()} == {
                n: (t.shape, t.dtype) for n, t in made.state_dict().items()
            }

    def test_adopts_a_teacher(self) -> None:
        """Wider and narrower teachers' vectors become its own; padding stays zero."""
        for made, width in itertools.product(self.instances(), (self.inner - 3, self.inner + 3)):
            torch.manual_seed(1)
            table = torch.randn(made.shape.vocabulary, width)
            made.adopt(table)
            columns = min(width, self.inner)
            torch.testing.assert_close(made.tokens.weight[1:, :columns], table[1:, :columns])
            assert made.tokens.weight[0].abs().max() == 0
            assert all(torch.isfinite(p).all() for p in made.parameters())

    def test_gradients_reach_everything(self) -> None:
        """Parameters get gradients, finite and not all zero; the padding token's vector none."""
        for made in self.instances():
            ids = self.ids(6, 20)
            mask = torch.ones_like(ids, dtype=torch.bool)
            mask[3:, 12:] = False
            ids[~mask] = 0
            weights = torch.randn(6, 20, self.width) * mask.unsqueeze(-1)
            (made(ids, mask, ids % 2) * weights).sum().backward()
            for label, parameter in made.named_parameters():
                assert parameter.grad is not None, label
                assert torch.isfinite(parameter.grad).all(), label
                assert (parameter.grad != 0).any(), label
            assert made.tokens.weight.grad is not None
            assert (made.tokens.weight.grad[0] == 0).all()

    def test_bfloat16(self) -> None:
        """In bfloat16 it computes about the same."""
        for made in self.instances():
            ids = self.ids(3, 8)
            mask = torch.ones_like(ids, dtype=torch.bool)
            exact = made(ids, mask, None)
            rough = made.to(torch.bfloat16)(ids, mask, None)
            assert rough.dtype == torch.bfloat16
            error = (rough.float() - exact).square().mean().sqrt()
            assert error < self.bfloat16_tolerance

    def test_exports(self) -> None:
        """``torch.export`` with any batch size and length computes the same."""
        made = self.make(complete(self.name, {}))
        ids = self.ids(3, 8)
        sizes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("length", max=24)}
        arguments = (ids, torch.ones_like(ids, dtype=torch.bool), torch.zeros_like(ids))
        program = torch.export.export(made, arguments, dynamic_shapes=(sizes, sizes, sizes))
        for rows, length in ((3, 8), (2, 13)):
            ids = self.ids(rows, length, seed=1)
            mask = torch.ones_like(ids, dtype=torch.bool)
            mask[0, length - 2 :] = False
            types = torch.zeros_like(ids)
            torch.testing.assert_close(
                program.module()(ids, mask, types), made(ids, mask, types), rtol=1e-4, atol=1e-5
            )
