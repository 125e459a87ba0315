import csv
import errno
import gzip
import importlib
import io
import re
import sys
import threading

import pytest
from xxhash import xxh3_128

from icdcli.errors import DataError
from icdcli.io import byte_stream, csv_window
from icdcli.io.csv_reader import Reading, match_columns, read_header
from icdcli.io.raw_tables import find_tables


def everything(path, columns, where=None, **options):
    return [row for chunk in Reading(**options).rows(path, columns, where) for row in chunk]


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
    chunks = list(Reading(chunk_size).rows(path, ("a",)))
    assert all(0 < len(chunk) <= chunk_size for chunk in chunks)
    assert [row for chunk in chunks for row in chunk] == [(str(n),) for n in range(7)]
    assert everything(path, ("a",), where={"B": "1"}, chunk_size=chunk_size) == [
        ("1",),
        ("3",),
        ("5",),
    ]


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
    everything(path, ("a",), on_progress=lambda *news: seen.append(news))
    assert seen[-1] == (
        "reading t.csv",
        path.stat().st_size,
        path.stat().st_size,
        "bytes",
        "10,000 kept",
    )
    assert [news[1] for news in seen] == sorted(news[1] for news in seen)


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
        find_tables(tmp_path / "nowhere", ["A"])


def test_two_files_for_one_table_are_refused(tmp_path):
    (tmp_path / "A.csv").touch()
    (tmp_path / "a.csv.gz").touch()
    with pytest.raises(DataError, match=r"A\.csv and a\.csv\.gz could both be A"):
        find_tables(tmp_path, ["A"])


@pytest.mark.parametrize("header", ["a,b,a", "A,b, a"])
def test_ambiguous_columns_are_refused(tmp_path, header):
    (tmp_path / "t.csv").write_text(f"{header}\n1,2,3\n")
    assert "has 2 columns 'a' (upper and lower case are the same). Rename all but one" in refused(
        tmp_path / "t.csv"
    )


def test_of_columns_alike_the_one_of_that_very_name_is_read(tmp_path):
    assert match_columns(tmp_path, ["Text", "text"], ["text"]) == [1]


