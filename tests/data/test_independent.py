import importlib.util
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from icdcli.data.corpus.prepare import prepare
from icdcli.data.section import DataConfig


def beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables, files, reference = map(beside, ("plain_tables", "plain_files", "plain_reference"))
Label = reference.Label

MIMIC3, MIMIC4 = cache(tables.mimic3), cache(tables.mimic4)
NAMED3 = ["mimic3-full", "mimic3-full-caml", "mimic3-50", "mimic3-clean"]
NAMED4 = ["mimic4-icd9", "mimic4-icd10"]
NOTE_TABLES = ("NOTEEVENTS", "DISCHARGE")
SEED = 3


def family(protocol):
    return "mimic4" if protocol in NAMED4 else "mimic3"


def raw(protocol, seed=SEED):
    return (MIMIC4 if protocol in NAMED4 else MIMIC3)(seed)


def list_of(protocol, seed=SEED):
    """Return the split list of a protocol: CAML's two, and Edin's three."""
    names = ["mimic3-full", "mimic3-50", "mimic3-clean", "mimic4-icd9", "mimic4-icd10"]
    place = names.index(protocol.removesuffix("-caml")) if protocol.startswith("mimic") else 0
    return files.split_list(raw(protocol, seed), 100 + place)


def write_lists(folder, seed=SEED):
    folder.mkdir()
    for name, protocol in {"full": "mimic3-full", "50": "mimic3-50"}.items():
        for split, word in {"train": "train", "validation": "dev", "test": "test"}.items():
            ids = [admission for admission, its in list_of(protocol, seed).items() if its == split]
            (folder / f"{word}_{name}_hadm_ids.csv").write_text("\n".join(ids) + "\n")
    for name, protocol in {
        "mimiciii_clean_splits": "mimic3-clean",
        "mimiciv_icd9_split": "mimic4-icd9",
        "mimiciv_icd10_split": "mimic4-icd10",
    }.items():
        listed = list_of(protocol, seed)
        splits = ["val" if split == "validation" else split for split in listed.values()]
        rows = {
            "_id": pa.array([int(admission) for admission in listed], pa.int64()),
            "split": splits,
        }
        feather.write_feather(pa.table(rows), folder / f"{name}.feather")
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Return the folder with the tables of MIMIC-III and MIMIC-IV and with the split lists."""
    root = tmp_path_factory.mktemp("independent")
    files.write(MIMIC3(SEED), root / "mimic3")
    files.write(MIMIC4(SEED), root / "mimic4")
    write_lists(root / "lists")
    return root


def compare(
    folder,
    lists,
    protocol,
    cache_dir,
    seed=SEED,
    text_cleaning="none",
    label_pruning=True,
    chunk_size=100_000,
):
    """Prepare the folder, and compare every document and label with the reference."""
    named = protocol in NAMED3 + NAMED4
    prepared = prepare(
        DataConfig(
            data_path=folder,
            protocol=protocol,
            splits_path=lists if named else None,
            label_pruning=label_pruning,
            text_cleaning=text_cleaning,
            chunk_size=chunk_size,
            cache_dir=cache_dir,
        )
    )
    expected = reference.corpus(
        folder, protocol, list_of(protocol, seed) if named else {}, text_cleaning, label_pruning
    )
    documents = [
        reference.Document(**row)
        for row in pq.read_table(prepared.folder / "documents.parquet").to_pylist()
    ]
    assert [document.id for document in documents] == [
        document.id for document in expected.documents
    ]
    for document, its in zip(documents, expected.documents, strict=True):
        assert document == its
    labels = pq.read_table(prepared.folder / "labels.parquet").to_pylist()
    assert {Label(row["code"], row["kind"]) for row in labels} == expected.labels
    assert len(labels) == len(expected.labels)
    assert [row["label"] for row in labels] == list(range(len(labels)))
    for column, splits in {
        "count": {"train", "validation", "test"},
        "train_count": {"train"},
    }.items():
        counts = Counter(
            code
            for document in expected.documents
            if document.split in splits
            for code in document.codes
        )
        assert {row["code"]: row[column] for row in labels} == {
            label.code: counts[label.code] for label in expected.labels
        }
    return expected


NOTES = """\
ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,ISERROR,TEXT
1,4,108,,,,"Discharge summary",Addendum,,,"Late ""word"",
with 2 lines"
2,5,101,,,,Discharge summary ,Report,,,other category
3,5,101,,,,Discharge summary,Report,,1,NA
4,4,108,,,,Nursing,Report,,,between
5,11,108,,,,Discharge summary,Report,,,First 12
6,6,,,,,Discharge summary,Report,,,of nobody
7,7,103,,,,Discharge summary,Report,,," \t"
8,3,104,,,,Discharge summary,Report,,,no codes
9,1,109,,,,Discharge summary,Addendum,,,added only
"""
DIAGNOSES = """row_id,subject_id,hadm_id,seq_num,icd9_code
1,5,101,1,0331
2,5,101,,e8490
3,4,108,1,0331
4,4,108,2, 0331
5,7,103,1,4019
6,3,104,,
7,1,109,1,9999
8,8,105,1,4019
9,8,,1,4019
"""
PROCEDURES = "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\r\n1,5,101,1,0066\r\n2,4,108,1,0331\r\n"
DIAGNOSES_DEFINED = (
    "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE\n1,0331,w,Whooping\n2,E8490,h,Home\n3,4019,h,NA\n"
)
PROCEDURES_DEFINED = "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE\n1,0331,t,Tap\n2,9999,n,None such\n"


@pytest.fixture
def by_hand(tmp_path):
    texts = {"NOTEEVENTS": NOTES, "DIAGNOSES_ICD": DIAGNOSES, "procedures_icd": PROCEDURES}
    texts |= {"D_ICD_DIAGNOSES": DIAGNOSES_DEFINED, "D_ICD_PROCEDURES": PROCEDURES_DEFINED}
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_bytes(text.encode())
    return tmp_path


def test_the_reference_reads_mimic3_full_as_by_hand(by_hand):
    documents, labels = reference.corpus(
        by_hand, "mimic3-full", {"108": "test", "101": "train", "200": "train"}
    )
    assert documents == [
        ("108", "4", "test", 'Late "word",\nwith 2 lines\nFirst 12', ["03.31", "033.1"]),
        ("101", "5", "train", "NA", ["00.66", "033.1", "E849.0"]),
    ]
    kinds = {
        "03.31": "procedure",
        "033.1": "diagnosis",
        "00.66": "procedure",
        "E849.0": "diagnosis",
    }
    assert labels == set(kinds.items())


def test_the_reference_reads_caml_as_by_hand(by_hand):
    documents = reference.corpus(
        by_hand, "mimic3-full-caml", dict.fromkeys(["101", "108"], "train"), "caml"
    ).documents
    assert [(document.text, document.codes) for document in documents] == [
        ("late word with lines first", ["033.1", "33.1"]),
        ("na", ["033.1", "66.", "E849.0"]),
    ]


def test_the_reference_reads_the_first_protocol_as_by_hand(by_hand):
    documents, labels = reference.corpus(by_hand, "hadm-digit", {}, pruning=False)
    assert documents == [
        ("101", "5", "train", "NA", ["033.1", "E849.0"]),
        ("108", "11", "validation", "First 12", ["03.31", "033.1"]),
    ]
    assert {label.code for label in labels} == {"033.1", "E849.0", "401.9", "03.31", "99.99"}
    assert len(reference.corpus(by_hand, "hadm-digit", {}).labels) == 3


def test_the_reference_splits_patients_as_by_hand(by_hand):
    documents, labels = reference.corpus(by_hand, "patient", {})
    # sha256sum of "icdcode patient split 1:4" begins with ef, of 1:5 with 80, of 1:1 with e3. The
    # limits are cc.cc and e6.66
    assert [(document.id, document.split) for document in documents] == [
        ("108", "test"),
        ("101", "train"),
        ("109", "validation"),
    ]
    assert len(labels) == 5
    assert len(reference.corpus(by_hand, "patient", {}, pruning=False).labels) == 7


@pytest.mark.parametrize(
    ("raw_code", "kind", "version", "code", "caml_code"),
    [
        ("042", "diagnosis", "9", "042", "042"),
        ("V10", "diagnosis", "9", "V10", "V10"),
        ("v1009 ", "diagnosis", "9", "V10.09", "V10.09"),
        ("E849", "diagnosis", "9", "E849", "E849"),
        ("E8490", "diagnosis", "9", "E849.0", "E849.0"),
        ("0331", "procedure", "9", "03.31", "33.1"),
        ("0066", "procedure", "9", "00.66", "66."),
        ("0001", "procedure", "9", "00.01", "1."),
        ("66", "procedure", "9", "66", "66."),
        ("E1165", "diagnosis", "10", "E11.65", "E11.65"),
        ("I10    ", "diagnosis", "10", "I10", "I10"),
        ("0BH17EZ", "procedure", "10", "0BH17EZ", None),
        ("  ", "procedure", "9", "", ""),
    ],
)
def test_the_reference_dots_codes_as_by_hand(raw_code, kind, version, code, caml_code):
    assert reference.dotted(raw_code, kind, version) == code
    assert caml_code is None or reference.dotted(raw_code, kind, version, caml=True) == caml_code


def test_the_reference_cleans_as_by_hand():
    text = "Na 140, x2 ½ Ⅻ caf\u00e9\n\u0130\u212a 2nd_day -- 07:30"
    assert reference.cleaned(text, "caml") == "na x2 caf\u00e9 i\u0307k 2nd_day"
    assert reference.cleaned(text, "edin") == "na x2 caf i k 2nd day 30"
    assert reference.cleaned(text, "none") == text


def test_the_tables_meet_the_borders(places):
    codes = reference.all_codes(places / "mimic3", "mimic3-full")
    noted = {
        admission for admission, _, _ in reference.used_notes(places / "mimic3", "mimic3-full")
    }
    counts = Counter(label for admission in noted & set(codes) for label in codes[admission])
    without_notes = Counter(label for labels in codes.values() for label in labels)
    assert min(Counter(counts.values())[count] for count in (9, 10, 11)) >= 8
    assert any(count == 9 and without_notes[label] > 9 for label, count in counts.items())
    fiftieth, next_one = sorted(counts.values(), reverse=True)[49:51]
    assert fiftieth == next_one
    assert noted - set(codes)
    assert set(codes) - noted
    listed = list_of("mimic3-full")
    assert noted - set(listed)
    assert set(listed) - noted
    documents, labels = reference.corpus(places / "mimic3", "mimic3-full", listed)
    assert labels < set(counts)  # some codes are only on admissions in no list
    assert max(len(document.text) for document in documents) > 300_000
    assert len({(document.subject_id, document.split) for document in documents}) > len(
        {its.subject_id for its in documents}
    )


@pytest.mark.parametrize("protocol", ["patient", "hadm-digit", *NAMED3, *NAMED4])
def test_every_protocol_makes_what_the_reference_makes(places, tmp_path, protocol):
    expected = compare(places / family(protocol), places / "lists", protocol, tmp_path)
    splits = Counter(document.split for document in expected.documents)
    assert len(expected.labels) >= 25
    assert min(splits.values()) >= 15
    assert len(splits) == 3 - (protocol == "hadm-digit")


@pytest.mark.parametrize("block", [1, 50, 400, 1000, 5000])
def test_blocks_of_procedures_alone_are_numbers_as_in_the_reference(
    places, tmp_path, monkeypatch, block
):
    monkeypatch.setattr(reference, "BLOCK", block)
    monkeypatch.setattr("icdcli.data.sources.caml_codes.BLOCK", block)
    expected = compare(places / "mimic3", places / "lists", "mimic3-full-caml", tmp_path)
    codes = {label.code for label in expected.labels}
    assert ("66.0" in codes) == (block < 5000)
    assert ("66." in codes) == (block > 1)


@pytest.mark.parametrize("protocol", ["patient", "hadm-digit", "mimic3-clean"])
def test_labels_are_the_references_without_pruning_too(places, tmp_path, protocol):
    compare(places / "mimic3", places / "lists", protocol, tmp_path, label_pruning=False)


@pytest.mark.parametrize("cleaning", ["caml", "edin"])
@pytest.mark.parametrize("protocol", ["mimic3-clean", "mimic4-icd10"])
def test_cleaned_texts_are_the_references(places, tmp_path, protocol, cleaning):
    compare(places / family(protocol), places / "lists", protocol, tmp_path, text_cleaning=cleaning)


@pytest.mark.parametrize("protocol", ["mimic3-full", "mimic4-icd9"])
@pytest.mark.parametrize(
    ("suffix", "case", "quote_all", "crlf", "chunk_size"),
    [
        (".csv", str.lower, False, NOTE_TABLES, 7),
        (".csv", str.upper, True, ("DIAGNOSES_ICD",), 1),
        (".csv.gz", str.lower, True, (), 7),
        (".csv.gz", str.upper, False, NOTE_TABLES, 1),
    ],
)
def test_the_form_of_the_files_changes_nothing(
    places, tmp_path, protocol, suffix, case, quote_all, crlf, chunk_size
):
    folder = files.write(raw(protocol), tmp_path / "data", suffix, case, quote_all, crlf)
    compare(folder, places / "lists", protocol, tmp_path / "cache", chunk_size=chunk_size)
