"""A table of notes with a table of one row per encounter and code."""

import json

import pytest

from icdcli.config.loading import load_config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.sources.admission import Admission, Code, OrderedCode
from icdcli.data.sources.long_format.code_rows import LongCodes
from icdcli.errors import ConfigError, DataError
from icdcli.icd.titles import titles
from icdcli.io.csv_reader import Reading

NAMES = ("hadm_id", "seq_num", "icd_code", "icd_version", "poa")
ROWS = [
    ("7", "2", "I10", "10", "Y"),
    ("7", "1", "J189", "10", "N"),
    ("7", "3", "4280", "9", ""),
    ("8", "1", "E11.9", "10", ""),
]


def write(tmp_path, *rows, names=NAMES, name="codes.csv"):
    path = tmp_path / name
    path.write_text("\n".join(map(",".join, [names, *rows])) + "\n")
    return path


def opened(tmp_path, *rows, names=NAMES, **options):
    configured = {key: options.pop(key) for key in [*options] if key.endswith("_column")}
    options = {"code_system": "icd10", **options}
    return LongCodes(write(tmp_path, *rows, names=names), configured, Reading(), **options)


def read(codes, *ids):
    return [*codes.attach(Admission(id, None, "x") for id in ids)]


def refused(codes, id="7"):
    with pytest.raises(DataError) as caught:
        read(codes, id)
    assert str(codes.path) in str(caught.value)
    return str(caught.value)


def test_codes_are_in_the_order_of_their_sequence(tmp_path):
    codes = opened(tmp_path, *ROWS)
    found = codes.of("7")
    assert found.codes == {Code("I10", "diagnosis"), Code("J18.9", "diagnosis")}
    assert found.in_order == (OrderedCode("J18.9", "N"), OrderedCode("I10", "Y"))
    assert found.principal == "J18.9"
    assert codes.of("8").in_order == (OrderedCode("E11.9"),)
    read(codes, *"78")
    assert codes.reading.dropped == {"rows of codes.csv with version 9": 1}
    said = codes.reading.choices["columns of codes.csv"]
    assert "sequence in 'seq_num'" in said and "version in 'icd_version'" in said


def test_ids_are_the_same_with_and_without_the_decimals_of_pandas(tmp_path):
    assert opened(tmp_path, ("7.0", "1.0", "I10", "10.0", "Y")).of("7").principal == "I10"


@pytest.mark.parametrize("version", ["10", "ICD10CM", "icd-10", "ICD-10-CM", "10.0"])
def test_versions_have_many_names(tmp_path, version):
    codes = opened(tmp_path, ("7", "1", "I10", version, ""), ("7", "2", "4019", "9", ""))
    assert codes.of("7").codes == {Code("I10", "diagnosis")}


def test_another_version_is_selected_by_the_code_system(tmp_path):
    found = opened(tmp_path, *ROWS, code_system="icd9").of("7")
    assert found.codes == {Code("428.0", "diagnosis")}
    assert found.principal is None  # it has no first code of this version


def test_versions_must_be_chosen_and_exist(tmp_path):
    mixed = refused(opened(tmp_path, *ROWS, code_system=None))
    assert "10 (3 rows), 9 (1 rows)" in mixed and "Set code_system" in mixed
    assert "no row has version icd9; it has 10" in refused(
        opened(tmp_path, ROWS[0], code_system="icd9")
    )


def test_the_first_sequence_may_be_zero(tmp_path):
    rows = [("7", "0", "I10", "10", ""), ("7", "1", "E119", "10", "")]
    assert opened(tmp_path, *rows).of("7").principal == "I10"


