"""The reader finds out what notes say of each mention.

In the examples, ``{negated|fever}`` marks words and the class that they must have. Unmarked words
may have any class.
"""

import re
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.cues import LANGUAGES, built_in_cues
from icdcli.lexical.assertion.reader import reader_of
from icdcli.lexical.assertion.scopes import Scopes

ENGLISH_CUES = built_in_cues("en")
Wrong = Callable[[str, str], list[str]]

ENGLISH = [
    "The patient {affirmed|had pneumonia}, which was treated.",
    "The patient denied {negated|asthma} and there was no evidence of {negated|asthma}.",
    "Negative for {negated|fever}, {negated|chills}, {negated|night sweats} or {negated|cough}.",
    "He denies {negated|nausea}/{negated|vomiting}.",
    "No {negated|fever}, and the {affirmed|CT} showed a {affirmed|renal mass}.",
    "No {negated|fever}, chills or {negated|cough} was noted but he had {affirmed|dyspnea}.",
    "No {negated|rash}, history of {historical|psoriasis}.",
    "No evidence\nof {negated|a fracture}.",
    "{negated|HIV} was negative. {affirmed|Anemia} was found.",
    "{affirmed|Gout} was treated, {negated|syphilis} was not found.",
    "Fever: yes\n{negated|Chest pain}: no\nCough: {affirmed|productive}\n{negated|Rash}: denied",
    "{negated|Edema} - none, {affirmed|ascites} - moderate",
    "{negated|Wheezing} (denied), {affirmed|stridor} (mild)",
    "She doesn’t have {negated|gallstones}.",
    "{affirmed|Gram negative} bacteremia; no improvement in {affirmed|renal failure}.",
    "His father had {family|a stroke}. He has {affirmed|migraine}.",
    "Family history: mother - {family|lupus}",
    "FAMILY HISTORY:\nMother: {family|lupus}\n{family|Gout} in a brother.\n\nSOCIAL HISTORY:\n"
    "{affirmed|alcohol dependence}",
    "Family history: sister with {family|epilepsy}. The patient had {affirmed|a seizure}.",
    "{family|Colon cancer} in his brother, and he has {affirmed|polyps}.",
    "The patient's mother reports that he had {affirmed|a seizure}.",
    "He lives with his son and has {affirmed|dementia}.",
    "He should return if {hypothetical|bleeding} develops.",
    "{hypothetical|Pulmonary embolism} was ruled out.",
    "R/o {hypothetical|appendicitis}. {affirmed|Appendectomy} was done.",
    "Indication: {hypothetical|rule out osteomyelitis}. Findings: {affirmed|cellulitis}.",
    "Concern for {hypothetical|sepsis}; possible {hypothetical|cholangitis}.",
    "He was screened for {hypothetical|colon cancer}.",
    "PMH:\n- {resolved|C. diff} (resolved)\n- {historical|HTN}\n- {resolved|DVT} - resolved",
    "{resolved|Pneumonia} in 2010, resolved. Resolved {resolved|hepatitis}, {affirmed|cirrhosis}.",
    "{resolved|Pancreatitis} (2012, treated, resolved), {affirmed|gallstones}.",
    "She had {resolved|asthma} as a child. Status post {resolved|DVT}, resolved.",
    "He had {resolved|tuberculosis} in 1985, which resolved with treatment.",
    "Remote {resolved|appendicitis}. Remote history of {historical|breast cancer}.",
    "PMH: {historical|gout} Family History: mother {family|lupus} Social History: smoker "
    "Assessment: {affirmed|pneumonia} ALLERGIES: sulfa {other|rash}",
    "45M father Family history: {family|lupus}\n1. PMH: {historical|gout}\n{affirmed|Cough} today.",
    "Denies {negated|fever} Physical exam: {affirmed|rales}, condition: {affirmed|stable angina}",
    "Her {affirmed|edema} resolved. PMH: {resolved|colitis} resolved.",
    "Her {affirmed|fever} resolved by day 2; {affirmed|cellulitis} resolved with antibiotics.",
    "Admitted on 2019-03-04 with {affirmed|fever} that resolved. {affirmed|Nausea} has resolved.",
    "Discharge diagnoses:\n1. {affirmed|Acute kidney injury}, resolved\n2. {affirmed|Sepsis} - "
    "resolved\n3. {resolved|Gout} in 2011, resolved",
    "The {affirmed|pneumothorax} is not resolved. Mother had {family|breast cancer}, resolved.",
    "{hypothetical|Pneumonia}? {affirmed|Emphysema}. CT for ?{hypothetical|abscess}",
    "[ ] {other|gout} (x) {affirmed|asthma} ( ) {other|lupus} [_] {other|stroke}",
    "{other|Gout} [ ]  {affirmed|asthma} [x]  {other|lupus} [ ]",
    "{negated|Seizures}: [ ] yes [x] no\n{affirmed|Asthma} [x] yes [ ] no",
    "She denies:\n- {negated|fever}\n- {negated|chills}\n\n{affirmed|Cough} for 3 days.",
    "Return if you develop:\n{hypothetical|Bleeding}\n{hypothetical|Fever}\n\nDx: {affirmed|UTI}",
    "CT head w/o contrast: {affirmed|subdural hematoma}. {affirmed|Edema}, JVD absent.",
    "Absent {negated|clubbing}; {negated|wheezing} absent, {affirmed|crackles} at both bases.",
    "{negated|rales} or {negated|rhonchi} absent. Ext: no c/c/e. Skin: {affirmed|rash}",
    "He was ruled out for {hypothetical|MI} and ruled in for {affirmed|pericarditis}.",
    "{hypothetical|PE} unlikely, {affirmed|pleurisy}. Possible {hypothetical|gout}.",
    "{hypothetical|Sarcoidosis} possible. Penicillin: {other|anaphylaxis}",
    "Her twin sister was diagnosed with {family|lupus}; {family|gout} in two paternal uncles.",
    "Denies {negated|fever}, has {affirmed|cough}. No {negated|rash}, {affirmed|pneumonia} treated "
    "with levofloxacin.",
    "Discharge instructions:\nYou were admitted for {affirmed|pneumonia}. Call for {other|fever}.",
    "No improvement in {affirmed|dyspnea}; not tolerating {affirmed|dialysis}.",
    "History of {historical|breast cancer}, presenting with {affirmed|jaundice}.",
    "Past Medical History: {historical|gout}, {historical|hypertension}\nHe has {affirmed|sepsis}.",
    "PMH:\n1. {historical|gout}\n2. {historical|asthma}\n\nHospital Course:\n{affirmed|Sepsis}.",
    "{historical|Pneumonia} five years ago.",
    "Allergies: penicillin (reaction: {other|urticaria})",
    "He is allergic to {other|peanuts}.",
    "[ ] {other|diabetes} [x] {affirmed|hypertension} [ ] {other|gout}",
    "☐ {other|diabetes}\n☑ {affirmed|hypertension}",
    "Counseled about {other|diabetes}.",
    "NO {negated|FEVER}. {affirmed|PNEUMONIA}.",
    "He had no {negated|fever}, 38.5 at home",
    "Seen by Dr. Smith. No {negated|angina} at rest.",
    "Resp: + {affirmed|cough}, - {negated|hemoptysis}",
    "{affirmed|HTN}, - on lisinopril for {affirmed|years}",
    "(+) {affirmed|dysphagia} (-) {negated|odynophagia} (-) {negated|wt loss}",
    "{affirmed|dysphagia} (+) {negated|odynophagia} (-) {affirmed|cough} (+)",
    "{affirmed|Diabetes}: (+), {negated|gout}: (-)",
    "{negated|Rash}: -\n{affirmed|Diabetes}: - metformin: 500 mg",
    "No longer has {negated|hematuria}. Continues to have {affirmed|flank pain}.",
    "Pt was not found to have {negated|endocarditis}. {affirmed|MSSA bacteremia} treated x 14 d.",
    "The patient's sister, who has {family|lupus}, drove her in. She has {affirmed|joint pain}.",
    "Her daughter, who noticed {affirmed|confusion}, called.",
    "Hx obtained from mother: {affirmed|fever} x 2d, no {negated|rash}.",
    "Pt dnies {negated|fevers}, {negated|chils}. C/o {affirmed|fatigue}.",
    "Pertinent negatives: {negated|fever}, {negated|stiff neck}. Pertinent positives: "
    "{affirmed|headache}.",
    "Impression: {hypothetical|pneumonia} cannot be excluded. {affirmed|Emphysema}.",
    "The {affirmed|pneumothorax} is not resolved on the follow-up film.",
    "Chest pain: denies\nShortness of breath: {affirmed|endorses dyspnea} w/ stairs",
]
SPANISH = [
    "Paciente que niega {negated|fiebre}, {negated|tos} y {negated|disnea}.",
    "No se palpan {negated|adenopatías}. Se palpa {affirmed|una masa}.",
    "Sin {negated|fiebre}, con {affirmed|tos}.",
    "No {negated|vómitos} ni {negated|diarrea}, pero presenta {affirmed|cefalea}.",
    "Se observa {affirmed|una masa}, sin {negated|metástasis}, y {affirmed|ascitis}.",
    "{negated|VIH} negativo. {affirmed|Lúes} tratada.",
    "{negated|Fiebre}: no. {affirmed|Tos}: sí",
    "Su padre tuvo {family|un infarto}. La paciente presenta {affirmed|neumonía}.",
    "Antecedentes familiares: madre con {family|psoriasis}. El paciente tiene {affirmed|gota}.",
    "{family|Cáncer de colon} en su padre.",
    "Acompañada por su madre, con {affirmed|fiebre}.",
    "Se descartó {hypothetical|tromboembolismo}.",
    "TAC para descartar {hypothetical|apendicitis}.",
    "Acuda a urgencias si presenta {hypothetical|fiebre} o {hypothetical|sangrado}.",
    "Antecedentes personales: {historical|asma}, {historical|diabetes}.\n\n"
    "Enfermedad actual: {affirmed|dolor abdominal}.",
    "Alergias: penicilina (reacción: {other|exantema}).",
    "Sin mejoría del {affirmed|dolor}. Bacilos gram negativos en {affirmed|la orina}.",
    "Intervenida de {historical|cáncer de mama} en 2003, libre de {negated|enfermedad}.",
    "Se descarta {hypothetical|TEP} mediante angioTC. {affirmed|Neumonía} en LID.",
    "Juicio clínico: {hypothetical|¿AIT?} {affirmed|HTA} mal controlada.",
    "Sin filiar causa de la {affirmed|anemia}. {affirmed|Hepatitis} no filiada, {affirmed|asma}.",
    "{affirmed|Vimentina} (+), {negated|desmina} (-)",
    "{affirmed|Dolor en FID}, {negated|Murphy} negativo, {affirmed|ictericia}.",
    "{affirmed|Dolor torácico}, descartada {hypothetical|isquemia}. {hypothetical|TEP} descartado.",
    "Madre con {family|HTA}, {family|DM}, presenta {affirmed|cefalea}.",
    "Acudir si {hypothetical|fiebre}. No {negated|tos}, sí {affirmed|disnea}.",
    "{negated|Diabetes}: no. {negated|Asma}: no. {affirmed|Gota}: si.",
    "{negated|Síndrome de Wolff-Parkinson-White}: no. {negated|Náuseas y vómitos}: ausentes.",
    "Alérgico a {other|penicilina}, {affirmed|HTA}. Alérgica a AAS, con "
    "antecedentes de {historical|EPOC}.",
    "Vive solo. Antecedentes familiares: padre con {family|gota}. Presenta {affirmed|debilidad}.",
    "{affirmed|Cardiomegalia}, no visible en la previa. {negated|Masas}, no "
    "visibles. {negated|TEP}, no visible.",
    "Su hermana presenta {family|lupus}. No fumador, diagnosticado de {affirmed|EPOC}.",
    "Paciente {negated|no diabético} con {affirmed|cetoacidosis}.",
    "{other|Gota}: [ ]\n{affirmed|Asma}: [x]\n{negated|Tos}: sí [ ] no [x]",
    "Cáncer de mama, {affirmed|osteoporosis}. Su mamá tiene {family|lupus}.",
    "¿{hypothetical|Colangitis}? {affirmed|Ictericia}. {hypothetical|Sepsis}?",
]
KOREAN = [
    "{negated|발열}, {negated|오한} 없음. {affirmed|기침} 있음.",
    "{affirmed|두통이} 있었고 {negated|발열은} 없었다.",
    "환자는 {negated|흉통을} 부인하였다.",
    "{negated|발열}(-), {affirmed|기침}(+), {negated|객담}(-)",
    "아버지가 {family|심근경색으로} 사망하였다. 환자는 {affirmed|폐렴으로} 입원하였다.",
    "가족력: 어머니 {family|유방암}\n현병력: {affirmed|폐렴}",
    "{hypothetical|폐색전증} 배제하기 위해 검사함.",
    "과거력: {historical|고혈압}, {historical|당뇨}",
    "{historical|당뇨병} 과거력 있음. {negated|고혈압} 과거력 없음.",
    "{other|페니실린} 알레르기 있음.",
    "{affirmed|부정맥이} 있다.",
    "□ {other|천식}  ■ {affirmed|당뇨병}  □ {other|결핵}",
    "{negated|당뇨}는 없으나 {affirmed|고지혈증}으로 약 복용 중.",
    "{negated|당뇨} 없으나 {hypothetical|폐렴} 의심됨.",
    "{affirmed|기침}/{affirmed|가래}/{negated|콧물} (+/+/-)",
    "{negated|HTN}/{affirmed|DM}: (-/+)",
    "{affirmed|부종} (+/-)",
    "{negated|고혈압}: (-), {affirmed|당뇨}: (+), {negated|간염}: (-)",
    "2015년 {historical|위절제술} 시행받은 분으로 {affirmed|어지러움} 있어 내원.",
    "{negated|약물 알레르기} 없음. {affirmed|알레르기 비염} 있음.",
    "{affirmed|고혈압}, 부정맥이 있다.",
    "가족력)\n부 {family|위암}\n\nImp) {affirmed|폐렴}",
    "r/o {hypothetical|pneumonia}, {affirmed|COPD} with acute exacerbation",
    "[v] {affirmed|고혈압} [ ] {other|당뇨} [v] 기타: {affirmed|통풍}",
    "{negated|고혈압} □ 유 ■ 무",
]


