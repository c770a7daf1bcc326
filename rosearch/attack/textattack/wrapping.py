"""Victims as TextAttack's model wrappers."""

from __future__ import annotations

from typing import Any

from rosearch.attack.textattack.loading import load_textattack
from rosearch.attack.victim.make import make_victim


def wrapper(model: Any, tokenizer: Any = None, *, max_length: int | None = None) -> Any:
    """A ``textattack.models.wrappers.ModelWrapper`` of a classifier, to run TextAttack directly::

        attack = PWWSRen2019.build(wrapper(student))
        attack.attack("a fine film", 1)

    It returns probabilities and caches them for as long as it lives: make a new one when the
    weights of the model change. It gives no gradients, so white-box recipes do not run.

    Args:
        model: A student or any Hugging Face sequence classifier, a function from a list of texts
            to an array of shape ``(texts, classes)``, or a
            :class:`~rosearch.attack.victim.victim.Victim`.
        tokenizer: The model's tokenizer. Default: its attribute ``tokenizer``.
        max_length: Maximum input length in tokens. Default: the limit of tokenizer and model.

    Returns:
        The wrapper, which maps a list of texts or of pairs to a float32 tensor of shape
        ``(texts, classes)``.

    Raises:
        MissingResourceError: TextAttack is not installed.
        DataError: A model comes without a tokenizer, or ``model`` is none of the above.
    """
    victim = make_victim(model, tokenizer, max_length=max_length)
    load_textattack()
    from rosearch.attack.textattack.parts import VictimWrapper

    return VictimWrapper(victim, tokenizer)
