import csv
import gzip
from pathlib import Path

import pytest

from icdcli.data.synthetic import generator as demo
from icdcli.data.synthetic.conditions import BY_CODE
from icdcli.data.synthetic.generator import write_demo_data, write_demo_table, write_notes_for
from icdcli.data.synthetic.tables import COLUMNS
from icdcli.errors import ConfigError, DataError
from icdcli.icd.codes import dotted

SHARED_TABLES = Path(__file__).parents[3].parent / "shared" / "data" / "mimic3-demo"
needs_shared_tables = pytest.mark.skipif(
    not SHARED_TABLES.is_dir(), reason="the public MIMIC-III demo tables are not here"
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, demo.DemoSummary]:
    folder = tmp_path_factory.mktemp("demo") / "tables"
    return folder, write_demo_data(folder, admissions=300, seed=1)


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with gzip.open(folder / f"{name}.csv.gz", "rt", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# --- the tables


def test_tables_have_the_columns_of_mimic3(written: tuple[Path, demo.DemoSummary]) -> None:
    folder, _ = written
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}.csv.gz" for name in COLUMNS
    )
    for name, columns in COLUMNS.items():
        rows = read(folder, name)
        assert list(rows[0]) == columns.split()
        assert [row["ROW_ID"] for row in rows] == [
            str(number) for number in range(1, len(rows) + 1)
        ]
        assert all(None not in row and None not in row.values() for row in rows)


def test_oddities_of_the_real_tables_are_there(written: tuple[Path, demo.DemoSummary]) -> None:
    folder, _ = written
    notes, admissions = read(folder, "NOTEEVENTS"), read(folder, "ADMISSIONS")
    summaries = [row for row in notes if row["CATEGORY"] == "Discharge summary"]
    reports = {
        row["HADM_ID"]: int(row["ROW_ID"]) for row in summaries if row["DESCRIPTION"] == "Report"
    }
    addenda = {
        row["HADM_ID"]: int(row["ROW_ID"]) for row in summaries if row["DESCRIPTION"] == "Addendum"
    }
    assert addenda
    assert all(
        reports[hadm_id] + 10 < place
        for hadm_id, place in addenda.items()
        if hadm_id != max(reports)
    )
    assert all(row["HADM_ID"] for row in summaries)
    assert any(not row["HADM_ID"] for row in notes)
    assert {"Radiology", "Nursing/other", "ECG"} <= {row["CATEGORY"] for row in notes}
    assert any('"' in row["TEXT"] and "\n" in row["TEXT"] for row in summaries)
    coded = {
        row["HADM_ID"] for name in ("DIAGNOSES_ICD", "PROCEDURES_ICD") for row in read(folder, name)
    }
    every = {row["HADM_ID"] for row in admissions}
    assert coded < every
    assert reports.keys() < every
    assert len({row["SUBJECT_ID"] for row in admissions}) < len(admissions)


def test_one_table_has_the_notes_and_codes_of_the_tables(
    written: tuple[Path, demo.DemoSummary], tmp_path: Path
) -> None:
    folder, _ = written
    texts, codes = {}, {}
    for row in read(folder, "NOTEEVENTS"):
        if row["CATEGORY"] == "Discharge summary":
            texts.setdefault(row["HADM_ID"], []).append(row["TEXT"])
    for name, kind in (("DIAGNOSES_ICD", "diagnosis"), ("PROCEDURES_ICD", "procedure")):
        for row in read(folder, name):
            code = dotted(row["ICD9_CODE"], kind, "icd9")
            codes.setdefault(row["HADM_ID"], []).append(code)
    subjects = {row["HADM_ID"]: row["SUBJECT_ID"] for row in read(folder, "ADMISSIONS")}
    summary = write_demo_table(tmp_path / "new", admissions=300, seed=1)
    assert summary.folder == tmp_path / "new" / "notes.csv"
    with summary.folder.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"]: row["note"] for row in rows} == {
        hadm_id: "\n".join(texts[hadm_id])
        for hadm_id in subjects
        if hadm_id in texts and hadm_id in codes
    }
    assert all(row["icd"].split(";") == codes[row["id"]] for row in rows)
    assert all(row["patient"] == subjects[row["id"]] for row in rows)
    assert summary.admissions == summary.documents == len(rows)
    before = summary.folder.read_bytes()
    with pytest.raises(ConfigError, match=r"notes\.csv exists\. .* --overwrite"):
        write_demo_table(tmp_path / "new", admissions=300)
    assert summary.folder.read_bytes() == before
    again = write_demo_table(tmp_path / "new", admissions=300, seed=1, overwrite=True)
    assert again.folder.read_bytes() == before