def test_a_missing_column_names_those_there_are_and_the_nearest(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("HADM_IDS,TEXT\n1,x\n")
    message = refused(path, ("HADM_ID", "TEXT"))
    assert "no column 'HADM_ID' (did you mean 'HADM_IDS'?)" in message
    assert "Its columns are: HADM_IDS, TEXT" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b\n", "has a header but no rows"),
        (b"a;b\n1;2\n1;2;3\n", "Put texts with semicolons, quotes or line breaks"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 columns, expected 2"),
        (b'a,b\n"x\ny",2\n1\n', "line 4: 1 column, expected 2"),
        (b'a,b\n1,"never closed\n', "quoted text is never closed"),
        (b'a,b\n1,"x"y\n', "line 2: not valid CSV"),
        (b"a,b\n1,\xe9\n", "not UTF-8 (byte 0xe9). Save it as UTF-8. If Windows wrote it"),
        (b"a,b\n1,\x81\n", "not UTF-8 (byte 0x81). Save it as UTF-8: iconv -f ENCODING -t UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"\xff\xfea", "begins as UTF-16 or UTF-32, but isn't"),
        (b"a,\x00\x00\x00", "is binary"),
        (b"PK\x03\x04\x00\x00\x00", "is an Excel workbook or another archive. Rename it to"),
        (b"PAR1\x00", "is a Parquet file. Rename it to NAME.parquet"),
        (
            b"7,Mr Longfellow has a cough and fever\n",
            "no column 'a'. Its columns are: 7. The first",
        ),
        (gzip.compress(b"a\n1\n", mtime=0), "Rename it to t.csv.gz"),
    ],
)
def test_what_is_no_csv_is_refused(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert message in refused(path)


def test_a_file_that_is_compressed_twice_is_named_as_such(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(gzip.compress(b"a\n1\n")))
    assert "is compressed twice. Decompress it once: gunzip -c t.csv.gz >" in refused(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("block", [3, 1 << 20])
def test_every_separator_and_marked_encoding_gives_the_same_rows(
    tmp_path, monkeypatch, separator, quoting, encoding, block
):
    monkeypatch.setattr(byte_stream, "BLOCK", block)
    rows = [("1", 'Fever; "39" | é\n\t😷', "I10;E11.9"), ("2", "a,b", "")] * 3
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting)
    writer.writerows([("id", "te,xt", "codes", "the rest"), *((*row, "x") for row in rows)])
    path = tmp_path / "t.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    reading = Reading()
    columns = ("id", "te,xt", "codes")
    assert [row for chunk in reading.rows(path, columns) for row in chunk] == rows
    name = {",": None, ";": "semicolons", "\t": "tabs", "|": "vertical bars"}[separator]
    assert reading.choices == ({"columns of t.csv": f"separated by {name}"} if name else {})
    assert reading.hashes[path] == xxh3_128(path.read_bytes()).hexdigest()


def test_a_table_with_tabs_by_its_name_may_have_commas_in_its_header(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("a, b, c\td\n1\t2\n")
    assert everything(path, ("d",)) == [("2",)]


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "sep=|"])
def test_the_separator_that_excel_names_counts(tmp_path, line):
    path = tmp_path / "t.csv"
    separator = line.strip('"')[-1]
    path.write_text(f"{line}\r\na, b, c{separator}d\r\n1{separator}2\r\n", newline="")
    assert everything(path, ("d",)) == [("2",)]


@pytest.mark.parametrize(
    "header", ["a, b ,c", '"a"," b","c "', "\ufeff\ufeffa,\u200bb\u200b,c", "A,\xa0B\xa0,C"]
)
def test_columns_are_found_with_blanks_around_their_names(tmp_path, header):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n1,2,3\n")
    names = read_header(path)
    found = [names[place] for place in match_columns(path, names, ["a", "b", " C"])]
    assert everything(path, found) == everything(path, ("a", " b", "c")) == [("1", "2", "3")]


def test_no_message_has_a_note_of_a_table_without_a_header(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"7,Mr Longfellow has had a cough,{'x' * 61}\n")
    message = refused(path)
    assert message.endswith(
        "no column 'a'. Its columns are: 7. The first row has a longer text, but must have the "
        "names of the columns"
    )


def test_damaged_gzip_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(byte_stream, "BLOCK", 1000)
    rows = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n * 7919 % 10007) for n in range(20_000))
    whole = gzip.compress(rows)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    message = refused(path)
    assert "ends too early" in message
    assert "near line" in message
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


def test_a_skipped_bad_row_is_counted_and_the_first_is_reported(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'a,b\n1,2\n1\n3,\xe9\n4,a\0b\n5,"x"y\n6,7\n')
    reading = Reading(skip_bad_rows=True)
    assert [row for chunk in reading.rows(path, ("a",)) for row in chunk] == [("1",), ("6",)]
    assert reading.dropped == {"rows of t.csv that are no valid CSV": 4}
    assert reading.first_bad_row["t.csv"].startswith("line 3: 1 column, expected 2")
    assert reading.rows_read == {path: 6}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"4,a\0b", "line 20002: has a NUL byte"),
        (b"4,\xe9", "line 20002: not UTF-8 (byte 0xe9)"),
        (b"4", "line 20002: 1 column, expected 2"),
        (b'4,"x"y', "line 20002: not valid CSV"),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_the_line_of_a_bad_row_is_that_of_the_file_wherever_its_block_begins(
    tmp_path, monkeypatch, ending, row, message
):
    monkeypatch.setattr(byte_stream, "BLOCK", 1000)
    content = b"a,b\n" + b'1,"x\ny"\n' * 10_000 + row + b"\n5,6\n"
    path = tmp_path / f"t{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    assert message in refused(path)


