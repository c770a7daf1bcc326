"""The interface of encodings, and the registry of their names."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args, overload

import numpy as np
from typing_extensions import Self

from rosearch.checks import refused
from rosearch.data import Text, TextDataset
from rosearch.encode.remembered import remembered
from rosearch.encode.runs import LONG, Apart, read_runs
from rosearch.errors import ArgumentError, MissingResourceError
from rosearch.parameters import Choice, Value, complete
from rosearch.pickling import state_without_cached
from rosearch.registry import Registry
from rosearch.wordnet import WordNet
from rosearch.words import word_spans, words_of

T = TypeVar("T", bound=Text)

Level = Literal["characters", "words"]


class Exchanges(Protocol):
    """What substitutions may put in place of words, such as WordNet's synonyms."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything that decides the exchanges, as JSON values."""

    def count(self, texts: Sequence[Text]) -> Mapping[tuple[str, str], float]:
        """Return how often each exchange is possible in ``texts``.

        Returns:
            By lower-case word and lower-case replacement, the number of the word's occurrences
            where it may be replaced.
        """


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an encoding may learn from."""

    train: TextDataset
    """Training texts."""

    tokenizer: Any = None
    """The tokenizer of the model that will read the encoded texts, if known."""

    answers: np.ndarray | None = None
    """A model's probabilities for the training texts, ``(texts, classes)``, if known."""

    exchanges: Exchanges | None = None
    """What substitutions may exchange; ``None``: WordNet's synonyms."""

    def __post_init__(self) -> None:
        if self.answers is None:
            return
        shape, found = (len(self.train), len(self.train.classes)), np.asarray(self.answers)
        if found.shape != shape or not ((found >= 0) & (found <= 1 + 1e-4)).all():
            raise refused("answers", f"probabilities of shape {shape}", self.answers)

    @cached_property
    def counts(self) -> Counter[str]:
        """Occurrences of each lower-case word in the training texts."""
        return word_counts(self.train.texts)

    @cached_property
    def targets(self) -> np.ndarray:
        """:attr:`answers`, or else the labels as probabilities, float64 ``(texts, classes)``."""
        if self.answers is not None:
            return _rounded(self.answers)
        labels: np.ndarray = np.eye(len(self.train.classes))[self.train.labels]
        return labels

    def encoded(self, encoding: Encoding) -> Evidence:
        """Return the same evidence for texts that ``encoding`` has read before."""
        return replace(self, train=self.train.with_texts(encoding(self.train.texts)))

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the result of a fit depends on, as JSON values."""
        tokenizer, answers, exchanges = self.tokenizer, self.answers, self.exchanges
        vocabulary = "" if tokenizer is None else sorted(tokenizer.get_vocab().items())
        digest = hashlib.blake2b(repr(vocabulary).encode(), digest_size=16)
        if answers is not None:
            digest.update(_rounded(answers).tobytes())
        return {
            "train": self.train.fingerprint,
            "tokenizer and answers": digest.hexdigest(),
            "exchanges": _wordnet_digest() if exchanges is None else dict(exchanges.settings),
        }


@dataclass(frozen=True)
class EncodedText:
    """A canonical text and where its parts come from."""

    original: str
    """The text before encoding."""

    text: str
    """The canonical text."""

    edits: tuple[tuple[int, int, int, int], ...] = ()
    """Replaced parts in reading order: start and end in :attr:`original`, start and end in
    :attr:`text`, in characters. All else is the same in both."""

    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", tuple(edit[2] for edit in self.edits))

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Return the characters of the original that ``text[start:end]`` comes from.

        A part of a replaced word comes from the whole word.
        """
        return self._origin(start, 0), self._origin(end, 1) if end > start else self._origin(end, 0)

    def _origin(self, place: int, side: int) -> int:
        # The edit that contains the place; an end belongs to the edit that it closes.
        number = bisect_right(self._starts, place - side) - 1
        if number < 0:
            return place
        start, end, _, new_end = self.edits[number]
        if place < new_end:
            return (start, end)[side]
        return place - new_end + end


