"""Codes as newcomers have them, through every command that reads codes: read, or one message."""

import json

import pytest

from icdcli.icd.editions.catalog import VARIABLE

CODES = ["I10", "E11.9", "J18.9", "I48.91", "N39.0", "K21.9", "F32.9", "M54.50", "A41.9", "R07.9"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "imported"))


def notes(tmp_path, *cells):
    path = tmp_path / "notes.jsonl"
    splits = ("train", "train", "validation", "test")
    rows = [
        {"text": f"Note {number}", "codes": cell, "split": splits[number % 4]}
        for number, cell in enumerate([*cells, *CODES])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def codes(tmp_path, cell):
    path = tmp_path / "codes.jsonl"
    path.write_text(json.dumps({"id": "n1", "codes": cell}) + "\n")
    return path


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("e119; i10", ["E11.9", "I10"]),
        ("E119,I10|J189 N390", ["E11.9", "I10", "J18.9", "N39.0"]),
        ("ICD10: E11.9", ["E11.9"]),
        ("ICD-10-CM:E11.9; ICD-10-CM: I10", ["E11.9", "I10"]),
        ("E11.9 Type 2 diabetes mellitus without complications", ["E11.9"]),
        ("I10 Essential hypertension; J18.9 Pneumonia", ["I10", "J18.9"]),
        (["e119", "I10 Hypertension"], ["E11.9", "I10"]),
    ],
)
def test_codes_that_can_be_read_are_read(icdcode, tmp_path, cell, found):
    path = notes(tmp_path, cell)
    answer = icdcode("prepare-data", path, "code_system=icd10", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["card"]["labels"]["count"] == len(CODES)  # no code besides the usual ones
    checked = icdcode("check", codes(tmp_path, cell), "--json")
    assert checked.code == 0, checked.err
    assert not [one for one in checked.json["findings"] if one["kind"] == "unknown"]
    first = cell if isinstance(cell, str) else cell[0]
    if len(found) == 1:
        assert icdcode("codes", "show", first, "--json").json["code"] == found[0]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("E10-E14", "'E10-E14' looks like a range of codes. Write each code of the range."),
        (250.0, "is float 250.0, and whether the code had more zeros can't be known: 250.0 may"),
        (428, "is int 428, and whether the code had more zeros can't be known"),
        ([250.0], "has 250.0. Write codes as strings, since numbers lose their zeros"),
        ("patient has I10 and so on", "is among words, so what is a code isn't clear."),
    ],
)
def test_codes_that_are_not_clear_are_refused_with_their_row(icdcode, tmp_path, cell, message):
    for answer, name in (
        (icdcode("prepare-data", notes(tmp_path, cell), "code_system=icd10"), "notes"),
        (icdcode("check", codes(tmp_path, cell)), "codes"),
    ):
        assert answer.code == 3
        assert f"{name}.jsonl, row 1, column 'codes': " in answer.err
        assert message in answer.err
        assert len(answer.err.splitlines()) == 1
    assert not list((tmp_path / ".icdcode").glob("table-*"))


def test_codes_of_another_system_are_named(icdcode, tmp_path):
    path = tmp_path / "notes.csv"
    cells = ["428.0", "401.9", "250.00", "486"] * 2
    rows = [f"Note {n},{cell},{'train' if n % 2 else 'validation'}" for n, cell in enumerate(cells)]
    path.write_text("\n".join(["text,codes,split", *rows]) + "\n")
    answer = icdcode("prepare-data", path, "code_system=icd10")
    assert answer.code == 3
    assert "has codes of ICD-9-CM: 4 of 4" in answer.err
    assert "Set code_system: icd9." in answer.err
    (finding,) = icdcode("check", codes(tmp_path, "428.0"), "--json").json["findings"]
    assert "it is a code of ICD-9-CM, version 32" in finding["words"]
    answer = icdcode("codes", "show", "428.0")
    assert answer.code == 2
    assert "code of ICD-9-CM, version 32 (its last): pass --edition icd9cm-32." in answer.err


def test_a_zero_that_a_program_has_dropped_is_guessed_but_not_added(icdcode, tmp_path):
    path = codes(tmp_path, "250.0; 486")
    (finding,) = icdcode("check", path, "--edition", "icd9", "--json").json["findings"]
    assert "250.00 is. It may have lost a zero." in finding["words"]
    answer = icdcode("codes", "show", "250.0", "--edition", "icd9cm")
    assert answer.code == 2
    assert "250.00 is. It may have lost a zero." in answer.err
    rows = [
        f"Note {n},{code},{'train' if n % 2 else 'validation'}"
        for n, code in enumerate(["250.0", "250.0", "486.0", "486.0", "401.9", "401.9"])
    ]
    (tmp_path / "notes.csv").write_text("\n".join(["text,codes,split", *rows]) + "\n")
    answer = icdcode("prepare-data", tmp_path / "notes.csv", "code_system=icd9")
    assert answer.code == 3
    assert "was saved as numbers: it has 486.0, which no code of ICD-9-CM is." in answer.err


