"""The clinical vocabulary of the synthetic data: conditions, their frequencies and their wordings.

It is a table, separate from the code that writes notes, so that a clinician can read and correct
it. The codes are real ICD-9-CM codes; the wordings are those of discharge summaries: full names,
abbreviations, lay words. The rules of ICD-9-CM apply: a combination code replaces its parts
(hypertensive kidney disease), and a relevant history or status has a V-code.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

Place = Literal["chronic", "acute", "status", "smoking", "alcohol", "allergy", "procedure"]


@dataclass(frozen=True)
class Condition:
    """One code, its frequency and its wordings.

    Attributes:
        code: The dotted ICD-9-CM code.
        place: The part of a note that mentions it; ``procedure`` for procedure codes.
        rate: Share of admissions with it if no other code makes it likelier (of those with one of
            `needs`, if there are any).
        names: Wordings that fit into a list or sentence.
        likelier: Code to the factor by which it multiplies the odds of this one.
        needs: Codes of which one must be present.
        replaces: Codes that aren't coded together with this one.
        drugs: Medications that indicate it.
        findings: Complete sentences that indicate it without naming it.
        symptom: The symptom that brings the patient to the hospital.
        sex: ``F`` or ``M`` if only one can have it.
    """

    code: str
    place: Place
    rate: float
    names: tuple[str, ...]
    likelier: Mapping[str, float] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    drugs: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    symptom: str = ""
    sex: str = ""

    @property
    def kind(self) -> str:
        """Return the kind of code: ``diagnosis`` or ``procedure``."""
        return "procedure" if self.place == "procedure" else "diagnosis"


def _condition(
    place: Place,
    code: str,
    rate: float,
    names: str,
    *,
    likelier: Mapping[str, float] | None = None,
    needs: str = "",
    replaces: str = "",
    drugs: str = "",
    findings: str = "",
    symptom: str = "",
    sex: str = "",
) -> Condition:
    def parts(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split("|") if part.strip())

    return Condition(
        code, place, rate, parts(names), likelier or {}, tuple(needs.split()),
        tuple(replaces.split()), parts(drugs),
        parts(findings), symptom, sex,
    )  # fmt: skip


# The order matters: a condition's `likelier`, `needs` and `replaces` name conditions above it.
# fmt: off
_c = _condition
CHRONIC = (
    _c("chronic", "401.9", 0.46,
       "hypertension|HTN|htn|high blood pressure|essential hypertension|elevated blood pressure",
       drugs="lisinopril 10 mg daily|amlodipine 5 mg daily|hydrochlorothiazide 25 mg daily|"
       "metoprolol 25 mg BID"),
    _c("chronic", "272.4", 0.3, "hyperlipidemia|HLD|dyslipidemia|elevated lipids|lipid disorder",
       likelier={"401.9": 2}, drugs="simvastatin 40 mg daily|atorvastatin 20 mg daily"),
    _c("chronic", "272.0", 0.06, "hypercholesterolemia|high cholesterol|elevated cholesterol",
       replaces="272.4", drugs="pravastatin 40 mg daily|atorvastatin 20 mg daily"),
    _c("chronic", "250.00", 0.24,
       "type 2 diabetes|DM2|T2DM|diabetes mellitus type II|NIDDM|adult onset diabetes|DM",
       likelier={"401.9": 2, "272.4": 1.6},
       drugs="metformin 500 mg BID|glipizide 5 mg daily|glyburide 5 mg daily",
       findings="Fingersticks were covered with a sliding scale."),
    _c("chronic", "250.60", 0.14, "diabetes with neuropathy|DM2 c/b neuropathy|diabetic neuropathy",
       needs="250.00", replaces="250.00", drugs="gabapentin 300 mg TID"),
    _c("chronic", "414.01", 0.2,
       "coronary artery disease|CAD|three vessel CAD|coronary atherosclerosis|coronary disease",
       likelier={"401.9": 2, "272.4": 2.5, "250.00": 1.8},
       drugs="aspirin 81 mg daily|metoprolol 25 mg BID|isosorbide 30 mg daily"),
    _c("chronic", "427.31", 0.28,
       "atrial fibrillation|afib|a-fib|AF|paroxysmal atrial fibrillation|atrial fib",
       likelier={"414.01": 1.3},
       drugs="digoxin 0.125 mg daily|amiodarone 200 mg daily|diltiazem 120 mg daily",
       findings="Telemetry showed an irregularly irregular rhythm that was rate controlled."),
    _c("chronic", "428.0", 0.2,
       "congestive heart failure|CHF|heart failure|chf|CHF with reduced EF",
       likelier={"414.01": 2.2, "427.31": 2, "250.00": 1.3},
       drugs="furosemide 40 mg daily|torsemide 20 mg daily|carvedilol 6.25 mg BID",
       findings="Volume overloaded on exam and diuresed with IV lasix.|"
       "BNP was elevated and the patient was diuresed.", symptom="leg swelling and orthopnea"),
    _c("chronic", "585.9", 0.1,
       "chronic kidney disease|CKD|chronic renal insufficiency|CRI|stage III CKD",
       likelier={"250.00": 2.2, "250.60": 2.5, "428.0": 2}, drugs="calcitriol 0.25 mcg daily"),
    _c("chronic", "585.6", 0.022,
       "end stage renal disease|ESRD|ESRD on HD|dialysis dependent renal failure",
       likelier={"250.00": 2, "250.60": 3}, replaces="585.9",
       drugs="sevelamer 800 mg TID|nephrocaps daily"),
    _c("chronic", "403.90", 0.4,
       "hypertensive nephropathy|hypertensive kidney disease|renal disease due to hypertension",
       needs="585.9", replaces="401.9", drugs="amlodipine 5 mg daily"),
    _c("chronic", "496", 0.18,
       "COPD|chronic obstructive pulmonary disease|copd|obstructive lung disease|COPD on home O2",
       drugs="tiotropium 18 mcg daily|albuterol-ipratropium inhaler",
       symptom="worsening dyspnea and wheezing"),
    _c("chronic", "493.90", 0.045, "asthma|reactive airway disease|mild intermittent asthma",
       drugs="fluticasone inhaler BID|albuterol inhaler prn|montelukast 10 mg daily"),
    _c("chronic", "530.81", 0.28, "GERD|gastroesophageal reflux|acid reflux|reflux disease|gerd",
       drugs="omeprazole 20 mg daily|pantoprazole 40 mg daily"),
    _c("chronic", "244.9", 0.17, "hypothyroidism|low thyroid function|underactive thyroid",
       drugs="levothyroxine 75 mcg daily|levothyroxine 100 mcg daily|synthroid 50 mcg daily"),
    _c("chronic", "311", 0.13, "depression|depressive disorder|major depression",
       drugs="sertraline 50 mg daily|citalopram 20 mg daily|fluoxetine 20 mg daily"),
    _c("chronic", "278.00", 0.035, "obesity|obese body habitus|excess weight",
       likelier={"250.00": 2}),
    _c("chronic", "274.9", 0.045, "gout|gouty arthritis|gout flares", likelier={"585.9": 2},
       drugs="allopurinol 100 mg daily|colchicine 0.6 mg daily"),
    _c("chronic", "733.00", 0.035, "osteoporosis|low bone density|osteoporotic bones",
       drugs="alendronate 70 mg weekly|calcium with vitamin D"),
    _c("chronic", "424.1", 0.04,
       "aortic stenosis|severe AS|aortic valve stenosis|critical aortic stenosis",
       symptom="exertional lightheadedness"),
    _c("chronic", "294.8", 0.035, "dementia|baseline dementia|chronic cognitive decline",
       drugs="donepezil 10 mg daily|memantine 10 mg BID"),
    _c("chronic", "571.2", 0.022, "alcoholic cirrhosis|ETOH cirrhosis|cirrhosis from alcohol",
       drugs="lactulose 30 mL TID|spironolactone 50 mg daily"),
    _c("chronic", "340", 0.006, "multiple sclerosis|relapsing MS", drugs="interferon beta weekly"),
    _c("smoking", "305.1", 0.09,
       "current smoker|smokes 1 ppd|active tobacco use|ongoing tobacco use", likelier={"496": 2.5},
       drugs="nicotine patch 21 mg daily"),
    _c("alcohol", "303.90", 0.025,
       "alcohol dependence|ETOH dependence|drinks a pint of vodka daily|chronic alcoholism",
       likelier={"571.2": 12}, drugs="thiamine 100 mg daily|folic acid 1 mg daily"),
)
STATUS = (
    _c("smoking", "V15.82", 0.16,
       "former smoker|quit smoking 10 years ago|remote tobacco use|ex-smoker", replaces="305.1",
       likelier={"496": 3, "414.01": 1.5}),
    _c("status", "V58.61", 0.07,
       "on coumadin|anticoagulated with warfarin|on chronic anticoagulation",
       likelier={"427.31": 6}, drugs="warfarin 5 mg daily|coumadin 2.5 mg daily"),
    _c("status", "V58.67", 0.22, "on insulin at home|insulin requiring|takes lantus",
       needs="250.00 250.60", drugs="insulin glargine 20 units qhs|humalog sliding scale"),
    _c("status", "412", 0.16, "prior MI|old myocardial infarction|MI in [**{year}**]",
       needs="414.01"),
    _c("status", "V45.81", 0.16, "s/p CABG in [**{year}**]|prior bypass surgery|history of CABG",
       needs="414.01"),
    _c("status", "V45.82", 0.18,
       "s/p PCI in [**{year}**]|prior coronary stents|history of stents to the LAD", needs="414.01",
       drugs="clopidogrel 75 mg daily"),
    _c("status", "V45.01", 0.018, "s/p PPM|pacemaker in place|has a permanent pacemaker",
       likelier={"427.31": 4}),
    _c("status", "V12.54", 0.025,
       "prior TIA|history of stroke without residual deficits|h/o CVA in [**{year}**]",
       likelier={"427.31": 2, "401.9": 1.5}),
    _c("status", "V10.3", 0.03,
       "history of breast cancer|h/o breast CA s/p lumpectomy|breast cancer in remission", sex="F"),
    _c("status", "V10.46", 0.03,
       "history of prostate cancer|prostate CA s/p radiation|h/o prostate cancer", sex="M"),
    _c("allergy", "V14.0", 0.03, "penicillins|penicillin (rash)|PCN"),
    _c("status", "V49.86", 0.03, "DNR/DNI|do not resuscitate|code status DNR",
       likelier={"294.8": 4}),
)
ACUTE = (
    _c("acute", "584.9", 0.18,
       "acute renal failure|ARF|acute kidney injury|AKI|prerenal acute kidney injury",
       likelier={"585.9": 3, "428.0": 1.8},
       findings="Creatinine rose to 2.8 from a baseline of 1.1 and came down with fluids.|"
       "" "Creatinine peaked at 3.1; ACE inhibitor was held."),
    _c("acute", "599.0", 0.15, "urinary tract infection|UTI|E. coli UTI|E. coli in the urine",
       likelier={"294.8": 2},
       findings="Urine culture grew E. coli and ciprofloxacin was given for three days."),
    _c("acute", "486", 0.13,
       "pneumonia|PNA|community acquired pneumonia|CAP|RLL pneumonia|lobar pneumonia",
       likelier={"496": 2},
       findings="Chest film with a new consolidation, treated with levofloxacin.",
       symptom="cough and fever"),
    _c("acute", "507.0", 0.025,
       "aspiration pneumonia|aspiration pneumonitis|aspiration event with infiltrate",
       replaces="486", likelier={"294.8": 4}, symptom="fever after a choking episode"),
    _c("acute", "038.9", 0.06, "septicemia|septic picture|bloodstream infection with sepsis",
       likelier={"486": 2.5, "599.0": 2}, symptom="fever and rigors"),
    _c("acute", "995.91", 0.45, "sepsis|urosepsis physiology|sepsis without organ dysfunction",
       needs="038.9"),
    _c("acute", "995.92", 0.5,
       "severe sepsis|sepsis with organ dysfunction|sepsis with lactate of 5", needs="038.9",
       replaces="995.91"),
    _c("acute", "785.52", 0.6, "septic shock|sepsis requiring pressors|vasodilatory septic shock",
       needs="995.92",
       findings="Remained hypotensive despite 4 liters and was started on norepinephrine."),
    _c("acute", "518.81", 0.09,
       "respiratory failure|acute respiratory failure|hypoxic respiratory failure|"
       "hypercarbic respiratory failure", likelier={"486": 3, "507.0": 5, "496": 2, "995.92": 5},
       symptom="respiratory distress"),
    _c("acute", "285.9", 0.16, "anemia|chronic anemia|low hematocrit|anemia of unclear cause",
       likelier={"585.9": 2, "585.6": 2}),
    _c("acute", "578.9", 0.025,
       "GI bleed|gastrointestinal hemorrhage|GIB|gastrointestinal bleeding",
       likelier={"V58.61": 2, "571.2": 6}, symptom="melena"),
    _c("acute", "285.1", 0.045,
       "acute blood loss anemia|anemia due to blood loss|postoperative blood loss anemia",
       replaces="285.9", likelier={"578.9": 15}),
    _c("acute", "276.1", 0.055, "hyponatremia|low sodium|hypoosmolar hyponatremia",
       likelier={"571.2": 2},
       findings="Sodium was 124 on arrival and corrected with fluid restriction."),
    _c("acute", "410.71", 0.03,
       "NSTEMI|non-ST elevation MI|non-ST elevation myocardial infarction|"
       "subendocardial infarction", likelier={"414.01": 4},
       findings="Troponin peaked at 1.4 with ST depressions and heparin was started.",
       symptom="chest pressure"),
    _c("acute", "511.9", 0.03, "pleural effusion|bilateral pleural effusions|effusion on the right",
       likelier={"428.0": 2.5}),
    _c("acute", "287.5", 0.035, "thrombocytopenia|low platelets|drop in platelets",
       likelier={"571.2": 5, "995.92": 3}),
    _c("acute", "008.45", 0.018, "C. difficile colitis|c diff|C. diff infection",
       likelier={"486": 2}, drugs="metronidazole 500 mg TID|oral vancomycin 125 mg QID",
       symptom="profuse diarrhea"),
    _c("acute", "434.91", 0.022, "ischemic stroke|acute CVA|MCA stroke|cerebral infarction",
       likelier={"427.31": 2.5}, symptom="sudden facial droop"),
    _c("acute", "415.19", 0.016, "pulmonary embolism|PE|pulmonary emboli",
       symptom="pleuritic chest pain", drugs="enoxaparin 80 mg BID"),
    _c("acute", "291.81", 0.003, "alcohol withdrawal|ETOH withdrawal", likelier={"303.90": 60},
       findings="Placed on a CIWA scale with diazepam.", symptom="tremor"),
    _c("acute", "820.8", 0.012, "hip fracture|femoral neck fracture", likelier={"733.00": 6},
       symptom="hip pain after a fall"),
    _c("acute", "E885.9", 0.003, "slipped and fell|mechanical fall after tripping",
       likelier={"820.8": 200}),
    _c("acute", "427.5", 0.006, "cardiac arrest|PEA arrest", symptom="collapse at home"),
    _c("acute", "V66.7", 0.003, "comfort measures only|CMO|hospice care", likelier={"V49.86": 25}),
)
PROCEDURES = (
    _c("procedure", "36.13", 0.09, "CABG x3|three vessel CABG|coronary artery bypass grafting x 3",
       needs="414.01"),
    _c("procedure", "36.12", 0.05, "CABG x2|two vessel bypass|coronary artery bypass grafting x 2",
       needs="414.01", replaces="36.13"),
    _c("procedure", "36.15", 0.9, "LIMA to LAD|left internal mammary graft to the LAD",
       needs="36.13 36.12"),
    _c("procedure", "35.21", 0.3,
       "bioprosthetic AVR|tissue aortic valve replacement|"
       "aortic valve replacement with a porcine valve", needs="424.1"),
    _c("procedure", "39.61", 0.95,
       "cardiopulmonary bypass|on-pump surgery|extracorporeal circulation",
       needs="36.13 36.12 35.21"),
    _c("procedure", "37.22", 0.02, "cardiac catheterization|left heart cath|cardiac cath",
       likelier={"410.71": 25, "36.13": 12, "424.1": 4}),
    _c("procedure", "88.56", 0.9, "coronary angiography|coronary angiogram", needs="37.22"),
    _c("procedure", "00.66", 0.35, "PTCA|angioplasty of the RCA|balloon angioplasty",
       needs="410.71"),
    _c("procedure", "36.07", 0.8, "drug eluting stent to the RCA|DES placement|cypher stent",
       needs="00.66"),
    _c("procedure", "96.04", 0.025, "intubation|endotracheal intubation|emergent intubation",
       likelier={"518.81": 16, "427.5": 20}),
    _c("procedure", "96.71", 0.9,
       "mechanical ventilation for two days|brief ventilator support, extubated on day 2",
       needs="96.04"),
    _c("procedure", "96.72", 0.35,
       "prolonged mechanical ventilation|ventilator support for seven days", needs="96.04",
       replaces="96.71"),
    _c("procedure", "38.93", 0.07,
       "central line placement|right IJ central venous line|PICC placement|central venous catheter",
       likelier={"995.92": 8, "518.81": 4, "008.45": 2}),
    _c("procedure", "99.04", 0.07,
       "transfusion of 2 units PRBC|packed red cell transfusion|PRBC transfusion",
       likelier={"285.1": 10, "578.9": 6, "36.13": 3},
       findings="Received two units of red cells with an appropriate rise."),
    _c("procedure", "39.95", 0.75, "hemodialysis|HD|hemodialysis sessions", needs="585.6"),
    _c("procedure", "45.13", 0.55, "EGD|upper endoscopy", needs="578.9"),
    _c("procedure", "93.90", 0.012, "BiPAP|noninvasive ventilation",
       likelier={"518.81": 5, "496": 3}),
    _c("procedure", "88.72", 0.05, "transthoracic echocardiogram|TTE|echocardiogram",
       likelier={"428.0": 4, "434.91": 4, "424.1": 4}),
    _c("procedure", "79.35", 0.75, "ORIF of the femur|open reduction and internal fixation",
       needs="820.8"),
)
# fmt: on
CONDITIONS = CHRONIC + STATUS + ACUTE + PROCEDURES
BY_CODE: Mapping[tuple[str, str], Condition] = {
    (condition.code, condition.kind): condition for condition in CONDITIONS
}
CARRIED_PLACES = ("chronic", "status", "smoking", "alcohol", "allergy")


def sample_conditions(
    rng: Random, sex: str, carried: Collection[Condition] = ()
) -> list[Condition]:
    """Draw the conditions of one admission, each given those above it in the table.

    Args:
        rng: The random generator.
        sex: ``F`` or ``M``.
        carried: Conditions of the patient's earlier admission, which remain.

    Returns:
        The conditions that are coded, in the table's order; sometimes none.
    """
    present: dict[str, Condition] = {}
    for condition in CONDITIONS:
        if condition.sex not in ("", sex) or (
            condition.needs and not present.keys() & set(condition.needs)
        ):
            continue
        odds = condition.rate / (1 - condition.rate)
        for code, factor in condition.likelier.items():
            odds *= factor if code in present else 1
        if rng.random() < odds / (1 + odds) or condition in carried:
            present[condition.code] = condition
            for code in condition.replaces:
                present.pop(code, None)
    return list(present.values())
