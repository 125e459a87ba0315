"""INCEpTION's protocol for external recommenders: a document in CAS XMI in, with suggestions out.

After INCEpTION's developer guide. A span layer gets a suggestion per code and words behind it; a
document metadata layer gets one per code. The document is otherwise returned as it came, byte for
byte: suggestions are put in before its end, since programs that rewrite XMI change its prefixes and
line ends. Positions of a CAS are UTF-16 units, as in Java.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from fastapi import APIRouter, Response

from icdcli.data.notes.text import Note, checked
from icdcli.errors import DataError
from icdcli.predict.batches import CodedNote
from icdcli.service.label_studio import CodeNotes
from icdcli.service.routing import ServiceRoute

_CAS, _XMI = "http:///uima/cas.ecore", "http://www.omg.org/XMI"
_TYPES = "{http://uima.apache.org/resourceSpecifier}"
_MEMBERS = re.compile(rb"""(\smembers\s*=\s*["'])([^"']*)""")
_TYPE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_FEATURE_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DOCUMENT_TYPE = "uima.cas.AnnotationBase"
_AFFIRMED = (None, "affirmed", "historical")


@dataclass
class CasDocument:
    """A document in XMI.

    Attributes:
        xmi: Its bytes.
        text: The text of its first view.
        sofa: The XMI id of this text.
        last_id: The largest XMI id.
        prefix: The prefix of the XMI name space.
        view: The position of the tag of the view in the bytes; None: it has none.
        end: The position of the end tag of the root.
    """

    xmi: bytes
    text: str | None = None
    sofa: str = ""
    last_id: int = 0
    prefix: str = "xmi"
    view: int | None = None
    end: int = 0
    _views: dict[str, int] = field(default_factory=dict)


def read_cas(xmi: str, where: str = "document.xmi") -> CasDocument:
    """Find the text of a document in XMI, and where suggestions go.

    Args:
        xmi: The document.
        where: How messages name it.

    Raises:
        DataError: If it isn't XMI with a text.
    """
    # The declaration may name another encoding than that of the bytes.
    document = CasDocument(re.sub(r"^\s*<\?xml[^>]*\?>", "", xmi).encode())
    parser = expat.ParserCreate("utf-8", " ")
    depth = 0

    def refuse(*_: Any) -> None:
        raise DataError(f"{where} has a DOCTYPE, which no CAS has.")

    def declare(prefix: str | None, address: str) -> None:
        if address == _XMI and prefix:
            document.prefix = prefix

    def start(name: str, given: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        id = given.get(f"{_XMI} id", "")
        if id.isdecimal():
            document.last_id = max(document.last_id, int(id))
        if name == f"{_CAS} Sofa" and (
            document.text is None or given.get("sofaID") == "_InitialView"
        ):
            document.text, document.sofa = given.get("sofaString"), id
        elif name == f"{_CAS} View":
            document._views[given.get("sofa", "")] = parser.CurrentByteIndex

    def finish(_: str) -> None:
        nonlocal depth
        depth -= 1
        if depth == 0:
            document.end = parser.CurrentByteIndex

    parser.StartDoctypeDeclHandler = refuse
    parser.StartNamespaceDeclHandler = declare
    parser.StartElementHandler = start
    parser.EndElementHandler = finish
    try:
        parser.Parse(document.xmi, True)
    except expat.ExpatError as error:
        raise DataError(f"{where} isn't XML (line {error.lineno}).") from None
    if document.text is None:
        raise DataError(f"{where} has no text (cas:Sofa with sofaString).")
    document.view = document._views.get(document.sofa)
    return document


def annotated_cas(
    document: CasDocument, coded: CodedNote, layer: str, feature: str, types: str
) -> str:
    """Return a document in XMI with the predicted codes of its note as suggestions.

    Args:
        document: The document.
        coded: The codes of its text, with evidence.
        layer: The type of the annotations to suggest.
        feature: Their feature for the code.
        types: The type system, as XML, which says whether the layer is one of the document, and
            whether it has features for scores.

    Raises:
        DataError: If a name or the type system can't be read.
    """
    if not _TYPE_NAME.fullmatch(layer):
        raise DataError("metadata.layer: should be the name of a type, such as webanno.custom.ICD.")
    if not _FEATURE_NAME.fullmatch(feature):
        raise DataError("metadata.feature: should be the name of a feature.")
    supertype, features = _layer_type(types, layer)
    package, _, name = layer.rpartition(".")
    address = (
        f"http:///{package.replace('.', '/')}.ecore"
        if package
        else "http:///uima/noNamespace.ecore"
    )
    made: list[str] = []
    ids: list[int] = []
    whole = supertype == _DOCUMENT_TYPE
    for code, score, title, span in _suggestions(coded, document.text or "", whole):
        ids.append(document.last_id + 1 + len(ids))
        values = {f"{document.prefix}:id": str(ids[-1]), "sofa": document.sofa}
        if span is not None:
            values |= {"begin": str(span[0]), "end": str(span[1])}
        values |= {feature: code, "inception_internal_predicted": "true"}
        optional = {f"{feature}_score": str(score), f"{feature}_score_explanation": title}
        values |= {key: value for key, value in optional.items() if key in features and value}
        written = " ".join(f"{key}={_quoted(value)}" for key, value in values.items())
        made.append(f'<icdcode:{name} xmlns:icdcode="{address}" {written}/>')
    return _inserted(document, "".join(made), ids)


def _suggestions(
    coded: CodedNote, text: str, whole: bool
) -> Iterator[tuple[str, float, str, tuple[int, int] | None]]:
    """Yield code, score, title and span in UTF-16 units of each suggestion."""
    wide = [number for number, letter in enumerate(text) if letter > "\uffff"]

    def units(position: int) -> int:
        return position + bisect_left(wide, position)

    for code in coded.codes:
        if not code.predicted:
            continue
        if whole:
            yield code.code, code.score, code.title or "", None
            continue
        for span in code.evidence or ():
            if span.assertion in _AFFIRMED:
                place = (units(span.begin), units(span.end))
                yield code.code, code.score, code.title or "", place


def _layer_type(types: str, layer: str) -> tuple[str, set[str]]:
    """Return the supertype and the features of a layer in a type system; nothing if it has none."""
    if "<!DOCTYPE" in types:
        raise DataError("typeSystem has a DOCTYPE, which no type system has.")
    try:
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", types))
    except ElementTree.ParseError as error:
        raise DataError(f"typeSystem isn't XML (line {error.position[0]}).") from None
    for description in root.iter(f"{_TYPES}typeDescription"):
        if (description.findtext(f"{_TYPES}name") or "").strip() == layer:
            names = description.iter(f"{_TYPES}featureDescription")
            features = {(one.findtext(f"{_TYPES}name") or "").strip() for one in names}
            return (description.findtext(f"{_TYPES}supertypeName") or "").strip(), features
    return "", set()


def _quoted(value: str) -> str:
    return quoteattr(value, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _inserted(document: CasDocument, elements: str, ids: list[int]) -> str:
    """Return the document with more elements, which are members of the view of its text."""
    before, after = document.xmi[: document.end], document.xmi[document.end :]
    if document.view is not None and ids:
        tag_end = before.index(b">", document.view)
        more = " ".join(map(str, ids)).encode()
        tag = before[document.view : tag_end]
        if _MEMBERS.search(tag):
            tag = _MEMBERS.sub(lambda found: found[0] + (b" " if found[2] else b"") + more, tag)
        else:
            tag = re.sub(rb"(\s*/?)$", b' members="' + more + rb'"\1', tag, count=1)
        before = before[: document.view] + tag + before[tag_end:]
    return '<?xml version="1.0" encoding="UTF-8"?>' + (before + elements.encode() + after).decode()


def inception_router(code: CodeNotes) -> APIRouter:
    """Return the routes of the protocol; the recommender's setting is their address.

    Args:
        code: Predicts codes.
    """
    router = APIRouter(prefix="/inception", tags=["INCEpTION"], route_class=ServiceRoute)

    @router.post("/predict")
    async def predict(body: dict[str, Any]) -> dict[str, str]:
        metadata, given = _object(body, "metadata"), _object(body, "document")
        document = read_cas(_string(given, "xmi", "document."))
        text = checked(document.text or "", "the document")
        layer, feature = (_string(metadata, name, "metadata.") for name in ("layer", "feature"))
        [coded] = await code([Note(str(given.get("documentId", "")), text)])
        types = _string(body, "typeSystem", "")
        return {"document": annotated_cas(document, coded, layer, feature, types)}

    @router.post("/train", status_code=204, response_class=Response)
    def train() -> None:
        """Accept documents without learning from them: this recommender isn't trainable."""

    return router


def _object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if not isinstance(value, dict):
        raise DataError(f"{name}: should be an object.")
    return value


def _string(values: Mapping[str, Any], name: str, before: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise DataError(f"{before}{name}: should be a text.")
    return value