def test_codes_are_undotted_strings_known_to_the_dictionaries(
    written: tuple[Path, demo.DemoSummary],
) -> None:
    folder, summary = written
    seen = 0
    for kind, name in (("diagnosis", "DIAGNOSES_ICD"), ("procedure", "PROCEDURES_ICD")):
        used = {row["ICD9_CODE"] for row in read(folder, name)}
        known = {
            row["ICD9_CODE"]
            for row in read(folder, f"D_ICD_{'DIAGNOSES' if kind == 'diagnosis' else 'PROCEDURES'}")
        }
        assert all(
            "." not in code and (dotted(code, kind, "icd9"), kind) in BY_CODE for code in used
        )
        assert {dotted(code, kind, "icd9") for code in used - known} <= {
            "V49.86",
            "E885.9",
            "93.90",
        }
        assert known - used
        seen += len(used)
    assert seen == summary.codes
    assert any(row["ICD9_CODE"].startswith("0") for row in read(folder, "DIAGNOSES_ICD"))


def test_summary_counts_what_was_written(written: tuple[Path, demo.DemoSummary]) -> None:
    folder, summary = written
    notes, admissions = read(folder, "NOTEEVENTS"), read(folder, "ADMISSIONS")
    reports = [
        row
        for row in notes
        if row["CATEGORY"] == "Discharge summary" and row["DESCRIPTION"] == "Report"
    ]
    assert (summary.admissions, summary.notes, summary.documents) == (
        len(admissions),
        len(notes),
        len(reports),
    )
    assert (
        summary.subjects
        == len({row["SUBJECT_ID"] for row in admissions})
        == len(read(folder, "PATIENTS"))
    )
    assert summary.words_per_document == pytest.approx(
        sum(len(row["TEXT"].split()) for row in reports) / len(reports)
    )
    assert 150 <= summary.words_per_document <= 350
    assert 0.1 < summary.not_counting < 0.4
    codes = sum(len(read(folder, name)) for name in ("DIAGNOSES_ICD", "PROCEDURES_ICD"))
    assert summary.codes_per_admission == pytest.approx(codes / len(admissions))


def test_same_seed_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("first", 4), ("second", 4), ("third", 5)):
        write_demo_data(tmp_path / name, admissions=20, seed=seed)
    first, second, third = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("first", "second", "third")
    )
    assert first == second
    assert first["NOTEEVENTS.csv.gz"] != third["NOTEEVENTS.csv.gz"]


def test_progress_ends_with_everything_done(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_demo_data(
        tmp_path, admissions=120, on_progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(50, 120), (100, 120), (120, 120)]


def test_too_few_admissions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="admissions is 19, but synthetic data needs at least 20"):
        write_demo_data(tmp_path / "new", admissions=19)
    assert not (tmp_path / "new").exists()


def test_tables_are_not_overwritten_unasked(tmp_path: Path) -> None:
    (tmp_path / "noteevents.csv").write_text("precious")
    with pytest.raises(ConfigError, match=r"already holds noteevents\.csv\. Choose another folder"):
        write_demo_data(tmp_path, admissions=20)
    assert [path.name for path in tmp_path.iterdir()] == ["noteevents.csv"]
    write_demo_data(tmp_path, admissions=20, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.csv.gz" for name in COLUMNS
    )


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"file.*tables can't be written here.*Choose another folder"
    ):
        write_demo_data(tmp_path / "file" / "tables", admissions=20)


def test_interrupted_call_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_write_dictionary", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_demo_data(tmp_path / "tables", admissions=20)
    assert list(tmp_path.iterdir()) == []


# --- notes for existing tables