def test_a_note_of_fifty_megabytes_is_read(tmp_path):
    path = tmp_path / "t.csv"
    note = 'a line of it, 60 characters long, with a comma and a "" quote\n' * 800_000
    path.write_text(f'a,b\n1,"{note}"\n2,"short"\n')
    assert everything(path, ("b",)) == [(note.replace('""', '"'),), ("short",)]


def test_a_quote_that_is_never_closed_does_not_take_the_file_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_window, "_LONGEST_ROW", 100_000)
    monkeypatch.setattr(byte_stream, "BLOCK", 10_000)
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,2\n3,"' + "x,y\n" * 100_000)
    assert "line 3: a row of more than" in refused(path)


def test_what_was_read_is_known_by_its_hash(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a\n1\n") + gzip.compress(b"2\n"))
    reading = Reading()
    assert [row for chunk in reading.rows(path, ("a",)) for row in chunk] == [("1",), ("2",)]
    assert reading.hashes == {path: xxh3_128(path.read_bytes()).hexdigest()}


def test_a_reading_that_is_given_up_ends_its_thread_and_knows_no_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(byte_stream, "BLOCK", 10)
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "1\n" * 1000)
    reading = Reading()
    chunks = reading.rows(path, ("a",))
    next(chunks)
    chunks.close()
    assert reading.hashes == {}
    assert not [thread for thread in threading.enumerate() if "t.csv" in thread.name]


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_a_disk_that_fails_is_reported_once_with_the_line_and_ends_the_thread(
    tmp_path, monkeypatch, ending
):
    monkeypatch.setattr(byte_stream, "BLOCK", 1000)
    rows = b"a,b\n" + b"".join(b'%d,"%d\n%d"\n' % (n, n, n * n) for n in range(20_000))
    path = tmp_path / f"t{ending}"
    path.write_bytes(gzip.compress(rows) if ending.endswith("gz") else rows)
    plain = byte_stream._Hashed.readinto

    def failing(self, buffer):
        if self._stream.position > 20_000:
            raise OSError(errno.EIO, "Input/output error")
        return plain(self, buffer[:1000])

    monkeypatch.setattr(byte_stream._Hashed, "readinto", failing)
    reading, kept = Reading(), 0
    with pytest.raises(DataError) as problem:
        for chunk in reading.rows(path, ("b",)):
            kept += len(chunk)
    assert re.fullmatch(
        rf"{re.escape(str(path))}, near line \d+: can't be read \(Input/output error\)",
        str(problem.value),
    )
    assert 0 < kept < 20_000
    assert reading.hashes == {}
    assert not [thread for thread in threading.enumerate() if path.name in thread.name]


@pytest.mark.parametrize("room", [0, 5, 1 << 18])
def test_rows_of_all_lengths_are_read_across_blocks(tmp_path, monkeypatch, room):
    monkeypatch.setattr(byte_stream, "BLOCK", 4096)
    monkeypatch.setattr(byte_stream, "ROOM", room)
    notes = [
        "".join(f'{n}, "line"\r\n' for n in range(length))
        for length in (1, 2000, 0, 3, 300, 0, 0, 900, 1, 20_000, 2, 2, 2, 400)
    ]
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *enumerate(notes)])
    rows = [(str(number), note) for number, note in enumerate(notes)]
    assert everything(path, ("a", "b")) == rows
    assert everything(path, ("b", "a"))[-1] == (notes[-1], "13")


def test_zlib_replaces_isal(tmp_path, monkeypatch):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a\n" + b"1\n" * 1000))
    monkeypatch.setitem(sys.modules, "isal.igzip", None)
    try:
        importlib.reload(byte_stream)
        assert byte_stream.GzipFile is gzip.GzipFile
        with byte_stream.ByteStream(path).blocks() as blocks:
            assert sum(map(len, blocks)) == 2002
    finally:
        monkeypatch.undo()
        importlib.reload(byte_stream)
