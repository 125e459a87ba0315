"""Requests as INCEpTION sends them; made by us after its developer guide."""

from xml.etree import ElementTree

import pytest
from word_model import client_of, find_words

from icdcli.service.inception import inception_router

TEXT = "🫁 Has pneumonia.\r\nAnd\thypertension 😷 & <so on>, no diabetes."
ESCAPED = (
    (TEXT.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;"))
    .replace("\n", "&#10;")
    .replace("\t", "&#9;")
)
SPAN_LAYER, DOCUMENT_LAYER = "webanno.custom.Code", "webanno.custom.DocumentCode"
XMI = f"""<?xml version="1.0" encoding="UTF-8"?>
<xmi:XMI xmlns:tcas="http:///uima/tcas.ecore" xmlns:xmi="http://www.omg.org/XMI"
    xmlns:cas="http:///uima/cas.ecore"
    xmlns:type4="http:///de/tudarmstadt/ukp/dkpro/core/api/segmentation/type.ecore"
    xmi:version="2.0"><cas:NULL xmi:id="0"/>
  <tcas:DocumentAnnotation xmi:id="8" sofa="1" begin="0" end="62" language="x-unspecified"/>
  <type4:Sentence xmi:id="19" sofa="1" begin="0" end="17"/>
  <cas:Sofa xmi:id="1" sofaNum="1" sofaID="_InitialView" mimeType="text" sofaString="{ESCAPED}"/>
  <cas:View sofa="1" members="8 19"/></xmi:XMI>"""


def layer_type(name: str, supertype: str) -> str:
    features = "".join(
        f"<featureDescription><name>{feature}</name><description/>"
        f"<rangeTypeName>uima.cas.{kind}</rangeTypeName></featureDescription>"
        for feature, kind in (
            ("value", "String"),
            ("inception_internal_predicted", "Boolean"),
            ("value_score", "Double"),
            ("value_score_explanation", "String"),
        )
    )
    return (
        f"<typeDescription><name>{name}</name><description/><supertypeName>{supertype}"
        f"</supertypeName><features>{features}</features></typeDescription>"
    )


TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?><typeSystemDescription '
    'xmlns="http://uima.apache.org/resourceSpecifier"><types>'
    + layer_type(SPAN_LAYER, "uima.tcas.Annotation")
    + layer_type(DOCUMENT_LAYER, "uima.cas.AnnotationBase")
    + "</types></typeSystemDescription>"
)


def predict_request(
    layer: str = SPAN_LAYER, xmi: str = XMI, types: str = TYPES
) -> dict[str, object]:
    return {
        "metadata": {
            "layer": layer,
            "feature": "value",
            "projectId": 1337,
            "anchoringMode": "tokens",
            "crossSentence": False,
            "range": {"begin": 0, "end": 62},
        },
        "document": {"xmi": xmi, "documentId": 42, "userId": "testuser"},
        "typeSystem": types,
    }


@pytest.fixture
def client():
    return client_of(inception_router(find_words))


def suggestions(xmi: str, layer: str) -> list[dict[str, str]]:
    package, _, name = layer.rpartition(".")
    tag = f"{{http:///{package.replace('.', '/')}.ecore}}{name}"
    return [dict(element.attrib) for element in ElementTree.fromstring(xmi).iter(tag)]


def test_words_behind_codes_are_suggestions(client):
    answer = client.post("/inception/predict", json=predict_request())
    assert answer.status_code == 200
    document = answer.json()["document"]
    found = suggestions(document, SPAN_LAYER)
    # Java counts UTF-16 units; the words that the note denies aren't suggested.
    units = TEXT.encode("utf-16-le")
    shown = {one["value"]: units[2 * int(one["begin"]) : 2 * int(one["end"])] for one in found}
    assert {code: words.decode("utf-16-le") for code, words in shown.items()} == {
        "I10": "hypertension",
        "J18.9": "pneumonia",
    }
    first = next(one for one in found if one["value"] == "I10")
    assert first["inception_internal_predicted"] == "true"
    assert first["value_score"] == "0.75"
    assert first["value_score_explanation"] == 'Essential <hypertension> & "more"'
    root = ElementTree.fromstring(document)
    [view] = root.iter("{http:///uima/cas.ecore}View")
    ids = [one["{http://www.omg.org/XMI}id"] for one in found]
    assert view.attrib["members"].split() == ["8", "19", *ids]
    assert set(ids) == {"20", "21"}


def test_the_document_itself_is_unchanged(client):
    document = client.post("/inception/predict", json=predict_request()).json()["document"]
    body = XMI.partition("?>")[2]
    before_view = body[: body.index("<cas:View")].encode()
    assert document.partition("?>")[2].encode().startswith(before_view)
    [sofa] = ElementTree.fromstring(document).iter("{http:///uima/cas.ecore}Sofa")
    assert sofa.attrib["sofaString"] == TEXT


def test_a_layer_of_documents_gets_each_code_once(client):
    answer = client.post("/inception/predict", json=predict_request(DOCUMENT_LAYER))
    found = suggestions(answer.json()["document"], DOCUMENT_LAYER)
    assert sorted(one["value"] for one in found) == ["E11.9", "I10", "J18.9"]
    assert all("begin" not in one for one in found)


def test_features_that_the_layer_lacks_are_left_out(client):
    answer = client.post(
        "/inception/predict", json=predict_request(types=TYPES.replace("value_score", "other"))
    )
    [first, _] = suggestions(answer.json()["document"], SPAN_LAYER)
    assert not {"value_score", "value_score_explanation"} & first.keys()


def test_a_view_without_members_gets_them(client):
    empty = XMI.replace(' members="8 19"', "")
    document = client.post("/inception/predict", json=predict_request(xmi=empty)).json()["document"]
    [view] = ElementTree.fromstring(document).iter("{http:///uima/cas.ecore}View")
    assert view.attrib["members"] == "20 21"


def test_training_is_accepted_and_does_nothing(client):
    answer = client.post("/inception/train", json={"documents": [{"xmi": XMI}]})
    assert (answer.status_code, answer.content) == (204, b"")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        (predict_request(xmi=XMI[:-20]), "document.xmi isn't XML (line"),
        (predict_request(xmi=BOMB), "document.xmi has a DOCTYPE"),
        (predict_request(types=BOMB), "typeSystem has a DOCTYPE"),
        (predict_request(xmi="<a/>"), "document.xmi has no text"),
        (predict_request(layer='x" y="'), "metadata.layer: should be the name of a type"),
        ({"metadata": {}}, "document: should be an object."),
        ({}, "metadata: should be an object."),
    ],
)
def test_bad_requests_are_refused_in_one_message_without_text(client, request_body, message):
    answer = client.post("/inception/predict", json=request_body)
    assert answer.status_code == 422
    assert message in answer.json()["message"]
    assert "pneumonia" not in answer.text
