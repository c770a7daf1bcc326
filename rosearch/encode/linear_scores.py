"""How much each word says about the classes, by a linear model of texts as bags of words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosearch.data import Text
from rosearch.words import words_of


def linear_scores(
    texts: Sequence[Text],
    targets: np.ndarray,
    *,
    l2: float = 1.0,
) -> dict[str, np.ndarray]:
    """Fit a multinomial logistic regression on the distinct words of each text.

    Args:
        texts: The texts.
        targets: Probabilities of the classes, ``(texts, classes)``.
        l2: Weight of half the squared scores, beside the sum of the cross-entropies.

    Returns:
        For each lower-case word a float64 vector ``(classes - 1,)`` in the space of centred logits.
        Of two classes it is what the word adds to the logit of the second over the first.
    """
    # Imported here because it takes a second, which reading encoded texts does not need.
    import torch
    from torch.nn.functional import embedding_bag

    bags = [list(dict.fromkeys(_lower_words(text))) for text in texts]
    rows = {word: row for row, word in enumerate(dict.fromkeys(w for bag in bags for w in bag))}
    # The caller may be in inference mode, whose tensors have no gradients.
    with torch.inference_mode(False), torch.enable_grad():
        flat = torch.tensor([rows[word] for bag in bags for word in bag], dtype=torch.long)
        starts = torch.tensor(np.cumsum([0, *map(len, bags[:-1])]))
        wanted = torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float64))
        basis = torch.from_numpy(_centred_basis(wanted.shape[1]))
        scores = torch.zeros(len(rows), basis.shape[1], dtype=torch.float64, requires_grad=True)
        bias = torch.zeros(basis.shape[1], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [scores, bias], max_iter=500, tolerance_grad=1e-3, line_search_fn="strong_wolfe"
        )

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            logits = (embedding_bag(flat, scores, starts, mode="sum") + bias) @ basis.T
            value = -(wanted * logits.log_softmax(1)).sum() + l2 / 2 * scores.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[no-untyped-call]
        return dict(zip(rows, scores.detach().numpy(), strict=True))


def _lower_words(text: Text) -> list[str]:
    return [word.lower() for word in words_of(text if isinstance(text, str) else "\n".join(text))]


def _centred_basis(classes: int) -> np.ndarray:
    """Return orthogonal columns of sum 0 and length 1/sqrt(2), ``(classes, classes - 1)``."""
    # Helmert's contrasts: class k + 1 against all before it.
    columns = np.zeros((classes, classes - 1))
    for k in range(classes - 1):
        columns[: k + 1, k] = -1
        columns[k + 1, k] = k + 1
    basis: np.ndarray = columns / np.linalg.norm(columns, axis=0) / np.sqrt(2)
    return basis
