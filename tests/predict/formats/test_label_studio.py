"""Tasks for Label Studio: what its format for import says (no program of it is installed)."""

import json

from icdcli.predict.formats.blocks import ModelName
from icdcli.predict.formats.label_studio import annotated_task
from icdcli.predict.writers import note_dict


def test_tasks_with_regions_and_choices(write, coded_notes):
    notes, coded = coded_notes
    tasks = json.loads(write("labelstudio", "tasks.json").read_text(encoding="utf-8"))
    assert [task["data"]["id"] for task in tasks] == [note.id for note in notes]
    for task, note, codes in zip(tasks, notes, coded, strict=True):
        assert task["data"]["text"] == note.text
        assert task["data"]["icdcode"] == note_dict(codes, note)
        (prediction,) = task["predictions"]
        assert "model notes@" in prediction["model_version"]
        for result in prediction["result"]:
            assert result["to_name"] == "text"
            value = result["value"]
            if result["type"] == "labels":
                assert result["from_name"] == "evidence"
                assert value["text"] == note.text[value["start"] : value["end"]]
        choices = [one["value"]["choices"] for one in prediction["result"]
                   if one["type"] == "choices"]  # fmt: skip
        assert choices == ([[one.code for one in codes.codes if one.predicted]] if codes.codes
                           else [])  # fmt: skip
    ids = [one["id"] for one in tasks[0]["predictions"][0]["result"]]
    assert len(set(ids)) == len(ids) == 4


def test_the_principal_diagnosis_has_a_tag_of_its_own(coded_notes):
    notes, coded = coded_notes
    model = ModelName("notes", "ab" * 32)
    [before] = annotated_task(notes[0], coded[0], model)["predictions"]
    assert not [one for one in before["result"] if one["from_name"] == "principal"]
    # It is marked even if it isn't predicted.
    codes = tuple(one._replace(principal=one.code == "J45.9") for one in coded[0].codes)
    [after] = annotated_task(notes[0], coded[0]._replace(codes=codes), model)["predictions"]
    assert after["result"][:-1] == before["result"]
    last = after["result"][-1]
    assert (last["from_name"], last["type"], last["score"]) == ("principal", "choices", 0.25)
    assert last["value"] == {"choices": ["J45.9"]}


def test_a_file_without_notes_is_an_empty_list(write):
    assert json.loads(write("labelstudio", "t.json", notes=[], stops=False).read_text()) == []
