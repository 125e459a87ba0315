import csv
import gzip
import io

import pytest

from icdcli.data.rows import find_table, find_tables, read_header, read_rows
from icdcli.errors import DataError


def everything(path, columns, **options):
    return [row for chunk in read_rows(path, columns, **options) for row in chunk]


def refused(path, columns=("a",)):
    with pytest.raises(DataError) as caught:
        everything(path, columns)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_values_are_strings_as_written(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('A,b,C\n0331,NA,"x, ""y""\nz"\n,null, 1.0 \n')
    assert everything(path, ("c", "a")) == [('x, "y"\nz', "0331"), (" 1.0 ", "")]


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 7, 100])
def test_chunks_hold_at_most_chunk_size_rows_and_lose_none(tmp_path, chunk_size):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{n},{n % 2}\n" for n in range(7)))
    chunks = list(read_rows(path, ("a",), chunk_size))
    assert all(0 < len(chunk) <= chunk_size for chunk in chunks)
    assert [row for chunk in chunks for row in chunk] == [(str(n),) for n in range(7)]
    assert everything(path, ("a",), where={"B": "1"}, chunk_size=chunk_size) == [("1",), ("3",), ("5",)]


def test_same_as_the_csv_module_on_quotes_line_breaks_and_blank_lines(tmp_path):
    rows = [["1", 'say "no",\r\nthen'], ["2", ""], ["3", "\n\n"], ["4", "ü €\t'"]]
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b"], *rows])
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(("\ufeff" + text.getvalue() + "\r\n").encode()))
    assert read_header(path) == ["a", "b"]
    assert everything(path, ("a", "b")) == [tuple(row) for row in rows]


def test_a_field_longer_than_the_csv_modules_limit_is_read(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a\n"' + "x" * 300_000 + '"\n')
    assert len(everything(path, ("a",))[0][0]) == 300_000


def test_progress_ends_at_the_files_size(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "1\n" * 10_000)
    seen = []
    everything(path, ("a",), progress=lambda *told: seen.append(told))
    assert seen[-1] == ("reading t.csv", path.stat().st_size, path.stat().st_size, "bytes")
    assert [told[1] for told in seen] == sorted(told[1] for told in seen)


def test_tables_are_found_whatever_their_case(tmp_path):
    for name in ("NOTEEVENTS.csv.gz", "d_icd_diagnoses.CSV", "NOTEEVENTS.csv.bak"):
        (tmp_path / name).touch()
    found = find_tables(tmp_path, ("NOTEEVENTS", "D_ICD_DIAGNOSES"))
    assert [path.name for path in found.values()] == ["NOTEEVENTS.csv.gz", "d_icd_diagnoses.CSV"]


def test_all_missing_tables_are_named_at_once(tmp_path):
    (tmp_path / "A.csv").touch()
    with pytest.raises(DataError, match=r"missing B\.csv or B\.csv\.gz, C\.csv or C\.csv\.gz"):
        find_tables(tmp_path, ("A", "B", "C"))
    with pytest.raises(DataError, match="nowhere: can't be read as a folder"):
        find_table(tmp_path / "nowhere", "A")


def test_two_files_for_one_table_are_refused(tmp_path):
    (tmp_path / "A.csv").touch()
    (tmp_path / "a.csv.gz").touch()
    with pytest.raises(DataError, match=r"A\.csv and a\.csv\.gz could both be A"):
        find_table(tmp_path, "A")


def test_a_missing_column_names_those_there_are_and_the_nearest(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("HADM_IDS,TEXT\n1,x\n")
    message = refused(path, ("HADM_ID", "TEXT"))
    assert "no column 'HADM_ID' (did you mean 'HADM_IDS'?)" in message
    assert "its columns are: HADM_IDS, TEXT" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b\n", "has a header but no rows"),
        (b"a;b\n1;2\n", "separated by ';'"),
        (b"a\tb\n1\t2\n", r"separated by '\t'"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 fields where the header has 2"),
        (b'a,b\n"x\ny",2\n1\n', "line 4: 1 fields where the header has 2"),
        (b'a,b\n1,"never closed\n', "quoted text is never closed"),
        (b'a,b\n1,"x"y\n', "near line 2: not valid CSV"),
        (b"a,b\n1,\xe9\n", "not UTF-8 (byte 0xe9)"),
        (b"PK\x03\x04\x00\x00\x00", "is binary"),
        (gzip.compress(b"a\n1\n"), "rename it to t.csv.gz"),
    ],
)
def test_what_is_no_csv_is_refused(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert message in refused(path)


def test_damaged_gzip_files_are_refused(tmp_path):
    rows = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n * 7919 % 10007) for n in range(20_000))
    whole = gzip.compress(rows)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    message = refused(path)
    assert "ends too early" in message and "near line" in message
    path.write_bytes(whole[:10])
    assert "ends too early" in refused(path)
    path.write_bytes(rows)
    assert "not a gzip file" in refused(path)
    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])
    assert "damaged" in refused(path)
    path.write_bytes(b"")
    assert "is empty" in refused(path)


def test_a_missing_file_is_refused(tmp_path):
    assert "No such file" in refused(tmp_path / "t.csv")
