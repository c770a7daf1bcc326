"""Input that also reads the spelling of words."""

from __future__ import annotations

import torch
from torch import nn

from rosearch.operators.base import registry
from rosearch.operators.inputs.base import EmbeddingOperator, InputShape
from rosearch.operators.inputs.vocabulary import NearestWords, Vocabulary
from rosearch.parameters import Choice
from rosearch.seeding import child_seed

INSIDE = 16
"""Maximum number of n-grams inside one token; those of longer tokens are cut off."""

_OPEN, _CLOSE = 1, 2
"""Boundaries of a word; control characters, which texts do not contain."""
_PRIME = (1 << 31) - 1
_FACTORS = tuple(child_seed(0, "character n-grams", k) % _PRIME for k in range(4))
_STEPS = 10
_RIDGE = 1.0


def bucket(characters: torch.Tensor, buckets: int) -> torch.Tensor:
    """Return the table row of each n-gram: 1 to ``buckets - 1``, or 0 if a character is missing.

    A linear hash over the field of the prime 2^31 - 1 with fixed factors (Carter and Wegman 1979):
    equal on every machine, and computed in int64 without overflow.

    Args:
        characters: int64 ``(..., n)``, code points, 0 for a missing one; ``n`` is at most 4.
        buckets: Rows of the table.
    """
    total = characters[..., 0] * _FACTORS[0] % _PRIME
    for k in range(1, characters.shape[-1]):
        total = (total + characters[..., k] * _FACTORS[k]) % _PRIME
    return (total % (buckets - 1) + 1) * (characters != 0).all(dim=-1).long()


