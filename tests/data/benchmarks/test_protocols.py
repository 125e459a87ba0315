from collections import Counter

import pytest

from icdcli.data.benchmarks.protocols import (
    HADM_DIGIT,
    OFFICIAL,
    PATIENT,
    choose_protocol,
    hadm_digit_split,
    own_split,
    patient_split,
)
from icdcli.data.sources.admission import Admission
from icdcli.errors import ConfigError


def test_the_patient_split_is_80_10_10_and_follows_the_subject():
    counts = Counter(patient_split(Admission("x", str(subject), "")) for subject in range(20_000))
    assert counts["train"] == pytest.approx(16_000, rel=0.03)
    assert counts["validation"] == pytest.approx(2_000, rel=0.08)
    assert counts["test"] == pytest.approx(2_000, rel=0.08)
    assert len({patient_split(Admission(str(number), "42", "")) for number in range(50)}) == 1


def test_the_patient_split_is_the_same_everywhere():
    # Computed once with another tool (sha256sum). A change would move patients between published
    # splits.
    splits = [
        patient_split(Admission("x", subject, ""))
        for subject in ("1", "3", "4", "18", "40", "10006")
    ]
    assert splits == ["validation", "train", "test", "test", "validation", "train"]


def test_without_a_subject_the_documents_id_decides():
    ids = [str(number) for number in range(200)]
    assert [patient_split(Admission(id, None, "")) for id in ids] == [
        patient_split(Admission("x", id, "")) for id in ids
    ]


@pytest.mark.parametrize(
    ("id", "split"), [("100008", "validation"), ("100009", "validation"), ("899990", "train")]
)
def test_the_last_digit_decides(id, split):
    assert hadm_digit_split(Admission(id, "8", "")) == split


def test_a_source_without_splits_has_none_of_its_own():
    assert own_split(Admission("1", None, "", split="test")) == "test"
    with pytest.raises(ValueError, match="document 1 comes without a split"):
        own_split(Admission("1", None, ""))


@pytest.mark.parametrize(("name", "chosen"), [(None, "patient"), ("hadm-digit", "hadm-digit")])
def test_the_first_protocol_is_the_default(name, chosen):
    assert choose_protocol("mimic3", (PATIENT, HADM_DIGIT), name).name == chosen


def test_a_protocol_of_another_data_set_is_refused():
    message = "protocol: 'patient' isn't defined for codiesp. Leave it out, or use one of: official"
    with pytest.raises(ConfigError, match=message):
        choose_protocol("codiesp", (OFFICIAL,), "patient")