def test_two_first_codes_or_none_leave_the_principal_diagnosis_unknown(tmp_path):
    codes = opened(
        tmp_path,
        ("7", "1", "I10", "10", ""),
        ("7", "1", "E119", "10", ""),
        ("8", "2", "I10", "10", ""),
        ("9", "", "I10", "10", ""),
        ("9", "1", "E119", "10", ""),
    )
    found = read(codes, *"789")
    assert [one.principal for one in found] == [None, None, "E11.9"]
    assert [code.code for code in found[2].in_order] == ["E11.9", "I10"]
    assert codes.reading.choices["sequence"] == (
        "rows without one, whose codes come last: 1 of 5; "
        "documents with no first code, whose principal diagnosis is unknown: 1; "
        "documents with several first codes, whose principal diagnosis is unknown: 1"
    )


def test_a_procedure_is_no_principal_diagnosis(tmp_path):
    rows = [("7", "1", "0BJ08ZZ", "10", ""), ("7", "1", "J189", "10", "")]
    assert opened(tmp_path, *rows).of("7").principal == "J18.9"


def test_repeated_rows_and_unknown_encounters_are_counted(tmp_path):
    rows = [
        ("7", "5", "I10", "10", "N"),
        ("70", "1", "I10", "10", ""),
        ("71", "1", "I10", "10", ""),
    ]
    codes = opened(tmp_path, *ROWS, *rows)
    assert codes.of("7").in_order[1] == OrderedCode("I10", "Y")  # the row that is first
    assert not codes.of("no such").codes
    read(codes, "7")
    assert codes.reading.dropped["rows of codes.csv that repeat a code of an encounter"] == 1
    assert codes.reading.dropped["rows of codes.csv of encounters without a note"] == 3
    unknown = codes.reading.choices["encounters without a note"]
    assert unknown == "3 of 4, such as '8', '70', '71'"


def test_rows_without_an_id_or_a_code_are_counted(tmp_path):
    codes = opened(tmp_path, ROWS[0], ("", "1", "I10", "10", ""), ("7", "2", "", "10", ""))
    codes.of("7")
    assert codes.reading.dropped == {
        "rows of codes.csv without encounter": 1,
        "rows of codes.csv without code": 1,
    }


def test_unusable_cells_are_named(tmp_path):
    row = ROWS[0]
    bad = opened(tmp_path, row, ("7", "first", "I10", "10", ""))
    assert "row 2, column 'seq_num': is 'first', not a number" in refused(bad)
    bad = opened(tmp_path, row, ("7", "2", "I10", "10", "perhaps"))
    assert "column 'poa': is 'perhaps'. Write Y, N, U, W, 1 or E" in refused(bad)
    bad = opened(tmp_path, row, ("7", "2", "I10; E11.9", "10", ""))
    assert "has 2 codes. A table of codes has one per row" in refused(bad)
    known = [*titles("icd10", "diagnosis")][:40]
    bad = opened(tmp_path, *[("7", "", code, "10", "") for code in [*known, "J9Z9.Z"]])
    assert "row 41, column 'icd_code': 'J9Z9.Z' is not an icd10" in refused(bad)
    assert "none of its 1 encounters is one of the notes" in refused(opened(tmp_path, row), "x")


def test_columns_are_found_or_asked_for(tmp_path):
    with pytest.raises(DataError, match=r"no column of the encounters was found\. Set id_column"):
        _ = opened(tmp_path, ("7", "I10"), names=("who", "code")).columns
    named = opened(
        tmp_path, ("7", "I10"), names=("who", "what"), id_column="who", codes_column="what"
    )
    assert not named.has_order and named.of("7").in_order == ()
    with pytest.raises(DataError, match="id_column and codes_column are the same column"):
        _ = opened(
            tmp_path, ("7", "I10"), names=("a", "b"), id_column="a", codes_column="a"
        ).columns


def notes(tmp_path, ids=range(60), **more):
    path = tmp_path / "notes.jsonl"
    rows = [{"id": str(id), "text": f"note {id}", **more} for id in ids]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def prepared(path, **options):
    values = {"data_path": path, "code_system": "icd10", **options}
    config = load_config(None, [f"{key}={value}" for key, value in values.items()])
    return open_corpus(prepare(config.data).folder)


