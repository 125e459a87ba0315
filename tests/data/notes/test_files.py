import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icdcli.data.notes import tables as note_tables
from icdcli.data.notes import text as note_text
from icdcli.data.notes.files import find_notes
from icdcli.errors import ConfigError, DataError
from icdcli.io.tables import objects

SECRET = "Mr Longfellow drinks"
ROWS = [("0012", f'{SECRET}, "daily"\nand smokes'), ("x", "Fieber, Übelkeit 😷"), ("7", "")]


def write(path, rows, columns=("id", "text")):
    """Write a table in the format of its name."""
    name = path.name.lower()
    if ".csv" in name or ".tsv" in name:
        comma = "," if ".csv" in name else "\t"
        lines = [
            comma.join(columns),
            *(comma.join('"' + value.replace('"', '""') + '"' for value in row) for row in rows),
        ]
        content = "\n".join(lines).encode()
    elif name.removesuffix(".gz").endswith(".json"):
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        content = json.dumps(records, indent=1).encode()
    elif "json" in name:
        content = "\n".join(
            json.dumps(dict(zip(columns, row, strict=True))) for row in rows
        ).encode()
    else:
        pq.write_table(
            pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))), path
        )
        return path
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def read(*names, standard_input=b"", **columns):
    notes = find_notes([str(name) for name in names], standard_input, **columns)
    found = [(note.id, note.text) for note in notes]
    assert notes.check() == len(found)
    assert [(note.id, note.text) for note in notes] == found
    return found


@pytest.fixture
def refused(tmp_path):
    """Check that notes are refused with these words, and without those of the patient."""

    def check(content, *says, name="note.txt", kind=DataError, **columns):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(kind) as caught:
            find_notes([str(path)], **columns).check()
        message = str(caught.value)
        assert SECRET not in message and all(part in message for part in says), message
        assert caught.value.__cause__ is None

    return check


@pytest.mark.parametrize(
    "name",
    [
        *("n.csv", "n.csv.gz", "n.tsv", "n.jsonl", "n.jsonl.gz", "n.ndjson", "n.json", "n.json.gz"),
        *("n.parquet", "N.CSV"),
    ],
)
def test_every_kind_of_table_gives_the_same_notes(tmp_path, name):
    assert read(write(tmp_path / name, ROWS)) == ROWS
    other = write(tmp_path / f"other-{name}", ROWS, ("Key", "Note"))
    assert read(other, text_column="note") == [
        (str(row), text) for row, (_, text) in enumerate(ROWS, 1)
    ]
    assert read(other, text_column="Note", id_column="key") == ROWS


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("separator", [", ", "\t", ";", "|"])
def test_tables_as_programs_of_hospitals_write_them(tmp_path, encoding, separator):
    content = f"id{separator}text\n7{separator.strip(' ')}Übel\n"
    (tmp_path / "n.csv").write_bytes(content.encode(encoding))
    assert read(tmp_path / "n.csv") == [("7", "Übel")]
    (tmp_path / "n.ndjson").write_bytes('{"id": "7", "text": "Übel"}\n'.encode(encoding))
    assert read(tmp_path / "n.ndjson") == [("7", "Übel")]


def test_a_key_that_an_object_omits_is_an_empty_cell(tmp_path):
    (tmp_path / "n.jsonl").write_text('{"id": "1"}\n{"id": "2", "text": "b"}\n')
    (tmp_path / "n.json").write_text('[{"id": "1"}, {"id": "2", "text": "b"}]')
    (tmp_path / "n.csv").write_text("id,text\n1,\n2,b\n")
    for name in ("n.jsonl", "n.json", "n.csv"):
        assert read(tmp_path / name) == [("1", ""), ("2", "b")]


@pytest.mark.parametrize("buffer", [1, 7, 1 << 20])
def test_many_rows_keep_their_order(tmp_path, monkeypatch, buffer):
    monkeypatch.setattr(objects, "_LINES_BUFFER", buffer)
    rows = [(f"{number:05}", f'"no\te" {number} é') for number in range(60)]
    for name in ("n.csv", "n.jsonl", "n.json", "n.parquet"):
        assert read(write(tmp_path / name, rows)) == rows


_WRITES_VIEWS = pytest.mark.skipif(
    int(pa.__version__.split(".")[0]) < 21, reason="pyarrow writes views from 21 on"
)
_STRINGS = [
    pa.large_string(),
    pytest.param(pa.string_view(), marks=_WRITES_VIEWS),
    pa.dictionary(pa.int32(), pa.string()),
]


