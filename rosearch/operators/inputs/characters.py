"""An input that also reads how words are spelt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from rosearch.operators.base import Choice, registry
from rosearch.operators.inputs.base import EmbeddingOperator, InputShape
from rosearch.seeding import child_seed

if TYPE_CHECKING:
    from rosearch.operators.inputs.vocabulary import Lexicon, Vocabulary

INSIDE = 16
"""N-grams within one token at most; a token of more characters loses the rest of its own."""

_OPEN, _CLOSE = 1, 2
"""Stand before and behind a word; control characters, which no text holds."""
_PRIME = (1 << 31) - 1
_FACTORS = tuple(child_seed(0, "character n-grams", k) % _PRIME for k in range(4))
_STEPS = 10
_RIDGE = 1.0


def bucket(characters: torch.Tensor, buckets: int) -> torch.Tensor:
    """Row of a table for each n-gram: 1 to ``buckets - 1``, or 0 where a character is missing.

    A linear hash over the field of the prime 2^31 - 1 with fixed factors (Carter and Wegman 1979):
    the same on every machine, and computed in int64 without overflow.

    Args:
        characters: int64 ``(..., n)``, code points; 0 for none. ``n`` is at most 4.
        buckets: Rows of the table.
    """
    total = characters[..., 0] * _FACTORS[0] % _PRIME
    for k in range(1, characters.shape[-1]):
        total = (total + characters[..., k] * _FACTORS[k]) % _PRIME
    return (total % (buckets - 1) + 1) * (characters != 0).all(dim=-1).long()


@registry.register("character_embedding")
class CharacterEmbedding(EmbeddingOperator):
    """The vector of a token, and the mean vector of the character n-grams of its whole word.

    A typo breaks a word into other tokens, whose vectors say nothing of it: "terrible" becomes
    "te ##rri ##bel". The n-grams of the whole word, ``<te ter err rri rib ibl ble le>``, are the
    same however it is split, and a typo changes few of them. So each token of a word gets the
    mean of its word's n-gram vectors (Bojanowski et al. 2017, equation 2, as a mean) added to its
    own. With ``split="spelling"`` the tokens of a word of several pieces get that mean alone, so
    that the pieces into which a typo breaks a word add no noise of theirs (after Luong and Manning
    2016, who spell the words that their vocabulary lacks). N-grams are hashed into ``buckets``
    learned rows, as in Bojanowski et al. Where there is a teacher, the rows start as the ridge
    regression of its word vectors on their n-grams (Zhao, Mudgal and Liang 2018, bag of subwords),
    so that an unknown word starts near those spelt like it.

    Defends against typos (DeepWordBug, Pruthi); a synonym is spelt otherwise, and against it this
    does nothing. Costs ``buckets * inner`` parameters, about 20 look-ups a token, and a
    ``(length, length)`` product a text to sum over words. Its buffers, ``INSIDE + 2 * size`` or so
    numbers a token, are saved and are no parameters. Letters count without case. Before
    :meth:`prepare` it is the plain input. Special tokens have no n-grams.

    Attacks by gradients (HotFlip) see the token's own vector alone, not how a change of spelling
    moves the n-grams' part: their first-order scores are rougher here than for other inputs.

    Args:
        shape: The sizes.
        buckets: Rows of the table of n-grams; row 0 stays zero.
        size: Characters of an n-gram, with the word's two ends counted as one each.
        split: What stands for a token of a word of several pieces: its own vector and the
            n-grams' (``"both"``), or the n-grams' alone (``"spelling"``).
    """

    choices = {
        "buckets": Choice(2000, 4000, default=4000),
        "size": Choice(2, 3, 4, default=3),
        "split": Choice("both", "spelling"),
    }
    source = "Bojanowski et al. 2017, equation 2; Zhao et al. 2018 for the start"

    inside: torch.Tensor
    """int32 buffer ``(vocabulary, INSIDE)``: rows of the n-grams within a token; 0: none."""

    first: torch.Tensor
    """int32 buffer ``(vocabulary, size - 1)``: its first characters, then zeros."""

    last: torch.Tensor
    """int32 buffer ``(vocabulary, size - 1)``: zeros, then its last characters."""

    begins: torch.Tensor
    """bool buffer ``(vocabulary,)``: whether it begins a word."""

    joins: torch.Tensor
    """bool buffer ``(vocabulary,)``: whether it can stand in one word with other tokens."""

    def __init__(self, shape: InputShape, *, buckets: int, size: int, split: str) -> None:
        super().__init__(shape)
        self.split = split
        self.buckets = buckets
        self.size = size
        self.ngrams = nn.Embedding(buckets, shape.inner, padding_idx=0)
        rows = shape.vocabulary
        self.register_buffer("inside", torch.zeros(rows, INSIDE, dtype=torch.int32))
        self.register_buffer("first", torch.zeros(rows, size - 1, dtype=torch.int32))
        self.register_buffer("last", torch.zeros(rows, size - 1, dtype=torch.int32))
        self.register_buffer("begins", torch.zeros(rows, dtype=torch.bool))
        self.register_buffer("joins", torch.zeros(rows, dtype=torch.bool))

    def prepare(self, vocabulary: Vocabulary, lexicon: Lexicon) -> None:
        """Note how each token is spelt; the lexicon is not asked.

        Raises:
            ValueError: The vocabulary is not that of the table.
        """
        rows, size = self.shape.vocabulary, self.size
        vocabulary.check(rows)
        width = INSIDE + size - 1
        letters, last = [], []
        for text, special in zip(vocabulary.texts, vocabulary.special, strict=True):
            points = [] if special else [ord(letter) for letter in text.lower()]
            letters.append((points + [0] * width)[:width])
            last.append(([0] * size + points)[1 - size :])
        characters = torch.tensor(letters)
        self.inside.copy_(bucket(_windows(characters, size), self.buckets))
        self.first.copy_(characters[:, : size - 1])
        self.last.copy_(torch.tensor(last))
        self.begins.copy_(torch.tensor(vocabulary.begins))
        # A mark of punctuation stands for itself; BPE puts none between it and the word before.
        self.joins.copy_(
            torch.tensor(
                [
                    not special and any(letter.isalnum() for letter in text)
                    for text, special in zip(vocabulary.texts, vocabulary.special, strict=True)
                ]
            )
        )

    def grams(
        self, input_ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The n-grams that end in each token, and which tokens go on with the word before them.

        Args:
            input_ids: int64 ``(batch, length)``.
            mask: bool ``(batch, length)``, true at real tokens.

        Returns:
            Rows of the table, int64 ``(batch, length, INSIDE + size)``, 0 for none; bool
            ``(batch, length)``.
        """
        count = input_ids.shape[1]
        tokens = torch.arange(count, device=input_ids.device)
        # Neighbours by gathering: slices one shorter than the text would tie an exported graph to
        # texts of more than two tokens.
        former, latter = (tokens - 1).clamp(min=0), (tokens + 1).clamp(max=count - 1)
        joins = self.joins[input_ids] & mask
        linked = joins & ~self.begins[input_ids] & joins[:, former] & (tokens > 0)
        first, last = self.first[input_ids].long(), self.last[input_ids].long()
        length = (last != 0).long().sum(dim=-1, keepdim=True)
        places = torch.arange(self.size - 1, device=input_ids.device)
        opened = (places == self.size - 2).long() * _OPEN
        # What precedes a token in its word, its last characters: after k rounds right for words of
        # up to k tokens before it, and no more of them matter, since each has a character.
        before = opened.expand_as(first)
        for _ in range(self.size - 1):
            behind = _append(before, last, length, places)
            before = torch.where(linked.unsqueeze(-1), behind[:, former], opened)
        behind = _append(before, last, length, places)
        across = _windows(torch.cat([before, first], dim=-1), self.size)
        ends = ~(linked[:, latter] & (tokens < count - 1))
        closed = (ends.unsqueeze(-1) & (length > 0)).long() * _CLOSE
        final = torch.cat([behind, closed], dim=-1).unsqueeze(-2)
        edges = bucket(torch.cat([across, final], dim=-2), self.buckets)
        return torch.cat([self.inside[input_ids].long(), edges], dim=-1), linked

    def vectors(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        grams, linked = self.grams(input_ids, mask)
        total = self.ngrams(grams).sum(dim=-2)
        count = (grams != 0).sum(dim=-1, keepdim=True).to(total.dtype)
        word = (~linked).long().cumsum(dim=1)
        same = (word.unsqueeze(2) == word.unsqueeze(1)) & mask.unsqueeze(1)
        same = same.to(total.dtype)
        mean = (same @ total) / (same @ count).clamp(min=1)
        own: torch.Tensor = self.tokens(input_ids)
        if self.split == "spelling":
            own = own * (same.sum(dim=2, keepdim=True) <= 1).to(own.dtype)
        out: torch.Tensor = own + mean
        return out

    def adopt(self, tokens: torch.Tensor) -> None:
        """Start from a teacher's vectors: tokens as they are, n-grams by ridge regression.

        The regression is over the tokens that begin a word, by conjugate gradients (10 steps, a
        ridge of 1). It needs :meth:`prepare` first; before that, n-grams stay as they are.
        """
        super().adopt(tokens)
        words = (self.begins & self.joins).nonzero()
        columns = min(tokens.shape[1], self.shape.inner)
        if not len(words):
            return
        grams, _ = self.grams(words, torch.ones_like(words, dtype=torch.bool))
        grams = grams[:, 0]
        row, place = grams.nonzero(as_tuple=True)
        share = 1.0 / (grams != 0).sum(dim=1).clamp(min=1)
        matrix = torch.sparse_coo_tensor(
            torch.stack([row, grams[row, place]]),
            share[row],
            (len(words), self.buckets),
            check_invariants=False,
        ).coalesce()
        wanted = tokens[words[:, 0].to(tokens.device), :columns].float().to(grams.device)
        fitted = _ridge(matrix, wanted)
        with torch.no_grad():
            self.ngrams.weight[:, :columns] = fitted.to(self.ngrams.weight)
            self.ngrams.weight[0].zero_()


def _windows(characters: torch.Tensor, size: int) -> torch.Tensor:
    """All stretches of ``size`` characters, ``(..., n)`` to ``(..., n - size + 1, size)``."""
    count = characters.shape[-1] - size + 1
    return torch.stack([characters[..., k : k + count] for k in range(size)], dim=-1)


def _append(
    before: torch.Tensor, last: torch.Tensor, length: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """The last characters of ``before`` followed by a token.

    Args:
        before: int64 ``(batch, length, m)``.
        last: int64 ``(batch, length, m)``, the token's last characters behind zeros.
        length: int64 ``(batch, length, 1)``, how many of them there are.
        places: int64 ``(m,)``, 0 to ``m - 1``.
    """
    joined = torch.cat([before, torch.zeros_like(last)], dim=-1)
    kept = joined.gather(-1, places + length)
    return torch.where(last != 0, last, kept)


def _ridge(matrix: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The table ``x`` with the least ``|matrix x - wanted|^2 + ridge |x|^2``.

    Conjugate gradients on the normal equations, each column of ``wanted`` by itself.
    """
    turned = matrix.t().coalesce()
    residual = turned @ wanted
    table = torch.zeros_like(residual)
    direction = residual
    norm = residual.square().sum(dim=0)
    for _ in range(_STEPS):
        product = turned @ (matrix @ direction) + _RIDGE * direction
        step = norm / (direction * product).sum(dim=0).clamp(min=1e-12)
        table = table + step * direction
        residual = residual - step * product
        former, norm = norm, residual.square().sum(dim=0)
        direction = residual + norm / former.clamp(min=1e-12) * direction
    return table
