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


_LOCAL = SystemNames(None, "L", None)
_SYSTEMS = {
    "icd9cm": SystemNames("http://hl7.org/fhir/sid/icd-9-cm", "I9C", "ICD9CM"),
    "icd10cm": SystemNames("http://hl7.org/fhir/sid/icd-10-cm", "I10C", "ICD10CM"),
    "icd10pcs": SystemNames("http://www.cms.gov/Medicare/Coding/ICD10", "I10P", "ICD10PCS"),
    "icd10gm": SystemNames("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "L", "ICD10GM"),
    "icd10who": SystemNames("http://hl7.org/fhir/sid/icd-10", "I10", "ICD10"),
    "icd11": SystemNames("http://id.who.int/icd/release/11/mms", "L", None),
}


def standard_names(edition: str | None) -> SystemNames:
    """Return the names of an edition's coding system.

    Args:
        edition: The name of the edition, with or without its hash (``icd10cm-2026-04@6f1c…``);
            None: unknown.
    """
    return _SYSTEMS.get((edition or "").partition("@")[0].partition("-")[0], _LOCAL)


def edition_version(edition: str | None) -> str | None:
    """Return the version in the name of an edition, such as ``2026-04``; None: it has none."""
    return (edition or "").partition("@")[0].partition("-")[2] or None
