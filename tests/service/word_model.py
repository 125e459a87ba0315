"""A model that finds words, and a server of the routes of annotation tools, for the tests."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.explain.spans import EvidenceSpan
from icdcli.predict.batches import CodedNote, NoteCode

WORDS = {"I10": "hypertension", "J18.9": "pneumonia", "E11.9": "diabetes"}
TITLES = {"I10": 'Essential <hypertension> & "more"', "J18.9": "Pneumonia", "E11.9": None}


async def find_words(notes: Sequence[Note]) -> list[CodedNote]:
    """Return a code for each known word; "no" before it makes the words negated."""
    coded = []
    for note in notes:
        codes = []
        for code, word in WORDS.items():
            begin = note.text.find(word)
            if begin >= 0:
                negated = note.text[:begin].endswith("no ")
                spans = (
                    EvidenceSpan(begin, begin + len(word), 0.9, "negated" if negated else None),
                )
                codes.append(NoteCode(code, TITLES[code], 0.75, 0.5, True, spans))
            else:
                codes.append(NoteCode(code, TITLES[code], 0.25, 0.5, False, ()))
        coded.append(CodedNote(note.id, 1, tuple(codes)))
    return coded


def client_of(router: APIRouter) -> TestClient:
    """Return a client of a server with these routes, which answers 422 to bad data."""
    app = FastAPI()
    app.include_router(router)

    @app.exception_handler(DataError)
    def refuse(_: Request, error: DataError) -> JSONResponse:
        return JSONResponse({"message": str(error)}, 422)

    return TestClient(app)
