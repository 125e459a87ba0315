"""The named benchmark protocols: which notes count, which codes count, and which split a document falls into.

A score means something only beside the protocol that it was computed under, so each has a name that goes into the
corpus' folder and card. Where the split is drawn here, it depends on nothing but an id: it is the same on every
machine, in every version of Python, and for a subset of the data.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from icdcli.data.admission import Admission
from icdcli.errors import ConfigError

SALT = "icdcode patient split 1"
_TRAIN_SHARE, _VALIDATION_SHARE = 0.8, 0.1


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way of turning a data set into a benchmark.

    Attributes:
        name: As the config and the corpus write it.
        split_of: The split of an admission.
        note_description: The one DESCRIPTION of discharge notes that is used; None: all, addenda included.
        tabled_codes_only: Whether codes outside the data set's own code tables are dropped.
    """

    name: str
    split_of: Callable[[Admission], str]
    note_description: str | None = None
    tabled_codes_only: bool = False


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


PATIENT = Protocol("patient", patient_split)
HADM_DIGIT = Protocol("hadm-digit", hadm_digit_split, note_description="Report", tabled_codes_only=True)
OFFICIAL = Protocol("official", own_split)
SPLIT_COLUMN = Protocol("split-column", own_split)

# For each data set its protocols, the default first.
_PROTOCOLS = {
    "mimic3": (PATIENT, HADM_DIGIT),
    "codiesp": (OFFICIAL,),
    "table": (PATIENT,),
}


def choose_protocol(dataset: str, name: str | None, split_column: bool = False) -> Protocol:
    """The protocol that a data set is prepared under.

    Args:
        dataset: ``mimic3``, ``codiesp`` or ``table``.
        name: The configured protocol; None: the data set's own.
        split_column: Whether the source is a table that gives each document's split.

    Raises:
        ConfigError: When the data set doesn't know the protocol.
    """
    known = _PROTOCOLS[dataset]
    if split_column:
        known = (SPLIT_COLUMN, *known)
    if name is None:
        return known[0]
    for protocol in known:
        if protocol.name == name:
            return protocol
    names = " or ".join(protocol.name for protocol in known)
    raise ConfigError(f"protocol: {name!r} isn't defined for {dataset}; leave it out, or use {names}")