@pytest.mark.parametrize("marked", ENGLISH)
def test_english(marked: str, wrong: Wrong) -> None:
    assert wrong(marked, "en") == []


@pytest.mark.parametrize("marked", SPANISH)
def test_spanish(marked: str, wrong: Wrong) -> None:
    assert wrong(marked, "es") == []


@pytest.mark.parametrize("marked", KOREAN)
def test_korean(marked: str, wrong: Wrong) -> None:
    assert wrong(marked, "ko") == []


def test_a_scope_never_crosses_a_section() -> None:
    read = reader_of(ENGLISH_CUES).read("Review of Systems: denies\nAssessment: pneumonia")
    assert set(read.classes_S) == {Assertion.AFFIRMED}


def test_a_scope_is_short_without_sentence_marks() -> None:
    words = " ".join(f"finding{number}" for number in range(3_000))
    read = reader_of(ENGLISH_CUES).read(f"no fever {words}")
    assert read.at([3, len(words)]).tolist() == [Assertion.NEGATED, Assertion.AFFIRMED]


def test_a_text_of_cues_is_read_about_as_fast_without_sentence_marks() -> None:
    def seconds(sentence: str) -> float:
        start = time.process_time()
        reader_of(ENGLISH_CUES).read(sentence * 2_000)
        return time.process_time() - start

    words = "NO FEVER OR CHILLS AND RESOLVED GOUT"
    with_marks = seconds(f"{words}. ")
    assert seconds(f"{words} ") < 8 * with_marks


