import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from icdcli.data.section import DataConfig
from icdcli.data.sources import registry
from icdcli.data.sources.names import source_names
from icdcli.data.sources.registry import (
    choose_source,
    recognize,
    source_type,
    source_types,
    system_of,
)
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import Reading


def test_every_source_registers_itself_under_its_modules_name():
    assert source_names() == (
        *("mimic3", "mimic4", "codiesp", "fhir", "hl7", "meds", "omop", "table", "mdace"),
    )
    for name in source_names():
        assert source_type(name).name == name


@pytest.mark.parametrize(
    ("dataset", "default", "others"),
    [
        (
            "mimic3",
            "patient",
            {"hadm-digit", "mimic3-full", "mimic3-full-caml", "mimic3-50", "mimic3-clean"},
        ),
        ("mimic4", "patient", {"mimic4-icd9", "mimic4-icd10"}),
        ("codiesp", "official", set()),
        ("mdace", "mdace-icd9", {"mdace-icd10", "mdace-icd9-profee", "mdace-icd10-profee"}),
        ("table", "patient", set()),
    ],
)
def test_each_data_set_has_its_own_protocols(dataset, default, others):
    first, *rest = [protocol.name for protocol in source_type(dataset).protocols]
    assert (first, set(rest)) == (default, others)


@pytest.mark.parametrize(
    ("columns", "name", "chosen"),
    [
        ("text,codes", None, "patient"),
        ("text,codes,split", None, "split-column"),
        ("text,codes,split", "patient", "patient"),
    ],
)
def test_a_table_with_splits_has_one_protocol_more(tmp_path, columns, name, chosen):
    (tmp_path / "notes.csv").write_text(columns + "\n")
    config = DataConfig(data_path=tmp_path / "notes.csv", protocol=name, ignore_split_column=True)
    assert choose_source(config, Reading()).protocol.name == chosen


def test_an_option_of_another_source_is_refused(tmp_path):
    (tmp_path / "notes.csv").write_text("text,codes\n")
    config = DataConfig(data_path=tmp_path / "notes.csv", evidence_path=tmp_path)
    with pytest.raises(
        ConfigError, match=r"evidence_path: is for dataset: mimic3, but .* is table"
    ):
        choose_source(config, Reading())


def test_a_certain_match_beats_a_possible_one(tmp_path):
    (tmp_path / "DIAGNOSES_ICD.csv").touch()
    (tmp_path / "train" / "text_files").mkdir(parents=True)
    assert recognize(tmp_path) == "mimic3"  # the first of two possible ones
    (tmp_path / "hosp").mkdir()
    assert recognize(tmp_path) == "mimic4"
    (tmp_path / "NoteEvents.csv.gz").touch()
    assert recognize(tmp_path) == "mimic3"


def test_a_new_source_is_one_module(tmp_path, monkeypatch):
    (tmp_path / "hospital.py").write_text(
        "from icdcli.data.sources.registry import Match, SourceType, register\n"
        "register(SourceType('hospital', 'a folder with hospital.txt', (),\n"
        "    lambda folder: Match((folder / 'hospital.txt').exists()), None))\n"
    )
    folders = [str(Path(registry.__file__).parent), str(tmp_path)]
    monkeypatch.setattr("icdcli.data.sources.names._FOLDERS", folders)
    monkeypatch.setattr("icdcli.data.sources.__path__", folders)
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    assert source_names()[-1] == "hospital"
    (tmp_path / "hospital.txt").touch()
    assert recognize(tmp_path) == "hospital"


def test_the_coding_system_of_a_data_set():
    assert [system_of(name) for name in ("mimic3", "mimic4", "codiesp", "table", "future")] == [
        "icd9",
        None,
        "icd10",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("n.xls", "Save the workbook as .xlsx"),
        ("n.txt", "If it is a table, rename it to .csv or .tsv"),
        ("n.zip", "Unpack it first"),
        ("n.sas7bdat", "Export the table as CSV in UTF-8 or as Parquet"),
        ("n.csv.gz.gz", "decompress it once: gunzip n.csv.gz.gz"),
        ("n.odd", "It reads:\n  mimic3:"),
    ],
)
def test_the_message_about_other_files_says_what_to_do(tmp_path, name, advice):
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="is not a data set that icdcode knows") as caught:
        recognize(tmp_path / name)
    assert advice in str(caught.value)


def test_a_folder_with_a_table_is_told_from_the_table(tmp_path):
    (tmp_path / "notes.tsv").touch()
    with pytest.raises(DataError, match=r"It has tables: to use one, give its name, .*notes\.tsv"):
        recognize(tmp_path)


def test_data_from_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match=r"pipe\.csv: is a pipe\. .* save them to a file first"):
        choose_source(DataConfig(data_path=tmp_path / "pipe.csv"), Reading())


def test_no_synthetic_data_are_offered_for_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"no such file .* Check the path \(data_path\)\.$"):
        choose_source(DataConfig(data_path=tmp_path / "notes.csv"), Reading())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"splits_path": Path()}, "splits_path: protocol patient reads no split lists"),
        ({"codes": "procedures"}, "codes: is for dataset: codiesp, but PATH is table"),
        ({"evidence_path": Path()}, "evidence_path: is for dataset: mimic3, but PATH is table"),
    ],
)
def test_an_option_that_is_not_read_is_an_error(tmp_path, options, reason):
    path = tmp_path / "notes.csv"
    path.write_text("text,codes\nx,I10\n")
    reason = reason.replace("PATH", str(path))
    config = DataConfig(data_path=path, **options)
    with pytest.raises(ConfigError, match=re.escape(f"{reason}. Leave it out")):
        choose_source(config, Reading())
    chosen = choose_source(config.accepting(), Reading())  # a run of version 0.1.0
    assert chosen.notices == (f"ignored: {reason}",)


@pytest.mark.parametrize("option", ["text_column", "subject_column", "split_column"])
def test_options_of_tables_are_not_for_mimic(data, option):
    with pytest.raises(ConfigError, match=f"{option}: is for dataset: table, but .* is mimic3"):
        choose_source(DataConfig(data_path=data, **{option: "x"}), Reading())


def test_another_code_system_than_the_data_have_is_an_error(data):
    choose_source(DataConfig(data_path=data, code_system="icd9"), Reading())
    with pytest.raises(ConfigError, match="code_system: is icd10, but protocol patient has codes"):
        choose_source(DataConfig(data_path=data, code_system="icd10"), Reading())


def test_the_keys_of_all_sources_are_no_sources_own():
    own = {option for kind in source_types() for option in kind.own_options}
    assert not own & registry._OF_ALL
    assert set(DataConfig.model_fields) >= registry._OF_ALL


def test_the_source_of_a_folder_is_chosen_without_importing_the_others(data):
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys\n"
            "from icdcli.data.section import DataConfig\n"
            "from icdcli.data.sources.registry import choose_source\n"
            "from icdcli.io.csv_reader import Reading\n"
            f"choose_source(DataConfig(data_path={str(data)!r}), Reading())\n"
            "unwanted = ['urllib.request', 'pandas', 'icdcli.data.sources.table']\n"
            "print([name for name in unwanted if name in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
