"""Predicted codes in the formats of other programs: FHIR, OMOP, HL7 v2 and Label Studio."""