def long_rows(ids=range(60)):
    return [
        (str(id), str(place), code, "10", "Y")
        for id in ids
        for place, code in enumerate(("I10", "E119") if id % 2 else ("E119", "I10", "J189"), 1)
    ]


def test_the_corpus_keeps_order_poa_and_principal(tmp_path):
    codes = write(tmp_path, *long_rows(range(58)))
    corpus = prepared(notes(tmp_path), codes_path=codes)
    train = corpus.documents("train")
    assert [*map(len, train.targets)] == [2 if int(id) % 2 else 3 for id in train.ids]
    assert train.principals == ["I10" if int(id) % 2 else "E11.9" for id in train.ids]
    assert train.take([1]).principals == [train.principals[1]]
    assert corpus.card["dropped"]["rows without codes"] == 2
    assert "sequence in 'seq_num'" in corpus.card["choices"]["columns of codes.csv"]
    assert corpus.card["choices"]["principal diagnosis"] == "known for 58 of 58 documents"
    # The same corpus, whether or not a model learns the principal diagnosis.
    assert prepared(notes(tmp_path), codes_path=codes, principal=True).name == corpus.name


def test_a_changed_table_of_codes_makes_another_corpus(tmp_path):
    codes = write(tmp_path, *long_rows())
    before = prepared(notes(tmp_path), codes_path=codes).name
    write(tmp_path, *long_rows(range(59)))
    assert prepared(notes(tmp_path), codes_path=codes).name != before


def test_the_table_of_notes_may_have_a_row_per_code_itself(tmp_path):
    path = tmp_path / "long.jsonl"
    rows = [
        {"id": id, "text": f"note {id}", "codes": code, "seq": place}
        for id, place, code, *_ in reversed(long_rows())
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = prepared(path, sequence_column="seq")
    assert corpus.card["documents"] == 60
    train = corpus.documents("train")
    assert train.principals == ["I10" if int(id) % 2 else "E11.9" for id in train.ids]
    config = load_config(None, [f"data_path={path}", "code_system=icd10"])
    assert any("set sequence_column=seq" in note for note in prepare(config.data).warnings)
    with pytest.raises(DataError, match=r"several rows per document.*Set sequence_column"):
        prepared(path, principal=True)


def test_the_order_of_a_cell_is_that_of_a_claim_if_the_principal_diagnosis_is_wanted(tmp_path):
    path = notes(tmp_path, codes="I10; E11.9")
    assert not prepared(path).documents("train").principals
    assert {*prepared(path, principal=True).documents("train").principals} == {"I10"}


def test_codes_belong_to_encounters_of_several_notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    rows = [
        {"id": f"n{note}", "visit": str(note // 2), "text": f"note {note}"} for note in range(90)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    codes = write(tmp_path, *long_rows(range(45)))
    corpus = prepared(path, codes_path=codes, encounter_column="visit", principal=True)
    train = corpus.documents("train")
    assert corpus.card["documents"] == 45
    assert train.principals == ["I10" if int(id) % 2 else "E11.9" for id in train.ids]
    with pytest.raises(ConfigError, match="with encounter_column, the order of the codes"):
        prepared(notes(tmp_path, codes="I10", visit=1), encounter_column="visit", principal=True)


def test_what_does_not_go_together_is_refused(tmp_path):
    path = notes(tmp_path)
    with pytest.raises(ConfigError, match=r"codes_path: .*no such file"):
        prepared(path, codes_path=tmp_path / "none.csv")
    unordered = write(tmp_path, ("1", "I10"), names=("id", "code"))
    with pytest.raises(ConfigError, match="has no column of sequences"):
        prepared(path, codes_path=unordered, principal=True)
    without_ids = tmp_path / "plain.jsonl"
    without_ids.write_text('{"text": "x"}\n')
    with pytest.raises(DataError, match=r"found by its id\. Set id_column or"):
        prepared(without_ids, codes_path=write(tmp_path, *ROWS))