@pytest.mark.parametrize("kind", _STRINGS, ids=str)
def test_parquet_of_other_string_types(tmp_path, kind):
    table = pa.table({"text": pa.array(["one", None, "two"], kind), "id": [1, 2, 3]})
    pq.write_table(table, tmp_path / "n.parquet")
    assert read(tmp_path / "n.parquet") == [("1", "one"), ("2", ""), ("3", "two")]


def test_text_files_and_folders(tmp_path):
    folder = tmp_path / "notes"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "2.TXT").write_text("two")
    (folder / "a.txt").write_text("one\r\n", newline="")
    (folder / "empty.txt").touch()
    (folder / ".hidden.txt").write_text("no")
    (folder / "readme.md").write_text("no")
    (folder / "again").symlink_to(folder)
    assert read(folder) == [("a.txt", "one\r\n"), ("b/2.TXT", "two"), ("empty.txt", "")]
    single = folder / "readme.md"
    assert read(single) == [(str(single), "no")]


def test_the_usual_id_counts_with_invisible_signs_around_it(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("\ufeff\ufeffID,\u200btext\nn7,x\n", encoding="utf-8")
    assert read(path) == [("n7", "x")]


def test_ids_of_several_files_differ(tmp_path):
    first, second = (
        write(tmp_path / "1.csv", ROWS[:1]),
        write(tmp_path / "2.jsonl", [["t"]], ["text"]),
    )
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "x.txt").write_text("x")
    found = read(first, f"{tmp_path / 'f'}/", second, "-", standard_input=b"in")
    assert [id for id, _ in found] == [
        f"{first}:0012",
        f"{tmp_path / 'f'}/x.txt",
        f"{second}:1",
        "-",
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are(tmp_path, encoding):
    (tmp_path / "n.txt").write_bytes("Übelkeit 😷".encode(encoding))
    assert read(tmp_path / "n.txt")[0][1] == "Übelkeit 😷"


def test_text_that_cannot_be_read(refused, monkeypatch):
    refused(b"", "note.txt: is empty")
    refused(b" \n\t", "is empty")
    refused(
        f"{SECRET} ".encode() + b"ma\xf1ana",
        "not UTF-8 (byte 0xf1 at 23)",
        "iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW_FILE",
        "Or set encoding=cp1252 (predict: --encoding cp1252)",
    )
    refused("고혈압 환자".encode("cp949"), "iconv -f CP949 -t UTF-8 FILE > NEW_FILE")
    refused(b"caf\x81", "byte 0x81", "iconv -f ENCODING -t UTF-8 FILE > NEW_FILE")
    refused(SECRET.encode() + b"\0", "is binary (it has zero bytes)")
    refused("no mark".encode("utf-16-le"), "or UTF-16 without a byte order mark")
    refused(b"\xff\xfea", "not UTF-16-LE")
    refused(b"%PDF-1.7 ...", "note.txt: can't be read as PDF")
    refused(b"text\n<p>a</p>", "n.csv, row 1: is HTML, not plain text", name="n.csv")
    refused(b"PK\x03\x04", "is a damaged Word document or archive")
    refused(None, "no such file or folder", name="gone.txt")
    monkeypatch.setattr(note_text, "LONGEST", 30)
    refused(SECRET.encode() * 2, "has more than 30 characters", "make it a table")


def test_a_file_of_many_megabytes_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "n.txt"
    path.write_bytes(b"fever " * 9_000_000)
    with pytest.raises(DataError, match="more than 10,000,000 characters"):
        find_notes([str(path)]).check()


def test_tables_that_cannot_be_read(refused, monkeypatch):
    refused(b"", "is empty", name="n.csv")
    refused(b"", "is empty", name="n.jsonl")
    refused(b"", "can't be read as a Parquet file", name="n.parquet")
    refused(b"PAR1" + SECRET.encode(), "can't be read as a Parquet file", name="n.parquet")
    refused(
        b"txt,id\na,1\n",
        "no column 'text' (did you mean 'txt'?)",
        "Its columns are: txt, id",
        name="n.csv",
    )
    refused(
        b'{"Noten": "a"}',
        "no column 'note' (did you mean 'Noten'?)",
        name="n.jsonl",
        text_column="note",
    )
    refused(b"text\na\n", "no column 'key'", name="n.csv", id_column="key")
    refused(b"id,text\n1,a\n2,b,c\n", "n.csv, line 3: ", name="n.csv")
    refused(b"text\n\xfc\n", "n.csv", "UTF-8", name="n.csv")
    refused(b'text\n"never closed', "never closed", name="n.csv")
    refused("text\na\n".encode("utf-16-le"), "UTF-16 without a byte order mark", name="n.csv")
    refused(b"\xff\xfea", "n.jsonl: begins as UTF-16 or UTF-32, but isn't", name="n.jsonl")
    refused(b"text\na\x96b", "iconv -f WINDOWS-1252 -t UTF-8 FILE", name="n.csv")
    refused(
        b'{"text": "a"}\n{"text": 5}', "row 2, column 'text': is int, not a text", name="n.jsonl"
    )
    refused(
        b'{"text": "a", "id": 1.5}',
        "row 1, column 'id': is float. Write ids as strings",
        name="n.jsonl",
    )
    refused(b'{"text": "a", "id": null}', "row 1, column 'id': is empty", name="n.jsonl")
    refused(f'{{"text": "{SECRET}"'.encode(), "n.jsonl, line 1: not JSON", name="n.jsonl")
    refused(
        f'{{"text": "{SECRET}\\ud800"}}'.encode(),
        "row 1: isn't valid Unicode (half a character at 20)",
        name="n.jsonl",
    )
    refused(
        b'{"text": "a"}\n["b"]',
        "line 2: is list, not an object. Write one object per line",
        name="n.jsonl",
    )
    refused(b'{"a":' * 100_000, "line 1: not JSON that can be read", name="n.jsonl")
    refused(b'[{"a":' * 100_000, "object 1: not JSON that can be read", name="n.json")
    refused(b'{"text": "a"}\n\xff', "line 2: not UTF-8 (byte 0xff)", name="n.jsonl")
    refused(gzip.compress(b"{}"), "n.jsonl: is compressed with gzip. Rename it", name="n.jsonl")
    refused(gzip.compress(gzip.compress(b"{}")), "is compressed twice", name="n.jsonl.gz")
    refused(b"PAR1", "n.jsonl: is a Parquet file. Rename it to NAME.parquet", name="n.jsonl")
    refused(b"[]", "n.json: is empty. Write an array of objects", name="n.json")
    refused(b"[", "n.json, object 1: is not an object", name="n.json")
    refused(b"[1, 2]", "object 1: is not an object", name="n.json")
    refused(b'[{"text": "a"}, 2]', "object 2: is not an object", name="n.json")
    refused(b'[{"text": "a"} {"text": "b"}]', "object 2: the array isn't continued", name="n.json")
    refused(b'[{"text": "a", "text": "b"}]', "object 1: has the same key twice", name="n.json")
    refused(b'[{"text": "a"}', "object 2: the array isn't continued or closed", name="n.json")
    refused(b'[{"text": "a"}] []', "object 2: the array isn't", name="n.json")
    refused(b'[{"text": "a"}, {"text": "b', "object 2: not JSON (Unterminated", name="n.json")
    refused(b'[{"text": x, "a": "' + b"a" * 9_000_000, "object 1: not JSON", name="n.json")
    refused(b'[{"text": "\xe9"}]', "object 1: not UTF-8 (byte 0xe9). Save it", name="n.json")
    refused(b'{"a": [\n{"text": "a"}]}', "or one array of objects", name="n.json")
    refused(gzip.compress(b'{"text": "a"}' * 99)[:-9], "ends too early", name="n.jsonl.gz")
    refused(b"no gzip", "not a gzip file", name="n.jsonl.gz")
    refused(
        b'{"text": "a"}\n{"text": "b", "ID": 3}',
        "row 1, column 'ID': is empty. Write ids as strings",
        name="n.jsonl",
    )
    refused(
        b'{"text": "a", "id": "\\ud800"}', "row 1, column 'id': isn't valid Unicode", name="n.jsonl"
    )
    refused(
        b"text,id,text\na,1,b\n",
        "has 2 columns 'text' (upper and lower case are the same). Rename all but one",
        name="n.csv",
    )
    refused(b"Text,TEXT\n,b\n", "has 2 columns 'text' (upper and lower case", name="n.csv")
    refused(
        b'{"text": "a"}\n{"Text": "b"}',
        "row 2: has 'Text', other rows have 'text'. Use one spelling",
        name="n.jsonl",
    )
    refused(
        f"id,text\n7,{SECRET}\n8,b\n7,c\n".encode(),
        "n.csv, row 3, column 'id': is the same as in row 1, but ids must be unique",
        "Pass --id-column with a column of unique ids, or rename this column",
        name="n.csv",
    )
    refused(
        b'{"id": 7, "text": "a"}\n{"id": "7", "text": "b"}', "row 2, column 'id'", name="n.jsonl"
    )
    refused(b"text,id,id\na,1,b\n", "has 2 columns 'id'", name="n.csv")
    refused(
        b'{"text": ""}\n{"text": null}', "n.jsonl: none of the notes has any text", name="n.jsonl"
    )
    monkeypatch.setattr(note_tables, "_LONGEST_LINE", 30)
    refused(b'{"text": "' + b"a" * 30 + b'"}', "line 1: is longer than", name="n.jsonl")


def test_two_columns_of_one_name(tmp_path):
    pq.write_table(
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]),
        tmp_path / "n.parquet",
    )
    with pytest.raises(DataError, match="has 2 columns 'text'"):
        find_notes([str(tmp_path / "n.parquet")]).check()