@registry.register("character_embedding")
class CharacterEmbedding(EmbeddingOperator):
    """The vector of a token, and the mean vector of the character n-grams of its whole word.

    A typo splits a word into other tokens, whose vectors say nothing about it: "terrible" becomes
    "te ##rri ##bel". The n-grams of the whole word, ``<te ter err rri rib ibl ble le>``, do not
    depend on the split, and a typo changes few of them. So the mean of the n-gram vectors of its
    word (Bojanowski et al. 2017, equation 2, as a mean) is added to the vector of each token. With
    ``split="spelling"`` the tokens of a word of several pieces read that mean only, so that the
    pieces of a misspelt word add no noise (after Luong and Manning 2016, who spell out unknown
    words). N-grams are hashed into ``buckets`` learned rows, as in Bojanowski et al. With a
    teacher, the rows start as the ridge regression of its word vectors on their n-grams (Zhao,
    Mudgal and Liang 2018, bag of subwords), so that an unknown word starts near words of similar
    spelling.

    A defence against typos (DeepWordBug, Pruthi), not against synonyms. It has ``buckets * inner``
    parameters, about 20 look-ups a token, and a ``(length, length)`` product for each text to sum
    over words. Its buffers, about ``INSIDE + 2 * size`` numbers a token, are saved with the
    student. Letter case is ignored. Before :meth:`prepare` it is the plain input. Special tokens
    have no n-grams.

    Gradient-based attacks (HotFlip) see the token's own vector only, not the change of the n-grams:
    their first-order scores are less accurate here than for other inputs.

    Args:
        shape: Sizes of the tables.
        buckets: Rows of the n-gram table; row 0 stays zero.
        size: Characters of an n-gram; each end of a word counts as one.
        split: Vector of a token in a word of several pieces: its own plus the n-grams'
            (``"both"``), or the n-grams' only (``"spelling"``).
    """

    choices = {
        "buckets": Choice(2000, 4000, default=4000),
        "size": Choice(2, 3, 4, default=3),
        "split": Choice("both", "spelling"),
    }
    source = "Bojanowski et al. 2017, equation 2; Zhao et al. 2018 for the start"

    inside: torch.Tensor
    """int32 buffer ``(vocabulary, INSIDE)``: table rows of the n-grams inside a token, or 0."""

    first: torch.Tensor
    """int32 buffer ``(vocabulary, size - 1)``: first characters of a token, then zeros."""

    last: torch.Tensor
    """int32 buffer ``(vocabulary, size - 1)``: zeros, then the last characters of a token."""

    begins: torch.Tensor
    """bool buffer ``(vocabulary,)``: whether a token begins a word."""

    joins: torch.Tensor
    """bool buffer ``(vocabulary,)``: whether a token can be part of a word with other tokens."""

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

    def prepare(self, vocabulary: Vocabulary, nearest_words: NearestWords) -> None:
        """Store the spelling of each token; the nearest words are not used.

        Raises:
            ArgumentError: The vocabulary and the table differ in size.
        """
        size = self.size
        vocabulary.check(self.shape.vocabulary)
        width = INSIDE + size - 1
        letters, last, joins = [], [], []
        for text, special in zip(vocabulary.texts, vocabulary.special, strict=True):
            points = [] if special else [ord(letter) for letter in text.lower()]
            letters.append((points + [0] * width)[:width])
            last.append(([0] * size + points)[1 - size :])
            # Punctuation is a word by itself, although BPE marks no boundary before it.
            joins.append(not special and any(letter.isalnum() for letter in text))
        characters = torch.tensor(letters)
        self.inside.copy_(bucket(characters.unfold(1, size, 1), self.buckets))
        self.first.copy_(characters[:, : size - 1])
        self.last.copy_(torch.tensor(last))
        self.begins.copy_(torch.tensor(vocabulary.begins))
        self.joins.copy_(torch.tensor(joins))

    def grams(
        self, input_ids: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the n-grams that end in each token, and which tokens continue a word.

        Args:
            input_ids: int64 ``(batch, length)``.
            mask: bool ``(batch, length)``, true at real tokens.

        Returns:
            Table rows, int64 ``(batch, length, INSIDE + size)``, 0 for none; bool
            ``(batch, length)``, true at tokens that belong to the same word as the one before.
        """
        count = input_ids.shape[1]
        tokens = torch.arange(count, device=input_ids.device)
        # Neighbours by gathering: slices one shorter than the text would restrict an exported graph
        # to texts of more than two tokens.
        former, latter = (tokens - 1).clamp(min=0), (tokens + 1).clamp(max=count - 1)
        joins = self.joins[input_ids] & mask
        linked = joins & ~self.begins[input_ids] & joins[:, former] & (tokens > 0)
        first, last = self.first[input_ids].long(), self.last[input_ids].long()
        length = (last != 0).long().sum(dim=-1, keepdim=True)
        places = torch.arange(self.size - 1, device=input_ids.device)
        opened = (places == self.size - 2).long() * _OPEN
        # The last characters of the word before each token. After k rounds they are right for up to
        # k preceding tokens of the word, and each of these has at least one character.
        before = opened.expand_as(first)
        for _ in range(self.size - 1):
            behind = _append(before, last, length, places)
            before = torch.where(linked.unsqueeze(-1), behind[:, former], opened)
        behind = _append(before, last, length, places)
        across = torch.cat([before, first], dim=-1).unfold(-1, self.size, 1)
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

    def fit(self, tokens: torch.Tensor) -> None:
        """Initialize the n-grams by ridge regression of the teacher's vectors.

        The regression is over the tokens that begin a word, by conjugate gradients (10 steps, a
        ridge of 1). Without :meth:`prepare` the n-grams keep their values.
        """
        words = (self.begins & self.joins).nonzero()
        if not len(words):
            return
        columns = min(tokens.shape[1], self.shape.inner)
        grams = self.grams(words, torch.ones_like(words, dtype=torch.bool))[0][:, 0]
        row, place = grams.nonzero(as_tuple=True)
        share = 1.0 / (grams != 0).sum(dim=1).clamp(min=1)
        matrix = torch.sparse_coo_tensor(
            torch.stack([row, grams[row, place]]),
            share[row],
            (len(words), self.buckets),
            check_invariants=False,
        ).coalesce()
        wanted = tokens[words[:, 0].to(tokens.device), :columns].float().to(grams.device)
        self.ngrams.weight[:, :columns] = _ridge(matrix, wanted).to(self.ngrams.weight)
        self.ngrams.weight[0].zero_()


def _append(
    before: torch.Tensor, last: torch.Tensor, length: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """Return the last ``m`` characters of ``before`` followed by a token.

    Args:
        before: int64 ``(batch, length, m)``.
        last: int64 ``(batch, length, m)``, zeros, then the last characters of the token.
        length: int64 ``(batch, length, 1)``, number of these characters.
        places: int64 ``(m,)``, 0 to ``m - 1``.
    """
    joined = torch.cat([before, torch.zeros_like(last)], dim=-1)
    kept = joined.gather(-1, places + length)
    return torch.where(last != 0, last, kept)


def _ridge(matrix: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the ``x`` that minimizes ``|matrix x - wanted|^2 + _RIDGE |x|^2``.

    By conjugate gradients on the normal equations, separately for each column of ``wanted``.
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
