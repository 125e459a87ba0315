from collections import Counter
from pathlib import Path

import pytest

from icdcli.config.loading import load_config
from icdcli.data.benchmarks.protocols import OFFICIAL
from icdcli.data.sources.admission import Code
from icdcli.data.sources.codiesp import CodiespSource
from icdcli.data.sources.registry import choose_source
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import Reading

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "codiesp"


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "dev"):
        for language in ("text_files", "text_files_en"):
            texts = tmp_path / split / language
            texts.mkdir(parents=True)
            (texts / f"{split}-2.txt").write_bytes(b"Second,\r\nwith its line ends")
            (texts / f"{split}-1.txt").write_text(f"{split} in {language}: niño")
        (tmp_path / split / f"{split}D.tsv").write_text(
            f"{split}-1\tn44.8\n{split}-1\tI10\n{split}-1\ti10\n"
        )
        (tmp_path / split / f"{split}P.tsv").write_text(f"{split}-1\tbw03zzz\n{split}-2\tct13\n")
    return tmp_path


def read(folder, **options):
    source = CodiespSource(folder, **options)
    return {case.id: case for case in source.admissions(OFFICIAL, folder)}, source.reading.dropped


def test_cases_with_diagnoses(folder):
    cases, dropped = read(folder)
    assert list(cases) == ["train-1", "train-2", "dev-1", "dev-2"]
    assert cases["dev-1"].text == "dev in text_files_en: niño"
    assert cases["dev-1"].codes == {Code("N44.8", "diagnosis"), Code("I10", "diagnosis")}
    assert [case.split for case in cases.values()] == ["train", "train", "validation", "validation"]
    assert cases["train-2"].codes == frozenset()  # an annotator found none
    assert cases["train-2"].text == "Second,\r\nwith its line ends"
    assert not dropped


def test_language_and_kinds_of_codes(folder):
    cases, _ = read(folder, language="es", codes="procedures")
    assert cases["train-1"].text.startswith("train in text_files:")
    assert cases["train-1"].codes == {Code("BW03ZZZ", "procedure")}
    both, _ = read(folder, codes="all")
    assert len(both["train-1"].codes) == 3
    assert len(CodiespSource(folder, codes="all").files()) == 8


def evidence_of(folder, *rows, **options):
    """Return the evidence of train-1 ("train in text_files: niño") and what was dropped."""
    (folder / "train" / "trainX.tsv").write_text("".join(f"train-1\t{row}\n" for row in rows))
    cases, dropped = read(folder, language="es", **options)
    return [tuple(span) for span in cases["train-1"].evidence], dropped


def test_evidence_is_where_the_annotator_saw_it(folder):
    rows = [
        "DIAGNOSTICO\tn44.8\ttrain niño\t0 5;21 25",
        "PROCEDIMIENTO\tbw03zzz\tin\t6 8",
        "DIAGNOSTICO\ti10\tin\t6 8",
    ]
    assert evidence_of(folder, *rows) == (
        [("N44.8", 0, 5, 0), ("N44.8", 21, 25, 0), ("I10", 6, 8, 1)],
        {},
    )
    assert len(evidence_of(folder, *rows, codes="all")[0]) == 4


def test_evidence_is_about_the_spanish_text_alone(folder):
    evidence_of(folder, "DIAGNOSTICO\ti10\tin\t6 8")
    assert not any(case.evidence for case in read(folder)[0].values())
    assert not any("X.tsv" in file.name for file in CodiespSource(folder).files())
    assert [
        file.name for file in CodiespSource(folder, language="es").files() if "X" in file.name
    ] == ["trainX.tsv"]


def test_a_mark_too_many_is_no_other_word(folder):
    assert evidence_of(folder, "DIAGNOSTICO\ti10\ttext_files\t9 20")[0] == [("I10", 9, 20, 0)]


@pytest.mark.parametrize("places", ["21 24", "0 5", "21 99", "25 21", "-4 25"])
def test_evidence_of_other_words_is_counted(folder, places):
    spans, dropped = evidence_of(folder, f"DIAGNOSTICO\ti10\tniño\t{places}")
    assert spans == []
    assert dropped == {"annotations whose place in the text holds other words": 1}


def test_an_empty_fragment_is_counted_and_the_others_stay(folder):
    spans, dropped = evidence_of(folder, "DIAGNOSTICO\ti10\ttrain  niño\t0 5;9 9;21 25")
    assert spans == [("I10", 0, 5, 0), ("I10", 21, 25, 0)]
    assert dropped == {"empty fragments of annotations": 1}


def test_evidence_of_cases_that_are_not_there_is_counted(folder):
    (folder / "dev" / "devX.tsv").write_text("gone\tDIAGNOSTICO\ti10\tx\t0 1\n")
    assert read(folder, language="es")[1] == {"annotations of cases without text": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("DIAGNOSTICO\ti10\tin", "line 1: expected ID<tab>DIAGNOSTICO|PROCEDIMIENTO<tab>code"),
        ("SINTOMA\ti10\tin\t6 8", "line 1: expected ID"),
        ("DIAGNOSTICO\ti/10\tin\t6 8", "line 1: 'i/10' is not an icd10"),
        ("DIAGNOSTICO\ti10\tin\t6-8", "line 1: "),
        ("DIAGNOSTICO\ti10\tin\tsix eight", "line 1: "),
    ],
)
def test_a_bad_line_of_evidence_is_named(folder, row, message):
    with pytest.raises(DataError) as caught:
        evidence_of(folder, row)
    assert f"trainX.tsv, {message}" in str(caught.value)