@pytest.fixture
def bare_tables(tmp_path: Path) -> Path:
    """Write tables without notes, in lower case and decompressed."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "admissions.csv").write_text(
        "row_id,subject_id,hadm_id,admittime,dischtime\n"
        "1,7,70,2150-01-02 10:00:00,2150-01-09 10:00:00\n"
    )
    (folder / "diagnoses_icd.csv").write_text(
        "row_id,subject_id,hadm_id,seq_num,icd9_code\n1,7,70,1,4280\n2,7,70,,\n"
    )
    (folder / "procedures_icd.csv").write_text(
        "row_id,subject_id,hadm_id,seq_num,icd9_code\n1,7,70,1,5491\n"
    )
    (folder / "patients.csv").write_text("row_id,subject_id,gender\n1,7,F\n")
    return folder


def test_notes_for_existing_tables(bare_tables: Path, tmp_path: Path) -> None:
    summary = write_notes_for(bare_tables, tmp_path / "out")
    assert (summary.admissions, summary.documents, summary.codes) == (1, 1, 2)
    note = read(tmp_path / "out", "NOTEEVENTS")[0]
    assert note["HADM_ID"] == "70"
    assert note["CHARTDATE"] == "2150-01-09"
    assert "Sex: F" in note["TEXT"]
    assert "Admission Date:  [**2150-1-2**]" in note["TEXT"]
    assert "percutaneous abdominal drainage" in note["TEXT"].lower()
    for name in ("ADMISSIONS", "DIAGNOSES_ICD", "PROCEDURES_ICD", "PATIENTS"):
        assert (tmp_path / "out" / f"{name}.csv").read_bytes() == (
            bare_tables / f"{name.lower()}.csv"
        ).read_bytes()
    assert len(read(tmp_path / "out", "D_ICD_DIAGNOSES")) == 14_567
    assert len(read(tmp_path / "out", "D_ICD_PROCEDURES")) == 3_882


def test_missing_table_is_named(bare_tables: Path, tmp_path: Path) -> None:
    (bare_tables / "procedures_icd.csv").unlink()
    with pytest.raises(
        DataError, match=r"bare: missing PROCEDURES_ICD\.csv or PROCEDURES_ICD\.csv\.gz"
    ):
        write_notes_for(bare_tables, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_column_is_named(bare_tables: Path, tmp_path: Path) -> None:
    (bare_tables / "diagnoses_icd.csv").write_text("row_id,hadm_id,code\n1,70,4280\n")
    with pytest.raises(
        DataError,
        match=r"diagnoses_icd\.csv: no column 'ICD9_CODE'.*\. Its columns are: row_id, hadm_id",
    ):
        write_notes_for(bare_tables, tmp_path / "out")


def test_an_invalid_code_is_reported(bare_tables: Path, tmp_path: Path) -> None:
    (bare_tables / "diagnoses_icd.csv").write_text("hadm_id,icd9_code\n70,42-80\n")
    with pytest.raises(
        DataError, match=r"diagnoses_icd\.csv: '42-80' is not an icd9 diagnosis code.*ICD9_CODE"
    ):
        write_notes_for(bare_tables, tmp_path / "out")


def test_an_admission_that_cannot_be_read_is_reported(bare_tables: Path, tmp_path: Path) -> None:
    (bare_tables / "admissions.csv").write_text(
        "subject_id,hadm_id,admittime,dischtime\n7,70,soon,later\n"
    )
    with pytest.raises(
        DataError, match=r"admissions\.csv: the admission with HADM_ID '70' can't be read.*'soon'"
    ):
        write_notes_for(bare_tables, tmp_path / "out")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("truncated", "the compressed file ends too early. Copy or download it again"),
        ("not gzip", "not a gzip file.*. Copy or download it again"),
        ("ragged", "3 columns, expected 2. Put texts with commas"),
        ("binary", "has a NUL byte. Export the table as CSV"),
    ],
)
def test_an_unreadable_table_is_reported(
    bare_tables: Path, tmp_path: Path, damage: str, message: str
) -> None:
    plain = bare_tables / "diagnoses_icd.csv"
    packed = gzip.compress(plain.read_bytes() + b"2,7,70,2,4019\n" * 5000)
    content = {
        "truncated": packed[:-12],
        "not gzip": b"hadm_id,icd9_code",
        "ragged": None,
        "binary": None,
    }[damage]
    if content is not None:
        plain.unlink()
        (bare_tables / "diagnoses_icd.csv.gz").write_bytes(content)
    else:
        plain.write_bytes(
            b"hadm_id,icd9_code\n" + (b"70,4280,1\n" if damage == "ragged" else b"\xff\xfe\x00\n")
        )
    with pytest.raises(DataError, match=rf"diagnoses_icd\.csv.*: {message}"):
        write_notes_for(bare_tables, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_shared_tables
def test_notes_for_the_public_demo(tmp_path: Path) -> None:
    summary = write_notes_for(SHARED_TABLES, tmp_path / "out")
    assert (summary.admissions, summary.documents) == (129, 129)
    assert (tmp_path / "out" / "ADMISSIONS.csv.gz").read_bytes() == (
        SHARED_TABLES / "ADMISSIONS.csv.gz"
    ).read_bytes()
    genders = {row["subject_id"]: row["gender"] for row in read(SHARED_TABLES, "PATIENTS")}
    for note in read(tmp_path / "out", "NOTEEVENTS"):
        if note["CATEGORY"] == "Discharge summary" and note["DESCRIPTION"] == "Report":
            assert f"Sex: {genders[note['SUBJECT_ID']]}" in note["TEXT"]