def test_a_column_of_numbers_is_no_text(tmp_path):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "n.parquet")
    with pytest.raises(DataError, match="column 'text': has int64, not texts"):
        find_notes([str(tmp_path / "n.parquet")]).check()


def test_arguments_that_make_no_sense(refused, tmp_path):
    refused(b"a", "Give a table", kind=ConfigError, text_column="note")
    with pytest.raises(ConfigError, match="is given twice"):
        find_notes(["-", "-"])
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"has no notes. Notes are files that end in .txt"):
        find_notes([str(tmp_path / "folder")])
    write(tmp_path / "folder" / "codes.csv", ROWS)
    with pytest.raises(
        DataError, match=r"has no notes. It has tables. Give their names, such as .*codes.csv"
    ):
        find_notes([str(tmp_path / "folder")])


def test_standard_input_has_a_text():
    with pytest.raises(DataError, match="standard input: is empty"):
        find_notes(["-"], b" ").check()


def test_the_state_changes_with_names_columns_and_files(tmp_path):
    path = write(tmp_path / "n.csv", [("a", "b")])
    seen = {find_notes([str(path)], text_column=column).state for column in ("text", "id")}
    seen |= {
        find_notes([str(path), "-"], b"x").state,
        find_notes(["-"], b"x").state,
        find_notes(["-"], b"y").state,
    }
    assert find_notes([str(path)]).state in seen
    write(path, ROWS)
    seen |= {find_notes([str(path)]).state}
    assert len(seen) == 6


