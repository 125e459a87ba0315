import pytest
from word_models import model_of, words

from icdcli.data.encounters.boundaries import NotePlace
from icdcli.data.encounters.joining import EncounterNote, NoteAbout, join_notes
from icdcli.explain.evidence import explain_codes
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.views import Views


def joined(*texts):
    return join_notes(
        [EncounterNote(NoteAbout(str(place)), text) for place, text in enumerate(texts)]
    )


def test_evidence_is_within_one_of_the_notes_of_an_encounter():
    model = model_of()
    together = joined("Dolor y fiebre", "fiebre alta", "nada")
    (whole,) = explain_codes(model, together.text, ["F00"])
    assert words(together.text, whole.spans) == ["fiebre\n\nfiebre"]
    assert [span.place for span in whole.spans] == [None]
    (found,) = explain_codes(model, together.text, ["F00"], together.notes)
    assert words(together.text, found.spans) == ["fiebre", "fiebre"]
    assert [span.place for span in found.spans] == [NotePlace("0", 8, 14), NotePlace("1", 0, 6)]
    assert sum(span.weight for span in found.spans) == pytest.approx(
        whole.spans[0].weight, abs=1e-5
    )


def test_neighboring_words_of_a_note_are_one_place():
    together = joined("nada", "con fiebre fiebre alta")
    (found,) = explain_codes(model_of(), together.text, ["F00"], together.notes)
    assert words(together.text, found.spans) == ["fiebre fiebre"]
    assert found.spans[0].place == NotePlace("1", 4, 17)
    assert found.spans[0].to_json()["note_id"] == "1"


def test_what_another_note_says_is_not_said_of_evidence():
    model = model_of(reading=NoteReading(Views(language="es")))
    together = joined("Antecedentes familiares:\n- madre sana", "fiebre alta")
    (whole,) = explain_codes(model, together.text, ["F00"])
    (found,) = explain_codes(model, together.text, ["F00"], together.notes)
    assert whole.spans[0].assertion == "family"
    assert found.spans[0].assertion == "affirmed"
