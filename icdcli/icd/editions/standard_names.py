"""How FHIR, HL7 v2 and OMOP name the coding systems of editions.

FHIR's names are those of terminology.hl7.org and of the German FHIR project, those of HL7 v2 are in
its table 0396, and those of OMOP are its vocabularies. A system that isn't listed here has no name
that every receiver knows: in FHIR its codes have no system, in HL7 v2 they are local codes.
"""

from typing import NamedTuple


class SystemNames(NamedTuple):
    """The names of a coding system in standards.

    Attributes:
        uri: In FHIR; None: it has none.
        hl7: In HL7 v2.
        omop: The vocabulary in OMOP; None: it has none.
    """

    uri: str | None
    hl7: str
    omop: str | None


_OTHER_NAMES = {
    **dict.fromkeys(
        ("I10", "ICD10", "ICD-10", "ICD-10-CM", "ICD10CM", "urn:oid:2.16.840.1.113883.6.90"),
        "icd10cm",
    ),
    **dict.fromkeys(("ICD-10-PCS", "urn:oid:2.16.840.1.113883.6.4"), "icd10pcs"),
    **dict.fromkeys(
        ("I9", "ICD9", "ICD-9", "ICD-9-CM", "ICD9PROC", "I9CDX", "I9CP"),
        "icd9cm",
    ),
    **dict.fromkeys(
        ("urn:oid:2.16.840.1.113883.6.103", "urn:oid:2.16.840.1.113883.6.104"), "icd9cm"
    ),
    "http://hl7.org/fhir/sid/icd-10-pcs": "icd10pcs",
}
"""Further names in messages of American hospitals, which call ICD-10-CM ``I10``."""

_LOCAL = SystemNames(None, "L", None)
_SYSTEMS = {
    "icd9cm": SystemNames("http://hl7.org/fhir/sid/icd-9-cm", "I9C", "ICD9CM"),
    "icd10cm": SystemNames("http://hl7.org/fhir/sid/icd-10-cm", "I10C", "ICD10CM"),
    "icd10pcs": SystemNames("http://www.cms.gov/Medicare/Coding/ICD10", "I10P", "ICD10PCS"),
    "icd10gm": SystemNames("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "L", "ICD10GM"),
    "icd10who": SystemNames("http://hl7.org/fhir/sid/icd-10", "I10", "ICD10"),
    "icd11": SystemNames("http://id.who.int/icd/release/11/mms", "L", None),
}

_BY_NAME = {
    name: system
    for system, names in _SYSTEMS.items()
    for name in names
    if name is not None and name != _LOCAL.hl7
}


def standard_names(edition: str | None) -> SystemNames:
    """Return the names of an edition's coding system.

    Args:
        edition: The name of the edition, with or without its hash (``icd10cm-2026-04@6f1c…``);
            None: unknown.
    """
    return _SYSTEMS.get((edition or "").partition("@")[0].partition("-")[0], _LOCAL)


def system_named(name: str) -> str | None:
    """Return the coding system that FHIR or HL7 v2 calls so, such as ``icd10cm``.

    Returns:
        The beginning of the names of its editions; None: it is another system.
    """
    wanted = name.strip()
    for others in (_OTHER_NAMES, _BY_NAME):
        for key in (wanted, wanted.upper(), wanted.rstrip("/")):
            if key in others:
                return others[key]
    return None


def edition_version(edition: str | None) -> str | None:
    """Return the version in the name of an edition, such as ``2026-04``; None: it has none."""
    return (edition or "").partition("@")[0].partition("-")[2] or None
