"""The principal diagnoses of MIMIC, and of sources without any."""

import pytest

from icdcli.config.loading import load_config
from icdcli.data.benchmarks.protocols import PATIENT
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.sources.mimic4 import Mimic4Source
from icdcli.errors import ConfigError


def prepared(path, *options):
    return open_corpus(prepare(load_config(None, [f"data_path={path}", *options]).data).folder)


def test_mimic3_has_them_by_seq_num(data):
    table = data / "DIAGNOSES_ICD.csv"
    more = ["90,0,1000,2,4280", "91,1,1002,1,4280", "92,1,1004,2,25000"]
    table.write_text(table.read_text() + "\n".join(more) + "\n")
    plain, corpus = prepared(data), prepared(data, "principal=True")
    assert plain.name != corpus.name and not plain.has_principals
    found = {
        id: code
        for split in corpus.splits
        for id, code in zip(
            corpus.documents(split).ids, corpus.documents(split).principals, strict=True
        )
    }
    assert found["1000"] == found["1004"] == "401.9"
    assert found["1001"] == "428.0"
    assert found["1002"] is None  # two rows are first
    assert plain.card["splits"] == corpus.card["splits"]


def test_a_source_without_an_order_is_refused(tmp_path):
    omop = tmp_path / "omop"
    omop.mkdir()
    (omop / "note.csv").write_text("person_id,visit_occurrence_id,note_text\n1,1,Fever\n")
    condition = "visit_occurrence_id,condition_source_value\n1,I10\n"
    (omop / "condition_occurrence.csv").write_text(condition)
    with pytest.raises(ConfigError, match="principal: omop has no order of its codes"):
        prepared(omop, "principal=True")


def test_mimic4_has_them_by_version(tmp_path):
    tables = {
        "hosp/diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version\n"
        "1,5,1,I10,10\n1,5,2,E119,10\n2,6,1,4019,9\n2,6,2,J189,10\n",
        "hosp/procedures_icd": "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version\n"
        "1,5,1,,0BJ08ZZ,10\n",
        "hosp/d_icd_diagnoses": "icd_code,icd_version,long_title\nI10,10,Hypertension\n",
        "hosp/d_icd_procedures": "icd_code,icd_version,long_title\n0BJ08ZZ,10,Inspection\n",
        "note/discharge": "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n"
        "a,1,5,DS,1,,,Fever\nb,2,6,DS,1,,,Cough\n",
    }
    for name, content in tables.items():
        path = tmp_path / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    found = Mimic4Source(tmp_path, "icd10", ordered=True).admissions(PATIENT, tmp_path)
    assert [(one.id, one.principal) for one in found] == [("5", "I10"), ("6", None)]
