"""The benchmark protocols: the notes and codes that count, and the split of each document.

A score is meaningful only together with its protocol, so each protocol has a name, which is part of
the corpus's folder and card. A split that is drawn here depends only on an id: it is the same on
every machine, in every version of Python, and for a subset of the data.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from icdcli.data.sources.admission import Admission, Code
from icdcli.errors import ConfigError
from icdcli.icd.codes import System

CodeFilter = Callable[[Counter[Code]], set[Code]]
"""Chooses codes by their counts."""

SALT = "icdcode patient split 1"
_TRAIN_SHARE, _VALIDATION_SHARE = 0.8, 0.1


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way of turning a data set into a benchmark.

    Attributes:
        name: The name in the configuration and the corpus.
        split_of: Returns the split of an admission; None: the admission is dropped.
        note_description: The DESCRIPTION of the discharge notes that count; None: all, addenda
            included.
        tabled_codes_only: Drop codes that aren't in the data set's own code tables.
        codes_as_caml: Write MIMIC-III's procedure codes as CAML read them.
        keep_codes: Chooses codes by the number of admissions with a note that have them; None: all
            codes.
        count_rows: Count the rows of the code tables instead: a code that is assigned twice to an
            admission counts twice.
        published_codes: The codes that the paper's authors published; they are used instead of
            `keep_codes` if the tables are those of the paper's release.
        system: The ICD version to read, if the data set has two; None: that of the data set or the
            configuration.
        charts: MDACE: the charts that count, ``Inpatient`` or ``Profee``.
        category: MDACE: the category of the notes that count; None: all.
        is_benchmark: Whether papers report on it: its splits are published lists, its labels the
            codes in use.
        revision: The number of its rules' version. A change makes another corpus of the same
            tables.
    """

    name: str
    split_of: Callable[[Admission], str | None]
    note_description: str | None = None
    tabled_codes_only: bool = False
    codes_as_caml: bool = False
    keep_codes: CodeFilter | None = None
    count_rows: bool = False
    published_codes: frozenset[str] | None = None
    system: System | None = None
    charts: str | None = None
    category: str | None = None
    is_benchmark: bool = False
    revision: int = 1

    def with_lists(self, splits: Mapping[str, str]) -> "Protocol":
        """Return the same protocol with its published splits.

        Args:
            splits: Admission id to split.
        """
        return replace(self, split_of=lambda admission: splits.get(admission.id))


def patient_split(admission: Admission) -> str:
    """Return the split of an admission, 80/10/10 by patient, so that no patient is in two splits.

    The first eight bytes of the SHA-256 of ``SALT:subject_id`` are read as a big-endian fraction of
    2**64: below 0.8 is train, below 0.9 validation, else test. Without a subject, the document's id
    is used.
    """
    subject = admission.subject_id if admission.subject_id is not None else admission.id
    digest = hashlib.sha256(f"{SALT}:{subject}".encode()).digest()
    fraction = int.from_bytes(digest[:8], "big") / 2**64
    if fraction < _TRAIN_SHARE:
        return "train"
    return "validation" if fraction < _TRAIN_SHARE + _VALIDATION_SHARE else "test"


def hadm_digit_split(admission: Admission) -> str:
    """Return the original tool's split: validation if the HADM_ID ends in 8 or 9, else train."""
    return "validation" if admission.id.endswith(("8", "9")) else "train"


def own_split(admission: Admission) -> str:
    """Return the split that the source itself defines."""
    if admission.split is None:
        raise ValueError(f"document {admission.id} comes without a split")
    return admission.split


def listed_split(admission: Admission) -> str | None:
    """Raise an error: the split of a benchmark is in its lists; see `Protocol.with_lists`."""
    raise ValueError(f"document {admission.id}: the protocol's split lists were not given")


def most_frequent(number: int) -> CodeFilter:
    """Return a filter that keeps the most frequent codes; if equal, the smaller strings."""

    def keep(counts: Counter[Code]) -> set[Code]:
        return set(sorted(counts, key=lambda code: (-counts[code], code))[:number])

    return keep


def at_least(number: int) -> CodeFilter:
    """Return a filter that keeps codes of at least this many admissions; kinds count separately."""
    return lambda counts: {code for code, count in counts.items() if count >= number}


PATIENT = Protocol("patient", patient_split)
HADM_DIGIT = Protocol(
    "hadm-digit", hadm_digit_split, note_description="Report", tabled_codes_only=True
)
OFFICIAL = Protocol("official", own_split)
SPLIT_COLUMN = Protocol("split-column", own_split)
SUBJECT_SPLITS = Protocol("subject-splits", own_split)

# The 50 codes of Mullenbach et al. 2018 as their repository and PLM-ICD's list them.
CAML_50 = frozenset(
    """
    038.9 244.9 250.00 272.0 272.4 276.1 276.2 285.1 285.9 287.5 305.1 311 33.24 36.15 37.22 37.23
    38.91 38.93 39.61 39.95 401.9 403.90 410.71 412 414.01 424.0 427.31 428.0 45.13 486 496 507.0
    511.9 518.81 530.81 584.9 585.9 599.0 88.56 88.72 96.04 96.6 96.71 96.72 99.04 99.15 995.92
    V15.82 V45.81 V58.61
    """.split()
)

# Mullenbach et al. 2018 (CAML); "-caml" with the codes as their preparation writes them.
MIMIC3_FULL = Protocol("mimic3-full", listed_split, is_benchmark=True)
MIMIC3_FULL_CAML = replace(MIMIC3_FULL, name="mimic3-full-caml", codes_as_caml=True, revision=2)
MIMIC3_50 = replace(
    MIMIC3_FULL,
    name="mimic3-50",
    keep_codes=most_frequent(50),
    count_rows=True,
    published_codes=CAML_50,
    revision=2,
)
# Edin et al. 2023.
MIMIC3_CLEAN = replace(MIMIC3_FULL, name="mimic3-clean", keep_codes=at_least(10))
MIMIC4_ICD9 = Protocol(
    "mimic4-icd9", listed_split, keep_codes=at_least(10), system="icd9", is_benchmark=True
)
MIMIC4_ICD10 = replace(MIMIC4_ICD9, name="mimic4-icd10", system="icd10")

# Cheng et al. 2023. The splits are those of the lists in MDACE's repository ("Evidence").
MDACE_ICD9 = Protocol(
    "mdace-icd9", own_split, system="icd9", charts="Inpatient", category="Discharge summary"
)
MDACE_ICD10 = replace(MDACE_ICD9, name="mdace-icd10", system="icd10")
MDACE_ICD9_PROFEE = replace(MDACE_ICD9, name="mdace-icd9-profee", charts="Profee", category=None)
MDACE_ICD10_PROFEE = replace(MDACE_ICD9_PROFEE, name="mdace-icd10-profee", system="icd10")


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
