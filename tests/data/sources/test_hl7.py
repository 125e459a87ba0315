"""Training from HL7 v2 messages that hl7apy has written."""

import pytest
from hl7apy.core import Message, Segment

from icdcli.data.benchmarks.protocols import PATIENT
from icdcli.data.corpus.prepare import prepare
from icdcli.data.section import DataConfig
from icdcli.data.sources.hl7 import Hl7Source
from icdcli.data.sources.registry import recognize
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading


def message(kind, id, *segments, visit="V7", patient="12345"):
    made = Message(kind, version="2.5")
    made.msh.msh_7 = "20260105100000"
    made.msh.msh_9 = kind.replace("_", "^") + f"^{kind}"
    made.msh.msh_10 = id
    made.msh.msh_11 = "P"
    made.add(segment("PID", pid_3=f"{patient}^^^HOSP^MR", pid_5="A^B"))
    made.add(segment("PV1", pv1_2="I", **({"pv1_19": f"{visit}^^^HOSP"} if visit else {})))
    for one in segments:
        made.add(one)
    return made.to_er7().encode()


def segment(name, **values):
    made = Segment(name, version="2.5")
    for field, value in values.items():
        setattr(made, field, value)
    return made


def text(value):
    return segment("OBX", obx_1="1", obx_2="TX", obx_3="18842-5^Note", obx_5=value, obx_11="F")


def dg1(code, system="I10C", type="F", **more):
    return segment("DG1", dg1_1="1", dg1_3=f"{code}^Title^{system}", dg1_6=type, **more)


PR1 = segment("PR1", pr1_1="1", pr1_3="0BJ08ZZ^Title^I10P", pr1_5="20260105")
MESSAGES = [
    message("MDM_T02", "m1", segment("TXA", txa_1="1", txa_2="DS", txa_4="20260107"), text("Late")),
    message(
        "ORU_R01", "m2", segment("OBR", obr_1="1", obr_4="1^X", obr_7="20260105"), text("Early")
    ),
    message("ADT_A03", "a1", dg1("I10"), dg1("E11.9", "I10"), PR1),
    message("ADT_A01", "a2", dg1("J18.9", type="A"), dg1("N17.9", dg1_21="D"), dg1("1", "SCT")),
    message("MDM_T02", "m3", text("Own codes"), dg1("I50.9"), visit="", patient="9"),
    message("ADT_A03", "a3", dg1("K35.80"), visit="", patient="9"),
]


def read(path):
    source = Hl7Source(path, reading=Reading())
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    return list(source.admissions(PATIENT, work)), source.reading


def test_notes_get_the_final_codes_of_their_visit_or_of_their_message(tmp_path):
    (tmp_path / "day.hl7").write_bytes(b"\r".join(MESSAGES))
    (visit, alone), reading = read(tmp_path / "day.hl7")
    assert visit.id == "V7"
    assert [visit.text[one.begin : one.end] for one in visit.notes] == ["Early", "Late"]
    assert {code.code for code in visit.codes} == {"I10", "E11.9", "0BJ08ZZ"}
    assert (alone.id, {code.code for code in alone.codes}) == ("message m3", {"I50.9"})
    assert reading.dropped["admitting and working diagnoses"] == 1
    assert reading.dropped["DG1 segments that were deleted"] == 1
    assert reading.dropped["codes of other coding systems"] == 1
    assert reading.dropped["codes without a visit (PV1-19)"] == 1


def test_a_folder_is_read_as_one_and_an_id_only_once(tmp_path):
    folder = tmp_path / "feed"
    folder.mkdir()
    for number, one in enumerate(MESSAGES):
        (folder / f"{number}.hl7").write_bytes(one)
    assert recognize(folder) == "hl7"
    for number in range(30):
        about = {"visit": f"W{number}", "patient": f"p{number}"}
        note, codes = text(f"Note {number}"), dg1("I10")
        (folder / f"n{number}.hl7").write_bytes(message("MDM_T02", f"n{number}", note, **about))
        (folder / f"c{number}.hl7").write_bytes(message("ADT_A03", f"c{number}", codes, **about))
    prepared = prepare(DataConfig(data_path=folder))
    assert sum(split["documents"] for split in prepared.card["splits"].values()) == 32
    assert prepared.card["choices"] == {"notes": "of 33 of 66 files"}
    (folder / "9.hl7").write_bytes(MESSAGES[0])
    with pytest.raises(DataError, match=r"9\.hl7: has the message m1 \(MSH-10\), as .*0\.hl7 has"):
        prepare(DataConfig(data_path=folder))


def test_messages_without_codes_of_the_system_say_which_there_are(tmp_path):
    (tmp_path / "n.hl7").write_bytes(
        b"\r".join([MESSAGES[0], message("ADT_A03", "a", dg1("1", "SCT"))])
    )
    with pytest.raises(
        DataError, match=r"has no code of icd10.* It has codes of SCT\. Set code_system"
    ):
        prepare(DataConfig(data_path=tmp_path / "n.hl7"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no file of this folder has HL7 v2 messages"):
        prepare(DataConfig(data_path=tmp_path / "empty", dataset="hl7"))
