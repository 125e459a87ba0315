"""What the sources of FHIR, HL7 v2 and MEDS share: codes that name their coding system."""
