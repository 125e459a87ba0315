"""The named benchmark protocols: which notes count, which codes count, and which split a document falls into.

A score means something only beside the protocol that it was computed under, so each has a name that goes into the
corpus' folder and card. Where the split is drawn here, it depends on nothing but an id: it is the same on every
machine, in every version of Python, and for a subset of the data.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from icdcli.data.sources.admission import Admission, Code
from icdcli.errors import ConfigError
from icdcli.icd.codes import System

CodeFilter = Callable[[Counter[Code]], set[Code]]
"""Chooses codes by the number of admissions that have them."""

SALT = "icdcode patient split 1"
_TRAIN_SHARE, _VALIDATION_SHARE = 0.8, 0.1


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way of turning a data set into a benchmark.

    Attributes:
        name: As the config and the corpus write it.
        split_of: The split of an admission; None: it is in none, and is dropped.
        note_description: The one DESCRIPTION of discharge notes that is used; None: all, addenda included.
        tabled_codes_only: Whether codes outside the data set's own code tables are dropped.
        codes_as_caml: Whether MIMIC-III's procedure codes are written as CAML read them.
        keep_codes: Chooses codes by the number of admissions with a note that have them; None: all.
        system: The ICD version that the protocol reads, where the data set has two; None: the data set's or the config's.
        is_benchmark: Whether it is one that papers report on: its splits are published lists, its labels the codes in use.
    """

    name: str
    split_of: Callable[[Admission], str | None]
    note_description: str | None = None
    tabled_codes_only: bool = False
    codes_as_caml: bool = False
    keep_codes: CodeFilter | None = None
    system: System | None = None
    is_benchmark: bool = False

    def with_lists(self, splits: Mapping[str, str]) -> "Protocol":
        """The same protocol with its published splits.

        Args:
            splits: An admission's id to its split.
        """
        return replace(self, split_of=lambda admission: splits.get(admission.id))


def patient_split(admission: Admission) -> str:
    """80/10/10 by patient, so that no patient stands in two splits.

    The first eight bytes of SHA-256 over ``SALT:subject_id``, read as a big-endian fraction of 2**64, decide: below 0.8
    train, below 0.9 validation, else test. Where the source knows no subjects, the document's id takes their place.
    """
    subject = admission.subject_id if admission.subject_id is not None else admission.id
    digest = hashlib.sha256(f"{SALT}:{subject}".encode()).digest()
    fraction = int.from_bytes(digest[:8], "big") / 2**64
    if fraction < _TRAIN_SHARE:
        return "train"
    return "validation" if fraction < _TRAIN_SHARE + _VALIDATION_SHARE else "test"


def hadm_digit_split(admission: Admission) -> str:
    """The original tool's split: a HADM_ID ending in 8 or 9 is validation, the rest train; there is no test split."""
    return "validation" if admission.id.endswith(("8", "9")) else "train"


def own_split(admission: Admission) -> str:
    """The split that the source itself gives."""
    if admission.split is None:
        raise ValueError(f"document {admission.id} comes without a split")
    return admission.split


def listed_split(admission: Admission) -> str | None:
    """The split of a benchmark, which only its lists know; `Protocol.with_lists` takes its place."""
    raise ValueError(f"document {admission.id}: the protocol's split lists were not given")


def most_frequent(number: int) -> CodeFilter:
    """Keep so many codes, the most frequent ones; of as many, the smaller as a string."""

    def keep(counts: Counter[Code]) -> set[Code]:
        return set(sorted(counts, key=lambda code: (-counts[code], code))[:number])

    return keep


def at_least(number: int) -> CodeFilter:
    """Keep the codes that so many admissions have; a diagnosis and a procedure are two codes, so each kind counts apart."""
    return lambda counts: {code for code, count in counts.items() if count >= number}


PATIENT = Protocol("patient", patient_split)
HADM_DIGIT = Protocol(
    "hadm-digit", hadm_digit_split, note_description="Report", tabled_codes_only=True
)
OFFICIAL = Protocol("official", own_split)
SPLIT_COLUMN = Protocol("split-column", own_split)

# Mullenbach et al. 2018 (CAML); "-caml" with the codes as their preparation wrote them.
MIMIC3_FULL = Protocol("mimic3-full", listed_split, is_benchmark=True)
MIMIC3_FULL_CAML = replace(MIMIC3_FULL, name="mimic3-full-caml", codes_as_caml=True)
MIMIC3_50 = replace(MIMIC3_FULL, name="mimic3-50", keep_codes=most_frequent(50))
# Edin et al. 2023.
MIMIC3_CLEAN = replace(MIMIC3_FULL, name="mimic3-clean", keep_codes=at_least(10))
MIMIC4_ICD9 = Protocol(
    "mimic4-icd9", listed_split, keep_codes=at_least(10), system="icd9", is_benchmark=True
)
MIMIC4_ICD10 = replace(MIMIC4_ICD9, name="mimic4-icd10", system="icd10")


def choose_protocol(dataset: str, known: Sequence[Protocol], name: str | None) -> Protocol:
    """Return the protocol that a data set is prepared under.

    Args:
        dataset: The data set's name, for the message.
        known: The data set's protocols, the default first.
        name: The configured protocol; None: the default.

    Raises:
        ConfigError: If the data set doesn't know the protocol.
    """
    if name is None:
        return known[0]
    for protocol in known:
        if protocol.name == name:
            return protocol
    names = ", ".join(protocol.name for protocol in known)
    raise ConfigError(
        f"protocol: {name!r} isn't defined for {dataset}. Leave it out, or use one of: {names}"
    )
