"""Class labels: names in another order are a mistake, and guessing is no classifier."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from rosearch.errors import DataError

_PLACEHOLDER = re.compile(r"label_\d+|-?\d+")


def check_class_order(config: Any, classes: Sequence[str], *, owner: str) -> None:
    """Refuse a model that has a data set's classes in another order.

    Only names that both sides have are compared, ignoring case. ``LABEL_0`` and plain numbers are
    no names, and a model may call its classes by other names than the data does.

    Args:
        config: Where the model's ``id2label`` is, if it has one.
        classes: The data's class names, in the order of its labels.
        owner: What the model is called, for the message.

    Raises:
        DataError: Both have the same names, in different orders.
    """
    given = getattr(config, "id2label", None) or {}
    own = [str(given.get(k, "")) for k in range(len(classes))]
    lowered, theirs = ([name.lower() for name in names] for names in (own, classes))
    if any(_PLACEHOLDER.fullmatch(name) for name in theirs):
        return
    if lowered != theirs and sorted(lowered) == sorted(theirs):
        raise DataError(
            f"{owner}'s classes are in the order {', '.join(own)}, the data's in the order "
            f"{', '.join(classes)}. Number the data's labels in the model's order, with "
            f"classes={own!r}; or correct model.config.id2label if it is wrong."
        )


class Labelled(Protocol):
    """What has a most frequent class."""

    @property
    def majority_share(self) -> float:
        """Share of that class."""


def warn_if_useless(accuracy: float, dataset: Labelled, *, owner: str) -> None:
    """Warn where a classifier is no better than a constant answer.

    Args:
        accuracy: Its share of right answers on ``dataset``.
        dataset: Labelled texts.
        owner: What the classifier is called, for the message.
    """
    if accuracy <= dataset.majority_share:
        warnings.warn(
            f"{owner}'s accuracy is {accuracy:.3f}, and always answering the most frequent class "
            f"gives {dataset.majority_share:.3f}: it has learnt nothing that counts. Check that "
            f"labels and texts belong together, and that training was long enough.",
            UserWarning,
            stacklevel=3,
        )