@given(
    st.binary(max_size=200),
    st.sampled_from(
        ["n.txt", "n.csv", "n.tsv", "n.jsonl", "n.jsonl.gz", "n.json", "n.xlsx", "n.parquet"]
    ),
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_read_or_refused(tmp_path, content, name):
    path = tmp_path / name
    for start in (b"", b"text\n", b'{"text": "', b'[{"text": "'):
        path.write_bytes(start + content)
        message = None
        try:
            notes = [note.text for note in find_notes([str(path)])]
        except DataError as error:
            message = str(error)
        if message is not None:
            assert message.startswith(str(path))
        else:
            assert all(isinstance(text, str) for text in notes)


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
        min_size=1,
        max_size=5,
    )
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text_comes_through(tmp_path, texts):
    for name in ("n.csv", "n.tsv", "n.jsonl", "n.json", "n.parquet"):
        rows = [(str(number), text) for number, text in enumerate(texts)]
        assert [
            (note.id, note.text) for note in find_notes([str(write(tmp_path / name, rows))])
        ] == rows


def test_a_table_under_another_name_is_no_note(refused):
    refused(b"id,note\n7,a\n", "note.dat: looks like a table", "ends in .csv", name="note.dat")
    refused("id\tnote\n7\ta\n".encode("utf-16"), "looks like a table", name="note.txt")


def test_files_whose_names_are_no_text_are_notes_of_their_own(tmp_path):
    for name, content in ((b"a\xff.txt", b"fever"), (b"a\xfe.txt", b"cough")):
        with open(bytes(tmp_path) + b"/" + name, "wb") as file:
            file.write(content)
    assert read(tmp_path) == [("a\\xfe.txt", "cough"), ("a\\xff.txt", "fever")]
