from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma

import numpy as np
import pytest

from rosearch import TextDataset
from rosearch.errors import DataError
from rosearch.text_files import file_type


def read(path, texts, label, classes):
    return TextDataset.from_csv(path, text=tuple(texts), label=label, classes=classes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'x,y,c\n"a, b",c d,good\nq,r,0\n'),
        ("a.tsv", "x\ty\tc\na, b\tc d\tgood\nq\tr\t0\n"),
        (
            "a.jsonl",
            '{"x": "a, b", "y": "c d", "c": "good"}\n\n{"x": "q", "y": "r", "c": 0}\n',
        ),
    ],
)
def test_texts_and_pairs(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    pairs = read(path, ["x", "y"], "c", ["bad", "good"])
    assert pairs.texts == (("a, b", "c d"), ("q", "r"))
    assert np.array_equal(pairs.labels, [1, 0])
    assert pairs.classes == ("bad", "good")
    assert read(path, ["y"], "c", ["bad", "good"]).texts == ("c d", "r")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        # Numbers of JSON are indices, also where the names of the classes are numbers.
        ("a.jsonl", '{"text": "x", "label": 0}\n{"text": "y", "label": 2}\n', [0, 2]),
        ("a.jsonl", '{"text": "x", "label": "1"}\n{"text": "y", "label": "3"}\n', [0, 2]),
        # A column is names or indices as a whole.
        ("a.csv", "text,label\nx,1\ny,3\n", [0, 2]),
        ("a.csv", "text,label\nx,0\ny,1\nz,2\n", [0, 1, 2]),
    ],
)
def test_class_names_that_are_numbers(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_text(content)
    found = read(path, ["text"], "label", ["1", "2", "3"])
    assert list(found.labels) == expected


def test_quotes_in_a_tsv_are_literal(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"odd\t1\nsay "so"\t0\n')
    assert read(path, ["text"], "label", ["0", "1"]).texts == ('"odd', 'say "so"')


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "sentence,label\nx,1\n", "line 2 has no column 'text', only sentence, label"),
        ("a.csv", "text,label\nx,fine\n", "line 2: the label 'fine' is neither"),
        ("a.csv", "text,label\n", "has no examples"),
        ("a.csv", "text,label\nonly\n", "line 2 has no value in the column 'label'"),
        ("a.jsonl", "{x}\n", "line 1 is not valid JSON"),
        ("a.jsonl", "[1]\n", "line 1 must be a JSON object"),
        ("a.jsonl", '{"text": "x", "label": true}\n', "line 1: the label 'True' is neither"),
        ("a.csv", "text,label\nx,7\n", "Label 7 of example 0 is outside"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read(path, ["text"], "label", ["bad", "good"])


ODD = ["they call it 'art'", 'a "b" c', "two\nlines", "a\ttab", '"whole"', "a, b", "ma\u00f1ana"]


def as_table(delimiter="\t", quoting=csv.QUOTE_MINIMAL, end="\n", header=("text", "label")):
    """ODD as pandas and the csv module write it, with labels 0 and 1 in turn."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([header] if header else [])
    writer.writerows((text, k % 2) for k, text in enumerate(ODD))
    return out.getvalue()


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_quoted_tables_give_back_what_was_written(tmp_path, delimiter, quoting, end, encoding):
    path = tmp_path / ("a.csv" if delimiter == "," else "a.tsv")
    path.write_bytes(as_table(delimiter, quoting, end).encode(encoding))
    found = TextDataset.from_csv(path)
    assert found.texts == tuple(ODD)
    assert found.labels.tolist() == [k % 2 for k in range(len(ODD))]


@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_columns_without_a_header_are_numbered(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text(as_table("\t" if suffix == ".tsv" else ",", header=None), encoding="utf-8")
    assert TextDataset.from_csv(path, text="0", label="1").texts == tuple(ODD)
    with pytest.raises(DataError, match="without a header"):
        TextDataset.from_csv(path)
    path.write_text("1\t0\nx\t1\n" if suffix == ".tsv" else "1,0\nx,1\n")
    assert TextDataset.from_csv(path, text="1", label="0").texts == ("x",)  # that is a header


@pytest.mark.parametrize(
    "rows",
    [
        '"so\t1\nit" goes\t0\n',
        '"The end"\t1\n"A start"\t0\n',
        '5" floppy\t1\n"a ""b"""\t0\n',
        '"\t1\n"\t0\n',
    ],
)
def test_quotes_in_a_tsv_that_are_no_quoting_stay(tmp_path, rows):
    path = tmp_path / "a.tsv"
    path.write_text(f"text\tlabel\n{rows}")
    expected = tuple(line.split("\t")[0] for line in rows.splitlines())
    assert TextDataset.from_csv(path).texts == expected


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_compressed_files(tmp_path, suffix, compress):
    path = tmp_path / f"a.csv{suffix}"
    data = compress(as_table(",").encode())
    path.write_bytes(data)
    assert TextDataset.from_csv(path).texts == tuple(ODD)
    path.write_bytes(data[:-7])
    with pytest.raises(DataError, match=rf"a\.csv\{suffix} is not a whole {suffix} file"):
        TextDataset.from_csv(path)


