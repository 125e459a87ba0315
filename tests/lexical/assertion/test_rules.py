"""The general rules of the reader, each with texts that look alike and mean the opposite.

In the examples, ``{negated|fever}`` marks words and the class that they must have.
"""

import time
from collections.abc import Callable

import pytest

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.cues import built_in_cues, load_cues
from icdcli.lexical.assertion.forms import read_forms
from icdcli.lexical.assertion.reader import AssertionReader, reader_of

Wrong = Callable[[str, str], list[str]]
HEADER = "cue\tassertion\tscope\n"

FORMS = [
    ("en", "__ {other|gout}  _x_ {affirmed|asthma} ___ {other|lupus} _ {other|stroke}"),
    ("en", "_X_ {affirmed|gout}\n___ is a man with {affirmed|asthma}, seen by Dr. ___."),
    ("en", "{negated|Gout} ○ Yes ● No\n{affirmed|Asthma} ● Yes ○ No"),
    ("en", "○ {affirmed|gout}\n● {affirmed|asthma}"),
    ("en", "{negated|Gout} N\n{affirmed|Asthma} Y\n{negated|Stroke} no"),
    ("en", "Condition | Yes | No\n{negated|gout} | | X\n{affirmed|asthma} | X |"),
    (
        "en",
        "| Symptom | Y | N |\n|---|---|---|\n| {affirmed|Cough} | x | |\n| {negated|Rash} | | x |",
    ),
    ("en", "Item\tNo\tYes\nChest {negated|pain}\tx\t\n{affirmed|Cough}\t\tx\n\nLab | | x"),
    ("en", "{negated|Gout} ........ N\n{affirmed|Asthma} ........ Y"),
    ("en", "{affirmed|Gout} ✓\n{negated|Asthma} ✗"),
    ("en", "{negated|Gout} -- no\n{affirmed|Asthma} -- yes"),
    ("es", "{negated|Gota}: Sí ( ) No (X)\n{affirmed|Asma}: Sí (X) No ( )"),
    ("es", "__ {other|gota} _x_ {affirmed|asma}"),
    ("es", "{negated|Gota}: N\n{affirmed|Asma}: S\n{negated|Lupus} no"),
    ("es", "{negated|Gota} SÍ__ NO_X_\n{affirmed|Asma} SÍ_X_ NO__"),
    ("es", "Síntoma\tSí\tNo\n{negated|Fiebre}\t\tX\n{affirmed|Tos}\tX\t"),
    ("es", "{negated|Fiebre} no, {affirmed|tos} sí, {negated|disnea} no."),
    ("ko", "{negated|통풍} ( 유 □ , 무 ☑ )  {affirmed|천식} ( 유 ☑ , 무 □ )"),
    ("ko", "증상 | 예 | 아니오\n{negated|발열} | | √\n{affirmed|기침} | √ |"),
]
QUESTIONS = [
    ("en", "{negated|Gout}? No. {affirmed|Asthma}? Yes. {hypothetical|Lupus}?"),
    ("en", "Q: any history of {negated|seizures}? A: no\nCurrent {affirmed|headache}? Answer: yes"),
    ("en", "{hypothetical|Gout}? Now {affirmed|asthma}."),
    ("es", "¿{negated|Gota}? No. ¿{affirmed|Asma}? Sí. ¿{hypothetical|Lupus}? No se sabe."),
    ("ko", "{negated|통풍}? 아니오\n{affirmed|천식}? 예"),
]
ENDS = [
    ("en", "{hypothetical|Gout} was looked for but not found."),
    ("en", "{affirmed|Gout} was treated but not found to respond."),
    ("en", "{hypothetical|Gout} was sought and never seen; {affirmed|asthma}."),
    ("en", "{hypothetical|Gout} vs. {hypothetical|sepsis}, {affirmed|asthma}."),
    ("en", "Afebrile, VS stable, {affirmed|asthma}. VS 120/80 {affirmed|gout}."),
    ("en", "{affirmed|Mass} of 4 cm versus 11 cm before"),
    ("en", "{affirmed|Graft versus host disease}"),
]
CONFIRMED = [
    ("en", "Suspected {affirmed|gout}. Aspiration confirmed it."),
    ("en", "No fever, {affirmed|gout} confirmed by aspiration."),
    ("en", "{hypothetical|Gout} was suspected, {affirmed|sepsis} was confirmed by cultures."),
    ("es", "Se sospechó {affirmed|gota} y la punción lo confirmó. Posible {hypothetical|asma}."),
    ("es", "Sospecha de {affirmed|gota}. La punción lo confirma."),
    ("es", "Sospecha de {hypothetical|gota}. La punción confirma {affirmed|artrosis}."),
    ("es", "Sospecha de {hypothetical|gota}. No la confirma nadie."),
    ("es", "Posible {hypothetical|gota} que no se confirma."),
    ("es", "{negated|Gota} (descartada) y {affirmed|asma} (confirmada)."),
]
ANSWERED = [
    ("en", "Had {resolved|gout} in 2001; resolved. {affirmed|Asthma}; treated."),
    ("en", "{affirmed|Cough}, {hypothetical|gout}; ruled out. {affirmed|Asthma}."),
    ("en", "{affirmed|Gout}\nResolved"),
    ("en", "{affirmed|Gout}; resolved."),
]
PAST = [
    ("en", "s/p appendectomy for {resolved|appendicitis}, {historical|asthma}."),
    ("en", "Appendectomy for {affirmed|appendicitis} today."),
    ("es", "Apendicectomía por {resolved|apendicitis} en 1999. {affirmed|Asma}."),
    ("es", "Se realiza apendicectomía por {affirmed|apendicitis}."),
    ("es", "IQ: colecistectomía por {resolved|colelitiasis}"),
    ("es", "{resolved|Pericarditis (viral)} en 2001, sin secuelas."),
    ("es", "{affirmed|Pericarditis} sin secuelas."),
]
OVER = [
    ("en", "She was treated for {resolved|gout} in Rome in 1979 and it never recurred."),
    ("en", "She was treated for {affirmed|gout} since 1979 and it never recurred."),
    ("en", "She was treated for {affirmed|gout} in Rome and it never recurred."),
    ("es", "{resolved|Neumonía} en la mili, de la que se recuperó por completo."),
    ("ko", "2001년 {resolved|안면마비} 왔다가 치료 후 완전 회복."),
    ("ko", "2001년 3월 2일 {affirmed|안면마비} 왔다가 치료 후 완전 회복."),
]
STUDIES = [
    ("es", "Ecografía de tobillo por {hypothetical|esguince}, sin alteraciones."),
    ("es", "Ecografía de tobillo por {hypothetical|esguince}. Resultado normal."),
    ("es", "Ecografía de tobillo por {affirmed|esguince}, que confirma la rotura."),
    ("en", "MRI knee for {hypothetical|gout}: unremarkable"),
    ("en", "MRI done given {affirmed|gout}: erosions"),
]
OTHERS = [
    ("en", "A roommate from the second floor has {family|gout}."),
    ("en", "A roommate found her on the floor. She has {affirmed|gout}."),
    ("en", "Quoted rates of {hypothetical|sepsis} (1-2%). {affirmed|Stenosis} (70%)."),
    ("es", "Una vecina del tercer piso con {family|gota}. Ella, {affirmed|asma}."),
    ("es", "Conductor de autobús con {affirmed|gota}."),
    ("es", "Se habla de {hypothetical|ceguera} (1-2%). {affirmed|Estenosis} (70%)."),
    ("ko", "어린이집 친구 {family|수두} 앓음. {affirmed|천식} 있음."),
]
REASONS = [
    ("es", "{hypothetical|Gota}: se descarta con la punción. {affirmed|Asma}."),
    ("es", "{hypothetical|Estenosis}: se ha descartado mediante angiografía."),
    ("es", "Evolución: se descarta {hypothetical|gota}. {affirmed|Asma}."),
    (
        "es",
        "{affirmed|Asma} con alta. Plan: se descartó por edad la cirugía de {affirmed|cataratas}.",
    ),
]
SECTIONS = [
    ("es", "Alergias: no. {affirmed|Asma} en tratamiento."),
    ("es", "Alergias: penicilina. {other|Urticaria}."),
]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *FORMS,
        *QUESTIONS,
        *ENDS,
        *CONFIRMED,
        *ANSWERED,
        *PAST,
        *OVER,
        *STUDIES,
        *OTHERS,
        *REASONS,
        *SECTIONS,
    ],
)
def test_rules(language: str, text: str, wrong: Wrong) -> None:
    assert wrong(text, language) == []


