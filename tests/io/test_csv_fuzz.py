"""Fuzzing the CSV reader: it must agree with Python's csv module."""

import csv
import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from icdcli.errors import DataError
from icdcli.io import byte_stream, csv_window
from icdcli.io.csv_reader import Reading
from icdcli.io.csv_scan import Examined, Examiner, joined, scan

FIELD = st.text(st.sampled_from('a,"\n\r é€\U0001f600\x01 0;\t'), max_size=12)
WIDTH = 3


def by_csv(content: bytes, skip: bool, comma: str = ",") -> list[tuple[str, ...]] | None:
    """Return the rows after the header; None for an error that isn't to be skipped."""
    rows = []
    lines = content.splitlines(keepends=True)
    decoded = (line.decode("utf-8", "surrogateescape") for line in lines)
    reader = csv.reader(decoded, strict=True, delimiter=comma)
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            row = ["wrong"]
        if row is None:
            return rows[1:]
        if row:
            try:
                "".join(row).encode()
            except UnicodeEncodeError:
                row = ["wrong"]
        if row and (len(row) != WIDTH or "\0" in "".join(row)):
            if not skip:
                return None
            continue
        if row:
            rows.append(tuple(row))


def by_us(path, skip: bool) -> list[tuple[str, ...]] | None:
    columns = ("x", "y", "z")
    try:
        rows = [row for chunk in Reading(skip_bad_rows=skip).rows(path, columns) for row in chunk]
        notes = [row for chunk in Reading(skip_bad_rows=skip).notes(path, columns) for row in chunk]
    except DataError as error:
        message = str(error)
    else:
        assert notes == [(*row[:-1], row[-1].encode()) for row in rows]
        return rows
    assert str(path) in message
    return [] if "has a header but no rows" in message else None


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "t.csv"


@pytest.fixture(params=[1, 7, 64, 1 << 20], scope="module")
def block(request):
    with pytest.MonkeyPatch.context() as patch:
        # A few of these bytes look like windows-1252, which csv doesn't recognize.
        patch.setattr(byte_stream, "_recognized", lambda _path: None)
        patch.setattr(byte_stream, "BLOCK", request.param)
        patch.setattr(byte_stream, "ROOM", request.param // 2)
        for module in (byte_stream, csv_window):
            patch.setattr(module, "PIECE", max(request.param // 3, 1))
        yield request.param


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(FIELD, min_size=WIDTH, max_size=WIDTH), max_size=6),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    end=st.sampled_from(["\n", "\r\n"]),
    comma=st.sampled_from(",;\t|"),
)
def test_what_csv_writes_is_read_as_it_was(path, block, rows, quoting, end, comma):
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=end, delimiter=comma)
    writer.writerows([["x", "y", "z"], *rows])
    path.write_bytes(text.getvalue().encode())
    assert by_us(path, False) == by_csv(path.read_bytes(), False, comma)
    if (
        quoting == csv.QUOTE_ALL
    ):  # csv doesn't quote a lone carriage return, and reads it as a line end
        assert by_us(path, False) == [tuple(row) for row in rows]


@settings(max_examples=120, deadline=None)
@given(
    content=st.lists(
        st.sampled_from(
            [b"a", b",", b'"', b"\n", b"\r", b"\r\n", b"\xe9", b"\0", b"\xc3\xa9", b'","', b',"']
        ),
        max_size=40,
    )
)
@example(content=[b"a,", b'"', b"b", b'"', b",c\n", b'"', b"never closed,,\n"])
@example(content=[b",,", b"\r", b",,\n"])
@example(content=[b'a"b,c,d\n', b'"x","y","z"\n'])
@example(content=[b"a", b"\xe9", b",", b","])
@pytest.mark.parametrize("skip", [False, True])
def test_any_bytes_mean_what_they_mean_to_csv(path, block, content, skip):
    path.write_bytes(b"x,y,z\n" + b"".join(content))
    assert by_us(path, skip) == by_csv(path.read_bytes(), skip)


@given(
    rows=st.lists(
        st.lists(st.text(st.sampled_from('ab,"\n '), max_size=9), min_size=WIDTH, max_size=WIDTH),
        min_size=1,
        max_size=5,
    )
)
def test_regular_rows_take_the_fast_way(rows):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    block = np.frombuffer(text.getvalue().encode(), dtype=np.uint8)
    found = scan(block, WIDTH)
    assert found is not None
    assert found.consumed == len(block)
    assert found.edges_RE.shape == (len(rows), WIDTH + 1)


@given(
    content=st.lists(st.sampled_from([b'"', b"a", b"\n", b"\0", b"\x7f", b"\xc3\xa9", b"\xe9"])),
    edges=st.lists(st.integers(0, 60), max_size=4),
)
def test_pieces_are_examined_as_the_whole(content, edges):
    data = np.frombuffer(b"".join(content), dtype=np.uint8)
    examiner = Examiner()
    cuts = [0, *sorted(min(edge, len(data)) for edge in edges), len(data)]
    pieces = [data[start:stop] for start, stop in pairwise(cuts)]
    quotes, is_ascii = joined([(len(piece), examiner(piece)) for piece in pieces])
    assert quotes.tolist() == [place for place, byte in enumerate(data) if byte == ord('"')]
    assert is_ascii == (data.tobytes().isascii() and 0 not in data)


@given(
    st.lists(
        st.one_of(
            st.sampled_from("a é€\U0001f600\uffff").map(str.encode),
            st.sampled_from([b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe0\x80\xaf"]),
            st.binary(min_size=1, max_size=3),
        ),
        max_size=40,
    )
)
def test_text_is_what_python_decodes(content):
    text = b"".join(content).replace(b'"', b"").replace(b"\0", b"").translate(None, b"\n\r,")
    data = np.frombuffer(b"a," + text + b",c\n", dtype=np.uint8)
    try:
        data.tobytes().decode()
        valid = True
    except UnicodeDecodeError:
        valid = False
    no_quotes = np.empty(0, dtype=np.int64)
    assert (scan(data, WIDTH, Examined(no_quotes, False)) is not None) == valid