@pytest.mark.parametrize("name", ["ICD10", "icd-10", "ICD-10-CM", "icd10cm-2026", "ICD_10_CM"])
def test_a_system_is_known_by_all_its_names(icdcode, tmp_path, name):
    answer = icdcode("prepare-data", notes(tmp_path), f"code_system={name}", "--json")
    assert answer.json["card"]["options"]["code_system"] == "icd10cm-2026-04"
    assert icdcode("codes", "show", "E11.9", "--edition", name).code == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "icd10cm-2025",
            "no edition 'icd10cm-2025' (did you mean 'icd10cm-2024'?). At hand are: icd10cm-2024, "
            "icd10cm-2026-04, icd10pcs-2024, icd9cm-32. `icdcode codes fetch icd10cm-2025` "
            "downloads it.",
        ),
        ("kcd-9", "no edition 'kcd-9'. At hand are: icd10cm-2024, icd10cm-2026-04, icd10pcs-2024"),
        ("icd10who", "Others are added with `icdcode codes import FILE --name NAME`."),
        ("file:gone.csv", "file:gone.csv: no such file in /"),
    ],
)
def test_an_edition_that_is_not_at_hand_is_named(icdcode, tmp_path, name, message):
    for answer in (
        icdcode("prepare-data", notes(tmp_path), f"code_system={name}"),
        icdcode("check", codes(tmp_path, "I10"), "--edition", name),
        icdcode("codes", "show", "I10", "--edition", name),
        icdcode("codes", "search", "fever", "--edition", name),
    ):
        assert answer.code == 2
        assert message in answer.err


def test_one_code_is_shown(icdcode):
    for given, message in (
        ("E11.9; I10", "'E11.9; I10' are 2 codes. Give one code."),
        ("E10-E14", "error: 'E10-E14' looks like a range of codes."),
        ("", "'' is no code. Give one code."),
        ("ZZZ", "'ZZZ' isn't in ICD-10-CM"),
    ):
        answer = icdcode("codes", "show", given)
        assert (answer.code, message in answer.err) == (2, True), answer.err
    assert icdcode("codes", "show", "E08-E13").code == 0  # a block of the edition


def test_a_table_of_codes_is_an_edition_of_every_command(icdcode, tmp_path):
    table = tmp_path / "own.csv"
    table.write_text("code,title\nA 1,First thing\nB-2,Second thing\n")
    edition = ("--edition", f"file:{table}")
    assert icdcode("codes", "show", "a 1", *edition, "--json").json["title"] == "First thing"
    found = icdcode("codes", "search", "second", *edition, "--json").json["codes"]
    assert [one["code"] for one in found] == ["B-2"]
    (finding,) = icdcode("check", codes(tmp_path, "A 1; B-2; C"), *edition, "--json").json[
        "findings"
    ]
    assert (finding["kind"], finding["codes"]) == ("unknown", ["C"])


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("a.csv", "", 3, "a.csv: is empty"),
        ("a.csv", "code,title\n", 3, "has a header but no rows"),
        ("a.csv", "code,title\nA,One\nB,Two\nA,Three\n", 3, "row 3: A has two titles, 'One' and"),
        ("a.csv", 'code,title\nA,One\n"B,broken\n', 3, "never closed. If the file was cut off"),
        ("a.csv", "code,title\nA,One\n,Two\n", 3, "row 2: no code"),
        ("a.csv", "icd,meaning\nA,One\n", 3, "no column named title"),
        ("a.csv", "code,title,parent\nA,One,C\n", 3, "A is below C, which isn't in the table"),
        ("a.csv", "code,title,parent\nA,One,B\nB,Two,A\n", 3, "are in a circle"),
        ("a.jsonl", '{"code": 250.0, "title": "x"}\n', 3, "a.jsonl, row 1: a code or title is the"),
        ("a.xml", "", 3, "a.xml: is empty"),
        ("a.xml", "<ICD10CM.tabular><chapter><desc>Cut", 3, "the XML is damaged or cut short"),
        ("a.xml", "<other/>", 2, "no known list of codes"),
        ("a.zip", "PK", 2, "no known list of codes"),
    ],
)
def test_tables_and_files_that_cannot_be_imported(icdcode, tmp_path, name, content, code, message):
    (tmp_path / name).write_text(content)
    answer = icdcode("codes", "import", tmp_path / name, "--name", "own-1")
    assert answer.code == code
    assert message in answer.err
    assert "--skip-bad-rows" not in answer.err  # `import` has no such option
    assert len(answer.err.splitlines()) == 1
    assert not list((tmp_path / "imported").glob("*"))
    if name.endswith(".csv"):
        used = icdcode("prepare-data", notes(tmp_path), f"code_system=file:{tmp_path / name}")
        assert (used.code, message in used.err) == (3, True)


def test_a_folder_and_a_missing_file_cannot_be_imported(icdcode, tmp_path):
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "gone.csv", "no such file")):
        answer = icdcode("codes", "import", path, "--name", "own-1")
        assert (answer.code, message in answer.err) == (2, True)
