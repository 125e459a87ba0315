"""The sentences and headings of synthetic discharge summaries; conditions have their own table.

In the templates, ``{x}`` is the condition, ``{X}`` the same with a capital letter, ``{he}`` and
``{He}`` the pronoun, ``{n}`` a number from 2 to 9 and ``{date}`` a day of the stay.
"""

from icdcli.data.synthetic.conditions import Place

# Place of a condition -> section -> how often the section mentions it; at least one always does.
NAMED_IN: dict[Place, dict[str, float]] = {
    "chronic": {"past": 0.75, "opening": 0.4, "course": 0.25, "diagnoses": 0.4},
    "status": {"past": 0.7, "opening": 0.35},
    "acute": {"course": 0.85, "diagnoses": 0.6, "presentation": 0.45},
    "procedure": {"procedures": 0.7, "course": 0.6},
    "smoking": {"social": 1.0},
    "alcohol": {"social": 1.0},
    "allergy": {"allergies": 1.0},
}
HEADINGS = {
    "procedures": (
        "Major Surgical or Invasive Procedure",
        "PROCEDURES",
        "Procedures this admission",
    ),
    "opening": (
        "History of Present Illness",
        "HISTORY OF PRESENT ILLNESS",
        "HPI",
        "REASON FOR ADMISSION",
    ),
    "past": ("Past Medical History", "PAST MEDICAL HISTORY", "PMH", "PMHx"),
    "social": ("Social History", "SOCIAL HISTORY", "SH"),
    "family": ("Family History", "FAMILY HISTORY", "FHx"),
    "exam": ("Physical Exam", "PHYSICAL EXAMINATION", "Exam on admission"),
    "course": ("Brief Hospital Course", "HOSPITAL COURSE", "Hospital Course by Problem"),
    "medications": ("Discharge Medications", "MEDICATIONS", "Medications on Admission"),
    "diagnoses": ("Discharge Diagnosis", "DISCHARGE DIAGNOSES", "FINAL DIAGNOSIS"),
    "instructions": ("Discharge Instructions", "FOLLOW-UP", "Followup Instructions"),
}
COURSE: dict[Place, tuple[str, ...]] = {
    "chronic": (
        "# {X}: home regimen was continued.",
        "{X} remained stable.",
        "For the {x}, medications were resumed.",
        "Management was limited by {x}.",
    ),
    "acute": (
        "# {X}: treated with improvement.",
        "The course was complicated by {x}.",
        "{He} was found to have {x}.",
        "{X} was managed with consult input.",
        "{X} developed on hospital day {n}, resolving slowly.",
        "Work-up was notable for {x}.",
    ),
    "procedure": (
        "{He} underwent {x} on [**{date}**].",
        "{X} was done without complication.",
        "{He} was taken for {x}.",
        "{He} required {x}.",
    ),
}
NEGATED = (
    "no evidence of {x}",
    "{He} denies any history of {x}",
    "work-up was negative for {x}",
    "{X} was ruled out",
    "there was no sign of {x}",
    "low suspicion for {x}",
    "imaging showed no {x}",
    "{X} was considered but thought unlikely",
    "presentation not consistent with {x}",
)
NEGATED_PROCEDURE = (
    "{He} did not require {x}",
    "{X} was considered but deferred",
    "{He} declined {x}",
    "no indication for {x}",
)
FAMILY = (
    "Father with {x}.",
    "Mother had {x}.",
    "Brother with {x}.",
    "Sister has {x}.",
    "Strong family history of {x}.",
)
HYPOTHETICAL = (
    "Monitor for {x}.",
    "Counselled on the risk of {x}.",
    "Outpatient evaluation for {x} was suggested.",
    "Watch for signs of {x}.",
)
RESOLVED = ("{X} during a prior stay, since resolved.", "Remote episode of {x}, no longer active.")
DENIED_SYMPTOMS = (
    "chest pain",
    "shortness of breath",
    "fevers",
    "chills",
    "nausea",
    "vomiting",
    "dysuria",
    "headache",
    "palpitations",
    "abdominal pain",
    "bloody stools",
    "cough",
)
SYMPTOMS = (
    "weakness",
    "fatigue",
    "dizziness",
    "malaise",
    "abdominal discomfort",
    "poor oral intake",
    "an elective admission",
)
OTHER_DRUGS = (
    "docusate 100 mg BID",
    "senna 8.6 mg BID prn",
    "acetaminophen 650 mg q6h prn",
    "multivitamin daily",
    "zolpidem 5 mg qhs prn",
    "metoprolol 25 mg BID",
    "aspirin 81 mg daily",
    "potassium chloride 20 mEq daily",
)
CARE = (
    "Physical therapy evaluated the patient and cleared for discharge.",
    "Diet was advanced as tolerated.",
    "Electrolytes were repleted as needed.",
    "Social work met with the family.",
    "Vital signs remained stable overnight.",
    "Pain was controlled with acetaminophen.",
    "Transferred to the floor on hospital day {n}.",
    "Nutrition was consulted and made recommendations.",
    "Home medications were reviewed with the pharmacy.",
    "The foley was removed and {he} voided.",
    "Subcutaneous heparin was given throughout the stay.",
    "Discussed with Dr. [**Last Name (STitle) {n}**] by phone.",
)
INSTRUCTIONS = (
    "Return for fever, chest pain or shortness of breath.",
    "Please weigh yourself every morning.",
    "Call your doctor if you have bleeding or confusion.",
    "Take all medications as prescribed.",
    "Follow up with Dr. [**Last Name (STitle) {n}**] in 2 weeks.",
)
NEVER_SMOKED = ("Never smoked.", "Denies tobacco use.", "No smoking history.")
HOME = ("Lives with family.", "Lives alone.", "Retired.", "Lives at [**Hospital3 {n}**].")
NO_ALCOHOL = ("Denies alcohol.", "Rare alcohol use.", "Drinks wine socially.", "No ETOH.")
SERVICES = ("MEDICINE", "MICU", "CARDIOTHORACIC", "SURGERY", "NEUROLOGY")
WITH = ("with", "with a history of", "w/ PMH of", "with h/o")
PRESENTS_WITH = ("who presents with", "admitted with", "transferred from [**Hospital1 18**] for")
FOUND_TO_HAVE = ("In the ED found to have", "Initial evaluation showed", "Diagnosed with")
# Category, description and text of notes that aren't discharge summaries.
OTHER_NOTES = (
    (
        "Radiology",
        "CHEST (PORTABLE AP)",
        'Portable chest radiograph. Lines in "standard" position.\nNo pneumothorax.',
    ),
    (
        "Nursing/other",
        "Report",
        'NPN 7p-7a: VSS overnight, afebrile.\nPt. stated "I feel ok". Continue to monitor.',
    ),
    (
        "ECG",
        "Report",
        "Sinus rhythm. Non-specific ST-T wave changes.\n"
        "No previous tracing available for comparison.",
    ),
)
SEEN_BY = ("case management", "physical therapy", "the primary team")