class Encoding(ABC):
    r"""Maps texts to canonical texts, word by word.

    Everything that :meth:`word` maps to the same canonical word is one word to the model behind the
    encoding, so an exchange of such words changes nothing. Separators between words stay. Instances
    are made by :meth:`fit`, :meth:`from_dict` or :func:`rosearch.encode.load_encoding`, are
    picklable and do not change.

    Implement :meth:`word`, and :meth:`learn` if the encoding learns from training texts::

        @rosearch.encodings.register("no_digits")
        class NoDigits(rosearch.Encoding):
            '''Reads every digit as 0.'''

            def word(self, word):
                return re.sub(r"\d", "0", word)

    :class:`rosearch.testing.EncodingConformance` holds the tests that every encoding must pass.

    Args:
        learnt: What :meth:`learn` returned, as JSON values.
        settings: Values for some of the ``choices``; the others get their defaults.

    Raises:
        GenomeError: A setting is unknown, or its value is not among the choices.
        ArgumentError: A setting is out of range.
    """

    choices: ClassVar[Mapping[str, Choice]] = {}
    """Settings and the values that a search may choose for each."""

    level: ClassVar[Level] = "words"
    """What is made equal: ``"characters"`` (spellings of one word) or ``"words"`` (words of one
    meaning). A genome has at most one encoding of each level, characters first."""

    version: ClassVar[int] = 1
    """To be raised when :meth:`learn` or :meth:`word` changes, so that cached fits are not used."""

    source: ClassVar[str] = ""
    """Paper or library that the encoding follows, for tables."""

    def __init__(self, learnt: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self.settings: Mapping[str, Value] = self.complete(settings)
        """All settings."""
        self.learnt: Mapping[str, Any] = dict(learnt or {})
        """What was learnt from the training texts, as JSON values."""
        self._is_fitted = learnt is not None
        self._words: dict[str, str] = {}
        self._runs: dict[str, str] = {}
        self._known_runs: Apart = {}
        # An instance is fitted with its own settings, as an estimator of scikit-learn is.
        self.fit = partial(  # type: ignore[method-assign]
            type(self).fit, **dict[str, Any](self.settings)
        )

    @abstractmethod
    def word(self, word: str) -> str:
        """Return the canonical form of one segment, as it stands in a text.

        It may consist of several words. It must not depend on anything but the arguments of the
        instance, and its own canonical form must be itself.
        """

    @classmethod
    def learn(cls, evidence: Evidence, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Learn from training texts.

        Override it; by default nothing is learnt.

        Returns:
            JSON values, which become :attr:`learnt`.
        """
        return {}

    def segments(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of each segment that :meth:`word` maps, in reading order.

        The default is every word. Override it to make one segment of several words.
        """
        return word_spans(text)

    def edits(self, segment: str) -> list[tuple[int, int, int, int]]:
        """Return where a segment and its canonical form differ, as :attr:`EncodedText.edits`.

        The default is the whole segment, if they do. Override it where :meth:`segments` makes one
        of several words, and it is known what each becomes.
        """
        new = self.canonical_word(segment)
        return [(0, len(segment), 0, len(new))] if new != segment else []

    @property
    def reads_words_alone(self) -> bool:
        """Whether each segment is one word, whatever stands beside it.

        By default, whether :meth:`segments` is not overridden.
        """
        return type(self).segments is Encoding.segments

    @property
    def reach(self) -> int | None:
        """How many segments before or after a changed word may become others with it.

        Others further on may too, if all between have. ``None``: any, as by default where segments
        are several words, and then a changed text is read as a whole.
        """
        return 0 if self.reads_words_alone else None

    def readings(self, part: str) -> tuple[str, ...] | None:
        """Return everything that a part of a text may be read as, whatever stands beside it.

        The part begins and ends between words, and is not read together with a word outside of it;
        see :meth:`may_join`. Certificates need to know. Override it where :meth:`segments` makes
        one of several words.

        Returns:
            Canonical forms; ``None``: unknown, as by default where segments are several words.
        """
        return (self(part),) if self.reads_words_alone else None

    def may_join(self, left: str, right: str) -> bool:
        """Return whether words of two parts of a text, one after the other, are read as one.

        The default is that they may be unless each segment is one word.
        """
        return not self.reads_words_alone

    def reads_apart(self, left: str, run: str, right: str) -> bool:
        """Return whether a run of characters without white space is read as by itself.

        Then its neighbours too are read as beside any other run that this is true of. It may be
        false where that is so, which only takes time: more of a changed text is read again. The
        default is that it is so if each segment is one word.

        Args:
            left: The run before it, empty if there is none.
            run: The run.
            right: The run after it.
        """
        return self.reads_words_alone

    @classmethod
    def fit(
        cls,
        train: TextDataset | Evidence,
        *,
        tokenizer: Any = None,
        answers: np.ndarray | None = None,
        exchanges: Exchanges | None = None,
        **settings: Any,
    ) -> Self:
        """Learn an encoding from training texts.

        Of an instance, it returns a new one, with the same settings but for those that are given.

        Args:
            train: The training texts, or all evidence in one.
            tokenizer: See :class:`Evidence`, like the next two; not with an ``Evidence``.
            answers: A model's probabilities, such as a teacher's.
            exchanges: What substitutions may exchange.
            settings: Values for some of the ``choices``.

        Raises:
            GenomeError: A setting is unknown, or its value is not among the choices.
            ArgumentError: A setting is out of range, ``train`` is no data set, or there is an
                ``Evidence`` and more beside it.
        """
        complete_settings = cls.complete(settings)
        more = {"tokenizer": tokenizer, "answers": answers, "exchanges": exchanges}
        if isinstance(train, TextDataset):
            evidence = Evidence(train, **more)
        elif isinstance(train, Evidence):
            evidence = train
            for name, value in more.items():
                if value is not None:
                    raise refused(name, "part of the Evidence where there is one", value)
        else:
            raise refused("train", "a TextDataset", train)
        return cls(cls.learn(evidence, complete_settings), **complete_settings)

    @classmethod
    def complete(cls, settings: Mapping[str, Any]) -> dict[str, Value]:
        """Return ``settings`` with the defaults filled in.

        Raises:
            GenomeError: A setting is unknown, or its value is not among the choices.
            ArgumentError: A setting is out of range.
        """
        return complete(f"the encoding {cls.registered_name()!r}", cls.choices, settings)

    @classmethod
    def registered_name(cls) -> str:
        """Return the name under which the class is registered, else its own."""
        return encodings.name_of(cls) or cls.__name__

    @overload
    def __call__(self, texts: str) -> str: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, texts: tuple[str, str]) -> tuple[str, str]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, texts: tuple[T, ...]) -> tuple[T, ...]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, texts: Sequence[T]) -> list[T]: ...

    def __call__(self, texts: Any) -> Any:
        """Return the canonical form of a text, of a pair, or of each of several.

        A tuple gives a tuple, any other sequence a list.
        """
        try:
            if isinstance(texts, str):
                return self._canonical(texts)
        except KeyError as error:
            self._refuse_if_unfitted(error)
            raise
        if isinstance(texts, tuple):
            return tuple(map(self, texts))
        return [self(text) for text in texts]

    def encode(self, text: str) -> EncodedText:
        """Return the canonical form of a text, and which of its parts were replaced."""
        try:
            return self._encoded(text)
        except KeyError as error:
            self._refuse_if_unfitted(error)
            raise

    def _encoded(self, text: str) -> EncodedText:
        pieces: list[str] = []
        edits: list[tuple[int, int, int, int]] = []
        done = length = 0
        for start, end in self.segments(text):
            old, new = text[start:end], self.canonical_word(text[start:end])
            if new == old:
                continue
            pieces += [text[done:start], new]
            length += start - done
            edits += [
                (start + a, start + b, length + new_a, length + new_b)
                for a, b, new_a, new_b in self.edits(old)
            ]
            length += len(new)
            done = end
        return EncodedText(text, "".join([*pieces, text[done:]]), tuple(edits))

    def canonical_word(self, word: str) -> str:
        """Return :meth:`word` of a segment; short ones are remembered."""
        return remembered(self._words, word, self.word)

    def canonical_run(self, run: str) -> str:
        """Return the canonical form of one or several runs of characters without white space.

        It is part of the canonical text where they are read by themselves. Short ones are
        remembered.
        """
        return remembered(self._runs, run, self._whole)

    def _refuse_if_unfitted(self, error: KeyError) -> None:
        """Name the reason of an error that comes from a lack of fitting."""
        if not self._is_fitted:
            raise ArgumentError(
                f"{self!r} is not fitted. Call its method fit, which returns one that is."
            ) from error

    def _canonical(self, text: str) -> str:
        if self.reach is None or len(text) < LONG:
            return self._whole(text)
        return read_runs(text, self._known_runs, self.reads_apart, self.canonical_run)

    def _whole(self, text: str) -> str:
        return self.of_segments(text, self.segments(text))

    def of_segments(self, text: str, segments: Sequence[tuple[int, int]]) -> str:
        """Return the canonical form of a text whose segments are known."""
        # The inner loop of every attack.
        pieces: list[str] = []
        known, done = self._words, 0
        for start, end in segments:
            old = text[start:end]
            new = known.get(old)
            if new is None:
                new = self.canonical_word(old)
            if new != old:
                pieces += (text[done:start], new)
                done = end
        return "".join([*pieces, text[done:]]) if pieces else text

    def to_dict(self) -> dict[str, Any]:
        """Return name, version, settings and what was learnt, as JSON values."""
        return {
            "name": self.registered_name(),
            "version": self.version,
            "settings": dict(self.settings),
            "learnt": dict(self.learnt),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the encoding of :meth:`to_dict`."""
        return cls(values["learnt"], **values["settings"])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all of :meth:`to_dict`; equal encodings have equal ones."""
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        return {**state_without_cached(self), "_words": {}, "_runs": {}, "_known_runs": {}}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.fingerprint == getattr(other, "fingerprint", "")

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{type(self).__name__}({settings})"


def _rounded(answers: np.ndarray) -> np.ndarray:
    # The last bits of a model's answers depend on its batches, and should rarely decide a result.
    rounded: np.ndarray = np.round(np.asarray(answers, dtype=np.float64), 3)
    return rounded


@cache
def _wordnet_digest() -> str | None:
    """The edition of WordNet that is the default, if there is one."""
    try:
        return WordNet().digest
    except MissingResourceError:
        return None


def word_counts(texts: Iterable[Text]) -> Counter[str]:
    """Count the lower-case words of texts or pairs."""
    counts: Counter[str] = Counter()
    for text in texts:
        for side in (text,) if isinstance(text, str) else text:
            counts.update(map(str.lower, words_of(side)))
    return counts


def _check(item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, Encoding)):
        return "expected a subclass of rosearch.Encoding."
    if item.level not in get_args(Level):
        return f"level must be one of {', '.join(map(repr, get_args(Level)))}, got {item.level!r}."
    return None


encodings: Registry[type[Encoding]] = Registry("encoding", group="rosearch.encodings", check=_check)
