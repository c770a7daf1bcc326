"""Our classifiers as TextAttack's model wrappers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rosearch.attack.textattack.loading import load_textattack
from rosearch.attack.victim.make import make_victim


def wrapper(model: Any, tokenizer: Any = None, *, max_length: int | None = None) -> Any:
    """A classifier as a ``textattack.models.wrappers.ModelWrapper``.

    For those who run TextAttack themselves::

        attack = PWWSRen2019.build(wrapper(student))
        attack.attack("a fine film", 1)

    It answers with probabilities, and remembers its answers for as long as it lives: make a new
    one when the model's weights change. Gradients are not given, so white-box recipes do not run.

    Args:
        model: A student or any Hugging Face sequence classifier, a function from a list of texts
            to an array of shape ``(texts, classes)``, or a
            :class:`~rosearch.attack.victim.victim.Victim`.
        tokenizer: The model's tokenizer. Default: its attribute ``tokenizer``.
        max_length: Longest input in tokens. Default: the tokenizer's and the model's limit.

    Returns:
        The wrapper; called with a list of texts or of pairs, it gives a float32 tensor of shape
        ``(texts, classes)``.

    Raises:
        MissingResourceError: TextAttack is not installed.
        DataError: A model came without a tokenizer, or ``model`` is none of the above.
    """
    victim = make_victim(model, tokenizer, max_length=max_length)
    load_textattack()
    from rosearch.attack.textattack.parts import VictimWrapper

    return VictimWrapper(victim, tokenizer)


def as_texts(inputs: Sequence[Any]) -> list[Any]:
    """TextAttack's inputs, a string or a tuple with one string a column, as texts of ours."""
    return [text if isinstance(text, str) else tuple(text) for text in inputs]
