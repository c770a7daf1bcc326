"""Tests that every encoding must pass, for authors of plug-ins.

Subclass :class:`EncodingConformance` in a pytest module and name the encoding::

    from rosearch.testing import EncodingConformance

    class TestNoDigits(EncodingConformance):
        name = "no_digits"
"""

from __future__ import annotations

import itertools
import json
import os
import pickle
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from rosearch.data import Text, TextDataset
from rosearch.encode.base import EncodedText, Encoding, Evidence, encodings
from rosearch.encode.changes import canonical_edits
from rosearch.encode.files import from_json, to_json
from rosearch.errors import GenomeError
from rosearch.seeding import generator
from rosearch.words import word_spans

TRAIN = TextDataset(
    [
        "A gorgeously elaborate story, so huge that words cannot describe it.",
        "The film offers a breath of fresh air, and true sophistication.",
        'It\'s a good place to start: honest, well-made and "keenly" observed!',
        "A good film with a great story and a great cast.",
        "What a wonderful movie, and what a good cast!",
        "Effective but too tepid biopic.",
        "So laddish and juvenile that only teenage boys could find it funny ...",
        "A dull and boring end, a bad story, a terrible movie.",
        "The cast is bad and the film is awful.",
        "Boring, dull, and awful: what a terrible place to start.",
    ],
    [1] * 5 + [0] * 5,
    classes=("negative", "positive"),
)
"""Ten sentences from which the suite fits an encoding."""

TEXTS: tuple[str, ...] = (
    *map(str, TRAIN.texts),
    "A gooood fi1m wtih a g r e a t storry , and GREAT caast!!",
    "the flim was badd, teribble and booring; thecast isawful",
    "one",
    "",
    " ",
    ">>>> ... ' - '",
    "x\n\ty \r\n z\u00a0\u2028end  ",
    "🙂🙂 good🙂 🙂film 👩\u200d👩\u200d👧",
    "naïve café Ünïcödé İstanbul ﬁlm ｆｉｌｍ e\u0301te\u0301 ß",  # noqa: RUF001
    "fіlm gооd",  # noqa: RUF001 - Cyrillic letters that look like Latin ones
    "这部电影很好看 Ελλάδα είναι όμορφη هذا فيلم جيد хороший фильм",
    "def f(x): return {'a': x_1 ** 2}  # <br/> &amp; [UNK] [MASK]",
    "https://example.com/film?id=12&x=good me@example.com @film #good 3.14 1,000 U.S.",
    "low \ud83d high \udc00good goo\ud83dd",
    "a" * 500 + " " + "good" * 200,
    "\0 good\0film \x7f",
)
"""Sentences, and input of all kinds."""

_SCRIPTS = ("这部电影很好看", "Ελλάδα", "είναι", "هذا", "فيلم", "मराठी", "ไทย")

_PROGRAM = """
import importlib.util, json, pickle, sys
name, file, sys.path[:] = json.loads(sys.argv[1])
from rosearch.encode import testing
if name not in sys.modules:  # pytest may have imported it from a folder that is not in the path
    spec = importlib.util.spec_from_file_location(name, file)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    sys.modules.setdefault(name.partition(".")[0], sys.modules[name])  # pickle asks for it
suite, _ = pickle.load(sys.stdin.buffer)  # the encoding too, whose module registers it
encoding = suite.fit(testing.TRAIN)
print(encoding.fingerprint, ascii(encoding(testing.TEXTS)), sep="\\n")
"""
"""Fits the encoding of a suite, whose module, its file, and the path are the argument."""


class Synonyms:
    """A few exchanges of words, so that the suite needs no WordNet."""

    settings: ClassVar[Mapping[str, Any]] = {"name": "synonyms of the conformance suite"}

    _groups = (("film", "movie"), ("good", "great", "wonderful"), ("bad", "awful", "terrible"))

    def count(self, texts: Sequence[Text]) -> Mapping[tuple[str, str], float]:
        """Return how often each exchange is possible in ``texts``."""
        counts = Evidence(TextDataset.unlabelled(texts, classes=("0", "1"))).counts
        return {
            (word, other): float(counts[word])
            for group in self._groups
            for word in group
            for other in group
            if word != other and counts[word]
        }


