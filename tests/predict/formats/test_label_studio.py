"""Tasks for Label Studio: what its format for import says (no program of it is installed)."""

import json

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


def test_a_file_without_notes_is_an_empty_list(write):
    assert json.loads(write("labelstudio", "t.json", notes=[], stops=False).read_text()) == []