def test_a_cue_that_goes_on_with_a_list_is_in_the_scope_of_the_one_before_it() -> None:
    text = "No fever and no chills."
    read = reader_of(ENGLISH_CUES).read(text).at([text.index("no chills"), text.index("chills")])
    assert read.tolist() == [Assertion.NEGATED, Assertion.NEGATED]


def test_an_accent_of_its_own_changes_nothing() -> None:
    composed, decomposed = "no presentó náuseas", "no presento\u0301 na\u0301useas"
    reader = reader_of(built_in_cues("es"))
    assert reader.read(composed).at([14]) == reader.read(decomposed).at([15]) == Assertion.NEGATED


def test_own_cues_add_to_the_table_and_replace_its_rows() -> None:
    own = "cue\tassertion\tscope\nzilch\tnegated\tforward\ndenies\t-\tnone\n"
    reader = reader_of(ENGLISH_CUES + own)
    assert reader.read("zilch fever").at([6]) == Assertion.NEGATED
    assert reader.read("denies fever").at([7]) == Assertion.AFFIRMED
    assert reader_of(ENGLISH_CUES).read("denies fever").at([7]) == Assertion.NEGATED


_PIECES = st.sampled_from(
    [
        "no ",
        "fever",
        ", ",
        "\n",
        "\n\n",
        "[ ] ",
        "(",
        ")",
        ": ",
        "mother ",
        "if ",
        ". ",
        "á",
        "\x00",
    ]
)