class EncodingConformance:
    """Fitting, files, determinism, segments, offsets and odd input of an encoding."""

    name: ClassVar[str]
    """Registered name of the encoding."""

    def fit(self, train: TextDataset, **settings: Any) -> Encoding:
        """Fit the encoding; override it for one that needs other evidence."""
        evidence = Evidence(train, exchanges=Synonyms())
        return encodings.get(self.name).fit(evidence, **settings)

    @pytest.fixture
    def encoding(self) -> Encoding:
        """The encoding, fitted to :data:`TRAIN` with default settings."""
        return self.fit(TRAIN)

    def test_fits_with_each_value_of_its_settings(self, encoding: Encoding) -> None:
        for setting, choice in type(encoding).choices.items():
            for value in choice.values:
                fitted = self.fit(TRAIN, **{setting: value})
                assert fitted.settings == {**encoding.settings, setting: value}
                fitted(TEXTS)

    def test_unknown_settings_are_refused(self) -> None:
        with pytest.raises(GenomeError, match="no_such_setting"):
            self.fit(TRAIN, no_such_setting=1)

    @pytest.mark.parametrize(
        "texts",
        [["good"], ["..."], ["", "good film"], [("a good film", "a dull end"), ("so", "...")]],
        ids=["one word", "no word", "an empty text", "pairs"],
    )
    def test_fits_texts_of_any_kind(self, texts: list[Text]) -> None:
        labels = [number % 2 for number in range(len(texts))]
        encoding = self.fit(TextDataset(texts, labels, classes=("a", "b")))
        assert encoding(encoding(TEXTS)) == encoding(TEXTS)

    def test_fitting_does_not_change_the_texts(self) -> None:
        train = TRAIN.select(range(len(TRAIN)))
        self.fit(train)
        assert train.fingerprint == TRAIN.fingerprint

    def test_json_restores_the_encoding(self, encoding: Encoding) -> None:
        encoded = encoding(TEXTS)
        restored = from_json(to_json(encoding))
        hint = "learn must return JSON values: lists, and dicts whose keys are text"
        assert restored.learnt == encoding.learnt, hint
        assert restored.fingerprint == encoding.fingerprint
        assert restored == encoding
        assert restored(TEXTS) == encoded

    def test_pickle_restores_the_encoding(self, encoding: Encoding) -> None:
        encoded = encoding(TEXTS)
        restored = pickle.loads(pickle.dumps(encoding))  # noqa: S301 - our own bytes
        assert restored == encoding
        assert restored(TEXTS) == encoded

    def test_fitting_again_gives_the_same_in_any_process(self, encoding: Encoding) -> None:
        assert self.fit(TRAIN) == encoding
        module = sys.modules[type(self).__module__]
        place = json.dumps([module.__name__, module.__file__, sys.path])
        seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
        result = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", _PROGRAM, place],
            input=pickle.dumps((self, encoding)),
            env={**os.environ, "PYTHONHASHSEED": seed},  # sets of texts have another order there
            stdout=subprocess.PIPE,
            check=True,
        )
        expected = [encoding.fingerprint, ascii(encoding(TEXTS))]
        assert result.stdout.decode().splitlines() == expected, "sort what comes from sets"

    def test_use_does_not_change_the_encoding(self, encoding: Encoding) -> None:
        before = to_json(encoding)
        texts = list(TEXTS)
        first = encoding(texts)
        assert texts == list(TEXTS)
        assert encoding(texts) == first
        assert to_json(encoding) == before

    def test_texts_are_encoded_alone(self, encoding: Encoding) -> None:
        together = encoding(TEXTS)
        other = from_json(to_json(encoding))
        assert other(TEXTS[::-1])[::-1] == together, "word must not keep anything of earlier words"
        for text, encoded in zip(TEXTS, together, strict=True):
            assert encoding(text) == encoded

    def test_segments_are_encoded_alone_and_the_rest_stays(self, encoding: Encoding) -> None:
        other = from_json(to_json(encoding))
        # Long texts, which are read in parts where the method reads_apart allows it.
        rng = generator(0, "long texts")
        words = " ".join(TEXTS[:14]).split(" ")
        texts = [*TEXTS, *(" ".join(rng.choice(words, size=60)) for _ in range(30))]
        for text, encoded in zip(texts, encoding(texts), strict=True):
            pieces, done = [], 0
            for start, end in encoding.segments(text):
                assert done <= start < end <= len(text), "segments have an order and no overlap"
                pieces += [text[done:start], other.word(text[start:end])]
                done = end
            assert encoded == "".join([*pieces, text[done:]])

    def test_parts_are_read_as_one_of_their_readings(self, encoding: Encoding) -> None:
        rng = generator(0, "readings")
        words = " ".join(TEXTS[:14]).split(" ")
        for _ in range(200):
            parts = [f" {word}" for word in rng.choice(words, size=5)]
            if any(map(encoding.may_join, parts, parts[1:])):
                continue
            readings = [encoding.readings(part) for part in parts]
            known = [found for found in readings if found is not None]
            if len(known) == len(parts):
                encoded = encoding("".join(parts))
                assert encoded in {"".join(found) for found in itertools.product(*known)}

    def test_a_change_reaches_no_further_than_it_says(self, encoding: Encoding) -> None:
        for text in TEXTS:
            canonical = encoding(text)
            spans = word_spans(text)
            edits = [(a, b, new) for a, b in spans[::3] for new in ("", "terible", "a b", "it's")]
            for edit, found in zip(edits, canonical_edits(encoding, text, edits), strict=True):
                (a, b, new), (start, end, part) = edit, found
                changed = text[:a] + new + text[b:]
                assert canonical[:start] + part + canonical[end:] == encoding(changed), (
                    f"the property reach is too small for {changed!r}"
                )

    def test_canonical_texts_are_their_own(self, encoding: Encoding) -> None:
        for text in encoding(TEXTS):
            assert encoding(text) == text

    def test_edits_lead_from_text_to_canonical_text(self, encoding: Encoding) -> None:
        for text in TEXTS:
            encoded = encoding.encode(text)
            assert encoded.original == text
            assert encoded.text == encoding(text)
            segments = encoding.segments(text)
            rebuilt, done = "", 0
            for start, end, new_start, new_end in encoded.edits:
                assert any(a <= start and end <= b for a, b in segments)
                rebuilt += text[done:start]
                assert len(rebuilt) == new_start
                rebuilt += encoded.text[new_start:new_end]
                assert len(rebuilt) == new_end
                done = end
            assert rebuilt + text[done:] == encoded.text

    def test_spans_lead_back_to_the_original(self, encoding: Encoding) -> None:
        rng = generator(0, "spans")
        for text in TEXTS:
            encoded = encoding.encode(text)
            origins = list(character_origins(encoded))
            assert len(origins) == len(encoded.text)
            places = range(len(origins))
            spans = [(start, start + 1) for start in places]
            spans += [(start, int(rng.integers(start, len(origins))) + 1) for start in places]
            for start, end in spans:
                expected = origins[start][0], origins[end - 1][1]
                assert encoded.origin(start, end) == expected

    def test_pairs_are_encoded_side_by_side(self, encoding: Encoding) -> None:
        pair = (TEXTS[0], TEXTS[-1])
        sides = (encoding(pair[0]), encoding(pair[1]))
        assert encoding(pair) == sides
        assert encoding([pair, pair]) == [sides, sides]

    def test_words_of_other_scripts_stay_in_them(self, encoding: Encoding) -> None:
        for word in _SCRIPTS:
            assert _scripts(encoding(word)) == _scripts(word)

    def test_a_long_text(self, encoding: Encoding) -> None:
        texts = list(TEXTS[:13]) * 90
        text = " .\n".join(texts)
        assert len(text.split()) > 10_000
        # A segment may have several words, but not of several sentences.
        assert encoding(text) == " .\n".join(map(encoding, texts))


def character_origins(encoded: EncodedText) -> Iterator[tuple[int, int]]:
    """Yield for each character of the canonical text the span of the original it comes from."""
    place = 0
    for start, end, new_start, new_end in encoded.edits:
        yield from ((k, k + 1) for k in range(place, start))
        yield from [(start, end)] * (new_end - new_start)
        place = end
    yield from ((k, k + 1) for k in range(place, len(encoded.original)))


def _scripts(text: str) -> set[str]:
    return {unicodedata.name(letter).split()[0] for letter in text if letter.isalpha()}