@pytest.mark.parametrize(
    "content",
    [
        '[{"text": "u", "label": 1}, {"text": "v", "label": 0}]',
        '{"text": "u", "label": 1}\n{"text": "v", "label": 0}\n',
        '{"text": ["u", "v"], "label": [1, 0]}',
        '{"text": {"0": "u", "1": "v"}, "label": {"0": 1, "1": 0}}',
        '{"version": 2, "data": [{"text": "u", "label": 1}, {"text": "v", "label": 0}]}',
    ],
    ids=["list", "lines", "columns", "pandas", "data"],
)
def test_forms_of_json(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    assert TextDataset.from_csv(path) == TextDataset(["u", "v"], [1, 0])


def test_a_single_line_of_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"text": "u", "label": 1}\n')
    assert TextDataset.from_csv(path).texts == ("u",)


def test_line_separators_of_unicode_are_part_of_texts(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "u\u2028v\x85w", "label": 1}\n', encoding="utf-8")
    assert TextDataset.from_csv(path).texts == ("u\u2028v\x85w",)


def test_parquet(tmp_path):
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"text": ODD, "label": [1.0] * len(ODD)})
    frame.to_parquet(tmp_path / "a.parquet")
    assert TextDataset.from_csv(tmp_path / "a.parquet").texts == tuple(ODD)
    assert set(TextDataset.from_csv(tmp_path / "a.parquet").labels) == {1}
    (tmp_path / "b.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match=r"b\.parquet is not a Parquet file"):
        TextDataset.from_csv(tmp_path / "b.parquet")


def test_whole_numbers_that_pandas_made_floats_are_labels(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nu,1.0\nv,0.0\n")
    assert TextDataset.from_csv(path).labels.tolist() == [1, 0]


def test_a_column_without_labels(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text\nu\n")
    assert not TextDataset.from_csv(path, label=None, classes=["no", "yes"]).is_labelled


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nmañana,1\n".encode("latin-1"), r"a\.csv, line 2: encoding error"),
        ("a.tsv", "text\tlabel\nx\t1\n\x93y\t0\n".encode("latin-1"), r"a\.tsv, line 3: enc"),
        ("a.jsonl", b'{"text": "\xe9", "label": 1}', r"a\.jsonl, line 1: encoding error"),
        ("a.txt", b"u\t1\n", r"a\.txt must end in \.csv, \.tsv"),
        ("a.csv", b"text,label\nso, so,1\n", "line 2 has 3 cells, more than the first"),
        ("a.csv", b'text,label\n"u,1\nv,0\n', "unexpected end of data"),
        ("a.csv", b"text,text,label\nu,v,1\n", "has the column 'text' twice"),
        ("a.csv", b"text,label\nu,1.0\nv,\n", "line 3 has no label"),
        ("a.jsonl", b'{"text": "u", "label": NaN}\n', "line 1 has no label"),
        ("a.jsonl", b'{"text": 5, "label": 1}\n', r"a\.jsonl: Text 0 must be a str"),
        ("a.json", b'["u"]', "must be a list of JSON objects"),
        ("a.json", b'{"text": ["u"], "label": [1, 0]}', "columns of equal length"),
        ("a.json", b"text", "is not valid JSON"),
        ("a.csv", b"text,label\nu,1.5\n", "the label '1.5' is neither"),
        ("a.tsv", b"text\tlabel\nu\t1\nv\tNA\n", "line 3 has no label"),
        ("a.csv", "text,label\nu,1\n".encode("utf-16-le"), r"a\.csv: encoding error.*null char"),
        ("a.json", "[]".encode("utf-32"), r"a\.json: encoding error.*UTF-32"),
        ("a.tsv", "text\tlabel\n".encode("utf-16") + b"u", "is not UTF-16-LE"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        TextDataset.from_csv(path, classes=["bad", "good"])


def test_a_class_may_be_called_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nu,none\nv,some\n")
    assert TextDataset.from_csv(path, classes=["none", "some"]).labels.tolist() == [0, 1]


def test_names_without_classes_are_listed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nu,yes\nv,no\n")
    with pytest.raises(
        DataError, match=r"line 2: .*'yes' is no class index.*classes=\['no', 'yes'\]"
    ):
        TextDataset.from_csv(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.CSV", ".csv"),
        ("b.json.gz", ".json"),
        ("c.v2.tsv.xz", ".tsv"),
        ("d.txt", None),
        ("e.gz", None),
    ],
)
def test_type_of_a_file(tmp_path, name, kind):
    assert file_type(tmp_path / name) == kind