@given(st.one_of(st.text(), st.lists(_PIECES).map("".join)))
def test_any_text_has_a_class_everywhere(text: str) -> None:
    read = reader_of(ENGLISH_CUES).read(text)
    assert read.starts_S[0] == 0
    assert (np.diff(read.starts_S) > 0).all()
    assert (np.diff(read.classes_S.astype(int)) != 0).all()
    assert len(read.starts_S) == len(read.classes_S)
    assert read.starts_S[-1] < max(len(text), 1)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_relatives_is_as_if_the_cues_said_the_same_of_the_patient(language):
    cues = built_in_cues(language)
    own, of_patient = reader_of(cues), reader_of(cues.replace("\tfamily\t", "\taffirmed\t"))
    relatives = 0
    for marked in {"en": ENGLISH, "es": SPANISH, "ko": KOREAN}[language]:
        text = re.sub(r"\{\w+\|([^}]*)\}", r"\1", marked)
        for found, plain in zip(own.read_twice(text), (own, of_patient), strict=True):
            expected = plain.read(text)
            assert np.array_equal(found.starts_S, expected.starts_S)
            assert np.array_equal(found.classes_S, expected.classes_S)
        relatives += Assertion.FAMILY in own.read(text).classes_S
    assert relatives > 1


@pytest.mark.parametrize(
    ("language", "item"),
    [("en", "denies fever, "), ("es", "niega fiebre, "), ("ko", "발열 없음, ")],
)
def test_lists_that_repeat_their_cue_are_read_item_by_item(language, item, monkeypatch):
    """Each scope ends at a cue like its own, so that time grows with the text, not its square."""
    looked_at = 0
    separates = Scopes._separates

    def counted(self, place):
        nonlocal looked_at
        looked_at += 1
        return separates(self, place)

    monkeypatch.setattr(Scopes, "_separates", counted)
    text = item * 300
    classes = reader_of(built_in_cues(language)).read(text)
    assert looked_at < 300 * 400
    words = [match.start() for match in re.finditer("fever|fiebre|발열", text)]
    assert set(classes.at(words).tolist()) == {Assertion.NEGATED}