@pytest.mark.parametrize("text", [text for _, text in FORMS])
def test_reading_a_form_keeps_the_places_of_its_words(text: str) -> None:
    assert len(read_forms(text)) == len(text)


def test_a_note_without_marks_is_no_form() -> None:
    text = "___ is a man.\nSex | M\nNo | of | visits\n_ x _"
    assert read_forms(text) == text


@pytest.mark.slow
def test_a_long_form_is_read_in_time_linear_in_its_length() -> None:
    reader = reader_of(built_in_cues("en"))
    row = "Gout | | x |\n__ gout _x_ asthma\nGout? No\nGout N\nlupus vs. sepsis not found\n"

    def seconds(rows: int) -> float:
        text = "Sign | Yes | No |\n" + row * rows
        start = time.perf_counter()
        reader.read(text)
        return time.perf_counter() - start

    seconds(10)
    short, long = min(seconds(200) for _ in range(3)), min(seconds(2_000) for _ in range(3))
    assert long < 30 * short


def test_a_cue_with_an_end_counts_only_before_the_end_of_a_clause() -> None:
    rows = "never came <end>\tnegated\tbackward\nbut\t-\tstop\n"
    reader = AssertionReader(load_cues(HEADER + rows))
    for text in ("gout never came", "gout never came, or so", "(gout never came)"):
        assert reader.read(text).at([text.index("gout")]) == Assertion.NEGATED, text
    assert reader.read("gout never came but pain").at([0]) == Assertion.NEGATED
    assert reader.read("gout never came back").at([0]) == Assertion.AFFIRMED


def test_any_word_may_stand_where_a_cue_says_so() -> None:
    reader = AssertionReader(load_cues(HEADER + "never <any> had\tnegated\tforward\n"))
    for text, expected in (
        ("never surely had gout", Assertion.NEGATED),
        ("never had gout", Assertion.AFFIRMED),
        ("never, had gout", Assertion.AFFIRMED),
        ("never quite surely had gout", Assertion.AFFIRMED),
    ):
        assert reader.read(text).of_span(len(text) - 4, len(text)) == expected


def test_a_group_that_may_be_missing_makes_two_cues() -> None:
    rows = "never <often>? had\tnegated\tforward\nreally\toften\tword\n"
    reader = AssertionReader(load_cues(HEADER + rows))
    for text, expected in (
        ("never had gout", Assertion.NEGATED),
        ("never really had gout", Assertion.NEGATED),
        ("never surely had gout", Assertion.AFFIRMED),
    ):
        assert reader.read(text).of_span(len(text) - 4, len(text)) == expected
