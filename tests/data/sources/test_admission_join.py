from collections import Counter

import pytest

from icdcli.data.benchmarks.protocols import at_least, most_frequent
from icdcli.data.encounters import notes_aside
from icdcli.data.encounters.boundaries import NoteBoundary
from icdcli.data.encounters.joining import NoteAbout
from icdcli.data.encounters.notes_aside import NotesAside
from icdcli.data.sources.admission import Code
from icdcli.data.sources.admission_join import AdmissionCodes, join_admissions, whole_id
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading

A, B, C = Code("A00", "diagnosis"), Code("B00", "diagnosis"), Code("B00", "procedure")


@pytest.fixture
def codes_of(tmp_path_factory):
    """Write a table of (admission, code) and read it."""

    def read(*pairs, reading=None, spell=None):
        table = tmp_path_factory.mktemp("codes") / "codes.csv"
        table.write_text(
            "id,code\n" + "".join(f"{id},{code.code}/{code.kind}\n" for id, code in pairs)
        )
        codes = AdmissionCodes()
        codes.read(
            reading or Reading(),
            table,
            ("id", "code"),
            spell or (lambda raw: Code(*raw.split("/"))),
        )
        return codes

    return read


def test_rows_without_a_code_or_an_admission_are_counted_by_reason(codes_of):
    reading = Reading()
    codes = codes_of(
        ("1", A), ("2", B), ("2", B), ("", A), ("3", C), reading=reading,
        spell=lambda raw: Code(*raw.split("/")) if raw.startswith("A") else f"not {raw[0]}",
    )  # fmt: skip
    assert codes.admissions == {"1"}
    assert reading.dropped == {"not B": 3, "rows of codes without id": 1}


def join(tmp_path, notes, codes, keep=None, published=True):
    reading = Reading()
    encoded = (
        (subject, admission, NoteAbout(str(number)), text.encode())
        for number, (subject, admission, text) in enumerate(notes)
    )
    found = join_admissions(reading, encoded, codes, keep, tmp_path, published=published)
    return list(found), reading.dropped


@pytest.mark.parametrize("buffer", [1, 100, 1 << 20])
@pytest.mark.parametrize("system", ["here", "one without pread"])
def test_notes_far_apart_are_joined_in_file_order(tmp_path, codes_of, monkeypatch, system, buffer):
    monkeypatch.setattr(notes_aside, "_BUFFER", buffer)
    if system != "here":
        monkeypatch.delattr("os.pread")  # Windows
    notes = [
        ("s", "1", "first"),
        *(("t", str(n), f"note {n} é") for n in range(2, 5000)),
        ("", "1", "last"),
    ]
    codes = codes_of(*((str(n), A) for n in range(1, 5000)))
    admissions, _ = join(tmp_path, notes, codes)
    assert [admission.id for admission in admissions] == [str(n) for n in range(1, 5000)]
    assert (admissions[0].text, admissions[0].subject_id) == ("first\nlast", "s")
    assert admissions[0].notes == (
        NoteBoundary("0", None, None, 0, 5), NoteBoundary("4999", None, None, 6, 10)
    )  # fmt: skip
    assert admissions[4998].text == "note 4999 é"
    assert not list(tmp_path.iterdir())


def test_what_is_put_aside_is_private_and_gone_afterwards(tmp_path):
    with pytest.raises(KeyError), NotesAside(tmp_path) as aside:
        aside.add("1", None, b"x", NoteAbout("7"))
        (path,) = tmp_path.iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        aside.notes("2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "blank"), [
    ("", True), ("\t\n ", True), ("\u2003\xa0\x1f" * 100, True),
    (" " * 500 + "x", False), ("\xa0" * 500 + "é", False),
])  # fmt: skip
def test_a_note_of_nothing_but_white_space_of_any_script_is_without_text(
    tmp_path, codes_of, text, blank
):
    admissions, dropped = join(tmp_path, [("s", "1", text)], codes_of(("1", A)))
    assert [admission.text for admission in admissions] == [text] * (not blank)
    assert dropped["discharge notes without text"] == blank


def test_a_code_counts_once_an_admission_and_only_over_those_with_a_note(tmp_path, codes_of):
    codes = codes_of(("1", A), ("1", A), ("1", B), ("2", B), ("3", A), ("3", A), ("1", C))
    assert codes.of(["1", "2", "9"]) == {"1": {A, B, C}, "2": {B}}
    seen = []
    codes.of(["1", "2"], lambda counts: seen.append(counts) or set())
    assert seen == [Counter({A: 1, B: 2, C: 1})]
    admissions, dropped = join(
        tmp_path, [("s", "1", "x"), ("s", "2", " \n"), ("s", "", "x")], codes, at_least(2)
    )
    assert admissions == []
    assert dropped == {
        "discharge notes without text": 1,
        "discharge notes without an admission's id": 1,
        "admissions without any of the protocol's codes": 1,
        "admissions with codes but no note": 2,
    }


def test_filters_choose_codes_by_count_and_ties_by_name():
    counts = Counter({A: 3, B: 2, C: 2, Code("Z", "diagnosis"): 2})
    assert most_frequent(2)(counts) == {A, B}
    assert most_frequent(9)(counts) == set(counts)
    assert at_least(3)(counts) == {A}


@pytest.mark.parametrize(
    ("written", "id"),
    [
        ("145834", "145834"),
        ("145834.0", "145834"),
        ("1e+05", "100000"),
        ("2e+07", "20000000"),
        ("1e+05x", "1e+05x"),
        ("12e+05", "12e+05"),
        ("a.0", "a.0"),
    ],
)
def test_ids_that_pandas_or_r_wrote_as_numbers_are_those_of_mimic(written, id):
    assert whole_id(written) == id


def test_an_admission_of_two_patients_is_refused_but_of_benchmarks(tmp_path, codes_of):
    notes = [("s", "1", "first"), ("t", "1", "second"), ("", "2", "first"), ("u", "2", "second")]
    codes = codes_of(("1", A), ("2", B))
    found, _ = join(tmp_path, notes, codes)
    assert [one.subject_id for one in found] == ["s", None]
    with pytest.raises(DataError, match="admission 1: has notes of two patients, s and t"):
        join(tmp_path, notes, codes, published=False)
    (later,), _ = join(tmp_path, notes[2:], codes, published=False)
    assert later.subject_id == "u"
