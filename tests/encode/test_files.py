"""Encodings as JSON and in files, and the cache of fitted ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.data import TextDataset
from rosearch.encode import (
    ENCODING_FILE,
    Chain,
    Encoding,
    Evidence,
    fitted,
    fitted_chain,
    from_dict,
    from_json,
    load_encoding,
    save_encoding,
    to_json,
)
from rosearch.encode.testing import Synonyms
from rosearch.errors import DataError, GenomeError, RegistryError
from tests.encode.samples import DATA, Halves, Known, Lower, registered


@pytest.fixture(autouse=True)
def _named() -> Iterator[None]:
    with registered(known=Known, lower=Lower, halves=Halves):
        yield


class TestJSON:
    def test_restores_the_encoding(self) -> None:
        for encoding in (Lower(), Known.fit(DATA, minimum=2)):
            restored = from_json(to_json(encoding))
            assert type(restored) is type(encoding)
            assert restored == encoding
            assert restored("A good novel") == encoding("A good novel")
            assert from_dict(encoding.to_dict()) == encoding

    def test_restores_a_chain(self) -> None:
        chain = Chain([Lower(), Known.fit(DATA)])
        restored = from_json(to_json(chain))
        assert isinstance(restored, Chain)
        assert restored == chain
        assert restored("GOOD novel") == "good unknown"

    def test_any_character_can_be_learnt(self, tmp_path: Path) -> None:
        encoding = Known.fit(TextDataset(["low \ud83d \u00e9t\u00e9 电影", "b"], [0, 1]))
        save_encoding(encoding, tmp_path)
        assert load_encoding(tmp_path) == encoding

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "must be valid JSON, got ''"),
            ("{", "must be valid JSON"),
            (b"\xff\xfe\xfa", "must be valid JSON"),
            ("[1]", r"must be a JSON object, got \[1\]"),
            ('{"name": "known"}', "lacks 'settings'; it must have name, settings and learnt"),
            ('{"chain": []}', r"chain must be a list of encodings, got \[\]"),
            ('{"chain": 3}', "chain must be a list of encodings, got 3"),
            ('{"chain": [3]}', "must be a JSON object, got 3"),
            ('{"name": "known", "settings": {"maximum": 1}, "learnt": {}}', "'known' cannot be"),
            ('{"name": "known", "settings": 3, "learnt": {}}', "'known' cannot be read"),
            ('{"name": "known", "settings": {}, "learnt": "ab"}', "'known' cannot be read"),
        ],
    )
    def test_anything_else_is_refused(self, text: str | bytes, message: str) -> None:
        with pytest.raises(DataError, match=message):
            from_json(text)

    def test_another_version_is_refused(self) -> None:
        other = {**json.loads(to_json(Lower())), "version": 7}
        with pytest.raises(DataError, match=r"fitted by its version 7, and this is version 1"):
            from_json(json.dumps(other))

    def test_a_later_format_is_refused(self) -> None:
        later = {**json.loads(to_json(Lower())), "format": 2}
        message = r"has format 2; rosearch .* reads format 1\. Install a later rosearch"
        with pytest.raises(DataError, match=message):
            from_dict(later)

    @pytest.mark.parametrize("name", ["knwon", 3, ["known"]])
    def test_an_unknown_encoding_is_named(self, name: Any) -> None:
        values = {"name": name, "settings": {}, "learnt": {}}
        for unknown in (values, {"chain": [Lower().to_dict(), values]}):
            with pytest.raises(RegistryError) as caught:
                from_dict(unknown)
            assert f"encoded by {name!r}, which is missing" in str(caught.value)


class TestFolders:
    def test_a_folder_holds_one_encoding(self, tmp_path: Path) -> None:
        encoding = Known.fit(DATA)
        assert save_encoding(Lower(), tmp_path) == tmp_path / ENCODING_FILE
        save_encoding(encoding, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["encoding.json"]
        assert load_encoding(tmp_path) == encoding
        assert load_encoding(str(tmp_path / "encoding.json")) == encoding

    def test_errors_name_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / ENCODING_FILE
        for content in (b"{", b"\xff\xfe\xfa"):
            file.write_bytes(content)
            with pytest.raises(DataError, match=r"encoding\.json: An encoding must be valid JSON"):
                load_encoding(tmp_path)
        file.write_text('{"name": "other", "settings": {}, "learnt": {}}', encoding="utf-8")
        with pytest.raises(RegistryError, match=r"encoding\.json: .* 'other', which is missing"):
            load_encoding(tmp_path)
        with pytest.raises(FileNotFoundError):
            load_encoding(tmp_path / "none")


class TestFitted:
    """Fitted once per evidence and settings."""

    @pytest.fixture
    def fits(self, monkeypatch: pytest.MonkeyPatch) -> list[Evidence]:
        """The evidence of each fit of ``known``."""
        made: list[Evidence] = []
        learn = Known.learn

        def learning(evidence: Evidence, settings: Mapping[str, Any]) -> Mapping[str, Any]:
            made.append(evidence)
            return learn(evidence, settings)

        monkeypatch.setattr(Known, "learn", learning)
        return made

    def test_a_second_call_does_not_fit(self, fits: list[Evidence], tmp_path: Path) -> None:
        first = fitted("known", {"minimum": 2}, Evidence(DATA), cache_dir=tmp_path)
        again = fitted("known", {"minimum": 2}, Evidence(DATA), cache_dir=tmp_path)
        assert first == again == Known.fit(DATA, minimum=2)
        assert len(fits) == 2  # the last is ours
        assert len(list((tmp_path / "encodings").glob("[!.]*"))) == 1

    def test_defaults_are_the_same_as_their_values(
        self, fits: list[Evidence], tmp_path: Path
    ) -> None:
        for settings in ({}, {"minimum": 1}):
            fitted("known", settings, Evidence(DATA), cache_dir=tmp_path)
        assert len(fits) == 1

    def test_whatever_decides_the_fit_decides_the_file(
        self, fits: list[Evidence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        several: list[tuple[dict[str, Any], Evidence]] = [
            ({}, Evidence(DATA)),
            ({"minimum": 2}, Evidence(DATA)),
            ({}, Evidence(DATA[:2])),
            ({}, Evidence(DATA, answers=np.ones((3, 2)))),
            ({}, Evidence(DATA, exchanges=Synonyms())),
        ]
        for _ in range(2):
            for settings, evidence in several:
                fitted("known", settings, evidence, cache_dir=tmp_path)
            assert len(fits) == 5
        monkeypatch.setattr("rosearch.encode.files.__version__", "99")
        fitted("known", {}, Evidence(DATA), cache_dir=tmp_path)
        assert len(fits) == 6
        assert len(list((tmp_path / "encodings").glob("[!.]*"))) == 6

    @pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe\xfa", b"[]", b'{"name": "known"}'])
    def test_a_damaged_file_is_replaced(
        self, fits: list[Evidence], tmp_path: Path, damage: bytes
    ) -> None:
        def fit() -> Encoding:
            return fitted("known", {}, Evidence(DATA), cache_dir=tmp_path)

        first = fit()
        (path,) = (tmp_path / "encodings").glob("[!.]*")
        sound = path.read_bytes()
        path.write_bytes(damage)
        assert fit() == first
        assert len(fits) == 2
        assert path.read_bytes() == sound

    def test_wrong_names_and_settings_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RegistryError, match="Did you mean 'known'"):
            fitted("knwon", {}, Evidence(DATA), cache_dir=tmp_path)
        with pytest.raises(GenomeError, match="'known' has no parameter 'maximum'"):
            fitted("known", {"maximum": 1}, Evidence(DATA), cache_dir=tmp_path)

    def test_each_of_a_chain_learns_from_encoded_texts(
        self, fits: list[Evidence], tmp_path: Path
    ) -> None:
        loud = DATA.with_texts([str(text).upper() for text in DATA.texts])
        parts: list[tuple[str, dict[str, Any]]] = [("lower", {}), ("known", {"minimum": 2})]
        chain = fitted_chain(parts, Evidence(loud), cache_dir=tmp_path)
        assert chain == Chain([Lower(), Known({"words": ["a", "film", "good"]}, minimum=2)])
        assert fits[0].train.texts == DATA.texts
        assert fitted_chain(parts, Evidence(loud), cache_dir=tmp_path) == chain
        assert len(fits) == 1

    def test_chains_of_one_and_of_none(self, tmp_path: Path) -> None:
        assert fitted_chain([("lower", {})], Evidence(DATA), cache_dir=tmp_path) == Lower()
        assert fitted_chain([], Evidence(DATA), cache_dir=tmp_path) is None
