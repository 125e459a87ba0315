"""A model that finds words, and a server of the routes of annotation tools, for the tests."""

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.testclient import TestClient

from icdcli.data.notes.text import Note
from icdcli.explain.spans import EvidenceSpan
from icdcli.predict.batches import CodedNote, NoteCode
from icdcli.service.application import create_service

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
    """Return a client of a service with these routes, whose own model is never ready."""
    return TestClient(create_service(lambda: None, routers=[router]))
