"""Requests as Label Studio sends them; made by us after its documentation and its open server."""

import pytest
from word_model import client_of, find_words

from icdcli.service.label_studio import label_studio_router

VERSION = "outputs/notes 6f1c0a9d2b7e"
CONFIG = """<View>
  <Text name="note" value="$text"/>
  <Choices name="codes" toName="note" choice="multiple">
    <Choice value="I10"/><Choice value="J18.9 Pneumonia"/><Choice value="Diabetes" alias="E11.9"/>
  </Choices>
  <Labels name="words" toName="note"><Label value="I10"/><Label value="J18.9"/></Labels>
</View>"""
TEXT = "🫁 Has pneumonia 😷 and hypertension, no diabetes."
SETUP = {
    "project": "7.1764237200",
    "schema": CONFIG,
    "hostname": "http://localhost:8080",
    "access_token": "",
    "extra_params": None,
}


def predict_request(*texts: object, config: str = CONFIG) -> dict[str, object]:
    return {
        "tasks": [
            {
                "id": number,
                "data": {"text": text},
                "meta": {},
                "created_at": "2026-11-27T09:00:00Z",
                "is_labeled": False,
                "project": 7,
                "annotations": [],
                "predictions": [],
            }
            for number, text in enumerate(texts, start=31)
        ],
        "model_version": VERSION,
        "project": "7.1764237200",
        "label_config": config,
        "params": {"login": None, "password": None, "context": None},
    }


@pytest.fixture
def client():
    return client_of(label_studio_router(find_words, VERSION))


def test_it_is_connected_as_a_backend(client):
    assert client.get("/label-studio/health").json()["status"] == "UP"
    assert client.get("/label-studio/").json()["status"] == "UP"
    assert client.post("/label-studio/setup", json=SETUP).json() == {"model_version": VERSION}
    assert client.get("/label-studio/versions").json()["versions"] == [VERSION]


def test_codes_are_choices_and_their_words_are_regions(client):
    answer = client.post("/label-studio/predict", json=predict_request(TEXT, "Nothing."))
    [first, second] = answer.json()["results"]
    choices = next(result for result in first["result"] if result["type"] == "choices")
    # As the configuration names them; a note may deny a code's words and still have the code.
    assert choices["value"] == {"choices": ["I10", "J18.9 Pneumonia", "E11.9"]}
    assert (choices["from_name"], choices["to_name"], choices["score"]) == ("codes", "note", 0.75)
    regions = [result["value"] for result in first["result"] if result["type"] == "labels"]
    assert {region["labels"][0]: region["text"] for region in regions} == {
        "I10": "hypertension",
        "J18.9": "pneumonia",
    }
    assert all(TEXT[one["start"] : one["end"]] == one["text"] for one in regions)
    assert (first["model_version"], first["score"]) == (VERSION, 0.75)
    assert second == {"model_version": VERSION, "score": 0.0, "result": []}
    ids = [result["id"] for result in first["result"]]
    assert len(set(ids)) == len(ids)
    again = client.post("/label-studio/predict", json=predict_request(TEXT))
    assert again.json()["results"] == [first]


def test_a_taxonomy_gets_paths(client):
    config = """<View><Text name="t" value="$text"/><Taxonomy name="tree" toName="t">
      <Choice value="Circulatory"><Choice value="I10"/></Choice>
      <Choice value="Respiratory"><Choice value="J18"><Choice value="J18.9"/></Choice></Choice>
    </Taxonomy></View>"""
    answer = client.post("/label-studio/predict", json=predict_request(TEXT, config=config))
    [result] = answer.json()["results"][0]["result"]
    assert result["type"] == "taxonomy"
    assert result["value"] == {
        "taxonomy": [["Circulatory", "I10"], ["Respiratory", "J18", "J18.9"]]
    }


def test_the_principal_diagnosis_has_a_tag_of_its_own():
    async def find_principal(notes):
        found = []
        for note in await find_words(notes):
            # The last code is the principal diagnosis, but not predicted.
            codes = [code._replace(principal=False) for code in note.codes]
            codes[-1] = codes[-1]._replace(principal=True, predicted=False)
            found.append(note._replace(codes=tuple(codes)))
        return found

    tag = '<Choices name="principal" toName="note"><Choice value="I10"/><Choice value="E11.9"/>'
    config = CONFIG.replace("</View>", f"{tag}</Choices></View>")
    request = predict_request(TEXT, config=config)
    for find, expected in ((find_principal, [["E11.9"]]), (find_words, [])):
        client = client_of(label_studio_router(find, VERSION))
        answer = client.post("/label-studio/predict", json=request).json()["results"][0]
        of_tag = [one["value"] for one in answer["result"] if one["from_name"] == "principal"]
        assert of_tag == [{"choices": codes} for codes in expected]
        assert len([one for one in answer["result"] if one["from_name"] == "codes"]) == 1


def test_labels_that_tasks_bring_allow_every_code(client):
    config = '<View><Text name="t" value="$text"/><Choices name="c" toName="t" value="$o"/></View>'
    answer = client.post("/label-studio/predict", json=predict_request(TEXT, config=config))
    assert answer.json()["results"][0]["result"][0]["value"] == {
        "choices": ["I10", "J18.9", "E11.9"]
    }


def test_training_is_declined_politely(client):
    webhook = {"action": "START_TRAINING", "project": {"id": 7, "label_config": CONFIG}}
    for path in ("webhook", "train"):
        answer = client.post(f"/label-studio/{path}", json=webhook)
        assert answer.status_code == 201
        assert "prepare-data" in answer.json()["message"]


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        (predict_request(TEXT, config="<View>"), "the labeling configuration isn't XML (line 1)."),
        (predict_request(TEXT, config="<View/>"), "the labeling configuration needs a <Text>"),
        (predict_request(TEXT, config="<!DOCTYPE x><View/>"), "has a DOCTYPE"),
        (predict_request(None), "tasks[0]: data has no text in 'text'."),
        (predict_request(TEXT, {"a": 1}), "tasks[1]: data has no text in 'text'."),
        ({"label_config": CONFIG}, "tasks: should be a list of tasks."),
    ],
)
def test_bad_requests_are_refused_in_one_message_without_text(client, request_body, message):
    answer = client.post("/label-studio/predict", json=request_body)
    assert answer.status_code == 422
    assert message in answer.json()["message"]
    assert "pneumonia" not in answer.text