def test_a_test_folder_is_the_test_split(folder):
    (folder / "test" / "text_files_en").mkdir(parents=True)
    (folder / "test" / "text_files_en" / "t.txt").write_text("A case")
    with pytest.raises(DataError, match=r"CodiEsp's test/testD\.tsv missing"):
        read(folder)
    (folder / "test" / "testD.tsv").write_text("t\te11.9\n")
    assert read(folder)[0]["t"].split == "test"


def test_what_is_left_out_is_counted(folder):
    (folder / "train" / "text_files_en" / "train-2.txt").write_text(" \n")
    (folder / "dev" / "devD.tsv").write_text("gone\ti10\ngone\te11.9\n\n")
    cases, dropped = read(folder)
    assert "train-2" not in cases
    assert dropped == {"cases without text": 1, "cases with codes but no text": 1}


def test_missing_parts_are_all_named(folder):
    (folder / "dev" / "devD.tsv").unlink()
    (folder / "train" / "trainP.tsv").unlink()
    with pytest.raises(DataError, match=r"CodiEsp's train/trainP\.tsv, dev/devD\.tsv missing"):
        CodiespSource(folder, codes="all").files()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dev-1 n44.8", "line 2: 1 columns, expected ID<tab>code"),
        ("dev-1\tn/8", "line 2: 'n/8' is not an icd10 diagnosis code"),
        ("dev-1\t", "line 2: an empty icd10 diagnosis code"),
    ],
)
def test_a_bad_line_is_named(folder, line, message):
    (folder / "dev" / "devD.tsv").write_text(f"dev-1\ti10\n{line}\n")
    with pytest.raises(DataError, match=f"devD.tsv, {message}"):
        read(folder)


def test_a_text_in_another_encoding_is_named(folder):
    (folder / "dev" / "text_files_en" / "dev-1.txt").write_bytes("a\nniño".encode("latin-1"))
    with pytest.raises(DataError, match=r"dev-1\.txt, line 2: not UTF-8"):
        read(folder)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the CodiEsp data set isn't here")
def test_the_published_data_set():
    cases, dropped = read(SHARED, language="es", codes="all")
    kinds = Counter(
        code.kind for case in cases.values() if case.split == "train" for code in case.codes
    )
    assert Counter(case.split for case in cases.values()) == {"train": 500, "validation": 250}
    assert kinds == {"diagnosis": 5639, "procedure": 1550}
    assert dropped == {"empty fragments of annotations": 4}
    spans = [
        span
        for case in cases.values()
        for span in {(case.id, span.group) for span in case.evidence}
    ]
    assert len(spans) == 13_658  # every row of trainX.tsv and devX.tsv
    assert all(
        {span.code for span in case.evidence} == {code.code for code in case.codes}
        for case in cases.values()
    )


def test_spanish_evidence_is_projected_onto_the_english_texts(folder):
    for split in ("train", "dev"):
        (folder / split / "text_files" / f"{split}-1.txt").write_text(
            "Refiere colecistitis, otitis"
        )
        (folder / split / "text_files_en" / f"{split}-1.txt").write_text(
            "Reports cholecystitis, otitis"
        )
    row = "DIAGNOSTICO\ti10\totitis\t22 28\n"
    (folder / "train" / "trainX.tsv").write_text(f"train-1\t{row}train-2\t{row}")
    cases, dropped = read(folder, projected=True)
    assert [tuple(span) for span in cases["train-1"].evidence] == [("I10", 23, 29, 0)]
    assert cases["train-1"].text == "Reports cholecystitis, otitis"
    assert not cases["train-2"].evidence
    assert dropped == {"annotations whose place in the text holds other words": 1}
    source = CodiespSource(folder, projected=True)
    names = {str(file.relative_to(folder)) for file in source.files()}
    assert {"train/trainX.tsv", "dev/text_files/dev-1.txt", "dev/text_files_en/dev-1.txt"} <= names


def test_projected_evidence_needs_both_languages(folder):
    for text in (folder / "dev" / "text_files").iterdir():
        text.unlink()
    (folder / "dev" / "text_files").rmdir()
    with pytest.raises(DataError, match=r"dev/text_files missing"):
        CodiespSource(folder, projected=True).files()


def test_spanish_has_evidence_of_its_own(folder):
    config = load_config(
        None, ["language=es", "projected_evidence=True", f"data_path={folder}", "dataset=codiesp"]
    )
    with pytest.raises(ConfigError, match="annotations of their own"):
        choose_source(config.data, Reading())


@pytest.mark.skipif(not SHARED.is_dir(), reason="CodiEsp isn't there")
@pytest.mark.slow
def test_most_of_codiesps_annotations_are_projected():
    source = CodiespSource(SHARED, projected=True)
    cases = source.admissions(OFFICIAL, SHARED)
    assert sum(len({(span.code, span.group) for span in case.evidence}) for case in cases) > 9_000
    assert source.reading.dropped["annotations without a counterpart in the translation"] < 1_200
