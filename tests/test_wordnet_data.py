"""WordNet in the database of the package wn, read as from WordNet's own files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from rosearch.attack.resources import prepare_nltk
from rosearch.errors import MissingResourceError
from rosearch.wordnet import WordNet, find_wordnet
from rosearch.wordnet_data import FileDatabase, digest_of, has_files, is_wordnet, read_file

WORDS = "film turkey go good bad hot offer galore h decrease homer".split()
"""With phrases, capitals, irregular forms, syntactic marks and antonyms among them."""
FORMS = [*WORDS, "films", "Turkey", "went", "hottest", "decreases", "xyzzy"]
IRREGULAR = {("v", "go"): ["gone", "went"], ("a", "hot"): ["hotter", "hottest"]}


def lexicon(files: FileDatabase, name: str) -> str:
    """The synsets of some words as a file for wn, laid out as the lexicons of OMW are."""
    name, version = name.split(":")
    found = [
        (pos, s) for w in WORDS for pos, f in files.base_forms(w) for s in files.synsets(pos, f)
    ]
    synsets = {key: list(dict.fromkeys(files.names(*key))) for key in found}
    senses: dict[tuple[str, str], list[int]] = {}
    for (pos, synset), members in synsets.items():
        for member in members:
            senses.setdefault((pos, member), []).append(synset)

    def number(pos: str, member: str, synset: int) -> str:
        return f"{name}-{member.encode().hex()}-{synset}-{pos}"

    def sense(pos: str, member: str, synset: int) -> str:
        rank = files.synsets(pos, member.lower()).index(synset) + 1
        opposites = "".join(
            f'<SenseRelation relType="antonym" target="{number(pos, opposite, other)}"/>'
            for opposite in files.antonyms(pos, synset, member.lower())
            for other in senses.get((pos, opposite), [])
            if member in files.antonyms(pos, other, opposite.lower())
        )
        own = f'id="{number(pos, member, synset)}" synset="{name}-{synset}-{pos}"'
        return f'<Sense {own} n="{rank}">{opposites}</Sense>'

    entries = "".join(
        f'<LexicalEntry id="{name}-{member.encode().hex()}-{pos}">'
        f'<Lemma writtenForm={quoteattr(member.replace("_", " "))} partOfSpeech="{pos}"/>'
        + "".join(f'<Form writtenForm="{form}"/>' for form in IRREGULAR.get((pos, member), []))
        + "".join(sense(pos, member, synset) for synset in numbers)
        + "</LexicalEntry>"
        for (pos, member), numbers in senses.items()
    )
    for (pos, synset), members in synsets.items():
        listed = " ".join(number(pos, member, synset) for member in members)
        own = f'id="{name}-{synset}-{pos}" ili="" partOfSpeech="{pos}"'
        entries += f'<Synset {own} members="{listed}"/>'
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.4.dtd">
<LexicalResource xmlns:dc="https://globalwordnet.github.io/schemas/dc/">
<Lexicon id="{name}" label="test" language="en" email="a@b.c" license="x" version="{version}">
{entries}</Lexicon></LexicalResource>"""


@pytest.fixture(scope="module")
def files(wordnet_folder: Path) -> FileDatabase:
    if not has_files(wordnet_folder):
        pytest.skip("WordNet's own files are not installed")
    return FileDatabase(wordnet_folder)


def added(files: FileDatabase, folder: Path, *names: str) -> Path:
    """A database of wn with these lexicons."""
    wn = pytest.importorskip("wn")
    if not hasattr(wn, "add"):
        pytest.skip("wn 0.0.23 is another package")
    paths = []
    for k, name in enumerate(names):
        paths.append(str(folder / f"{k}.xml"))
        Path(paths[-1]).write_text(lexicon(files, name), encoding="utf-8")
    script = (
        "import sys, wn; wn.config.data_directory = sys.argv[1]\n"
        "for path in sys.argv[2:]: wn.add(path, progress_handler=None)"
    )
    subprocess.run([sys.executable, "-c", script, str(folder / "data"), *paths], check=True)
    return folder / "data" / "wn.db"


@pytest.fixture(scope="module")
def database(files: FileDatabase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return added(files, tmp_path_factory.mktemp("wn"), "oewn:2024", "omw-en:1.4", "omw-en:2.0")


def test_synonyms_and_antonyms_are_those_of_the_files(
    wordnet_folder: Path, files: FileDatabase, database: Path
) -> None:
    ours, theirs = WordNet(database), WordNet(wordnet_folder)
    for form in FORMS:
        assert ours.synonyms(form) == theirs.synonyms(form), form
        assert list(ours.ranked(form)) == list(theirs.ranked(form)), form
    assert {"movie", "pic"} <= set(ours.synonyms("films"))
    assert "motion_picture" in ours.ranked("film")
    assert "off" not in ours.ranked("offer")  # an irregular form that the lexicons lack
    assert "bad" in ours.antonyms("good")
    assert ours.antonyms("good") <= theirs.antonyms("good")  # others are not in the lexicon


@pytest.mark.parametrize(
    ("part", "percent"), [("noun", 64), ("verb", 38), ("adj", 49), ("adv", 36)]
)
def test_many_forms_with_several_senses_have_no_count(
    files: FileDatabase, wordnet_folder: Path, part: str, percent: int
) -> None:
    # synset count and pointer count, the pointers, sense count, number of senses with a count
    lines = read_file(wordnet_folder, f"index.{part}").decode().splitlines()
    entries = [line.split() for line in lines if not line.startswith(" ")]
    several = [entry for entry in entries if int(entry[2]) > 1]
    counted = [int(entry[5 + int(entry[3])]) for entry in several]
    assert round(100 * counted.count(0) / len(counted)) == percent


def test_the_digest_is_that_of_the_content(
    files: FileDatabase, database: Path, tmp_path: Path
) -> None:
    again = added(files, tmp_path, "omw-en:2.0")
    assert again.read_bytes() != database.read_bytes()
    assert WordNet(again).synonyms("film") == WordNet(database).synonyms("film")
    assert digest_of(database) == digest_of(database) != digest_of(find_wordnet())


def test_the_usual_database_is_found_last(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rosearch.wordnet.nltk_folders", list)
    monkeypatch.setattr("rosearch.wordnet.package_folder", lambda name: None)
    monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
    monkeypatch.setenv("WN_DATA_DIR", str(database.parent))
    assert find_wordnet() == database
    monkeypatch.setenv("WN_DATA_DIR", str(tmp_path))
    with pytest.raises(MissingResourceError, match=r"python -m wn download omw-en:2\.0"):
        find_wordnet()
    assert not list(tmp_path.iterdir())


def test_other_editions_are_refused(files: FileDatabase, tmp_path: Path) -> None:
    path = added(files, tmp_path, "oewn:2024", "omw-en31:1.4", "omw-en:9")
    assert not is_wordnet(path)
    with pytest.raises(MissingResourceError, match=r"a database of wn with omw-en:2.0 or omw-en"):
        WordNet(path)


def test_nltk_needs_the_files(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSEARCH_WORDNET", str(database))
    with pytest.raises(MissingResourceError, match="rosearch resources --get wordnet"):
        prepare_nltk()


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00"])
def test_other_files_are_not_wordnet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "wn.db").write_bytes(content)
    assert not is_wordnet(tmp_path / "wn.db")
    assert not is_wordnet(tmp_path / "missing.db")
    assert not is_wordnet(tmp_path)
