"""MDACE: evidence that professional coders annotated in notes of MIMIC-III (Cheng et al. 2023).

There is one JSON file per admission, with ``hadm_id`` and ``notes``. A note has ``note_id`` (the
ROW_ID of NOTEEVENTS) and ``annotations`` with ``begin`` and ``end`` in characters of the note,
``code`` with its dot, and ``code_system``: ICD-9-CM, ICD-9-PCS or one that MIMIC-III doesn't use.
If the project's own script has added the words of the notes, ``covered_text`` has those of the
annotation.

A document may be several notes joined. Each note is located in its document, and its annotations
are shifted by its position.

`MdaceAnnotations` adds ICD-9 annotations to the documents of MIMIC-III. `MdaceSource` is the data
set itself (``dataset: mdace``): an admission's annotated notes with the annotated codes, of one
system and of one kind of charts, in the splits of MDACE's lists. It needs the texts that the
project's own script adds.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from icdcli.data.benchmarks.protocols import (
    MDACE_ICD9,
    MDACE_ICD9_PROFEE,
    MDACE_ICD10,
    MDACE_ICD10_PROFEE,
    Protocol,
    choose_protocol,
)
from icdcli.data.encounters.boundaries import NoteBoundary
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Admission, AnnotatedSpan, Code
from icdcli.data.sources.registry import ChosenSource, Match, SourceType, register
from icdcli.errors import ConfigError, DataError
from icdcli.icd.codes import System, dotted
from icdcli.io.csv_reader import Reading

_KINDS: Mapping[System, Mapping[str, str]] = {
    "icd9": {"ICD-9-CM": "diagnosis", "ICD-9-PCS": "procedure"},
    "icd10": {"ICD-10-CM": "diagnosis", "ICD-10-PCS": "procedure"},
}
_FOLDERS: Mapping[System, str] = {"icd9": "ICD-9", "icd10": "ICD-10"}
_ROOTS = ("", "with_text/gold", "data")
_LISTS = {"train": "train", "validation": "val", "test": "test"}
_BETWEEN = "\n"  # notes of a document


class _Annotation(NamedTuple):
    begin: int
    end: int
    code: str
    kind: str
    words: str | None

    def __repr__(self) -> str:
        # The words are patient text, which is not for logs and tracebacks.
        return f"_Annotation({self.code!r}, {self.begin}, {self.end})"


class _Note(NamedTuple):
    id: str
    annotations: list[_Annotation]
    category: str | None = None
    text: str | None = None

    def __repr__(self) -> str:
        return f"_Note({self.id!r})"


@dataclass(frozen=True)
class MdaceAnnotations:
    """The annotations of ICD-9 codes in a file, or in all files below a folder.

    Attributes:
        path: The file or folder, e.g. the complete ``data`` folder of MDACE.
        reading: Counts dropped annotations.
    """

    path: Path
    reading: Reading = field(default_factory=Reading)

    def files(self) -> list[Path]:
        """Return the files that the evidence depends on.

        Raises:
            ConfigError: If there are none.
        """
        found = sorted(self.path.rglob("*.json")) if self.path.is_dir() else [self.path]
        if not found or not all(path.is_file() for path in found):
            raise ConfigError(
                f"evidence_path: {self.path} isn't a file or folder with MDACE's .json files."
            )
        return found

    def attach(
        self,
        admissions: Iterable[Admission],
        spell: Callable[[str, str], str],
    ) -> Iterator[Admission]:
        """Add their evidence to admissions, and count the annotations of no document.

        Args:
            admissions: The admissions; their ids are HADM_IDs, those of their notes ROW_IDs.
            spell: Returns the code of the documents for a code without its dot and its kind.

        Raises:
            DataError: If a file can't be read or isn't in MDACE's format.
        """
        placed: set[str] = set()
        for admission in admissions:
            notes = self._notes.get(admission.id)
            if notes is not None:
                places = {one.note_id: one for one in admission.notes}
                read = [note for note in notes if note.id in places]
                spans = [
                    span
                    for note in read
                    for span in self._spans(note, places[note.id], admission.text, spell)
                ]
                # Some annotations are in two files.
                grouped = [
                    AnnotatedSpan(*span, group) for group, span in enumerate(dict.fromkeys(spans))
                ]
                admission = replace(admission, evidence=tuple(grouped))
                placed.update(note.id for note in read)
            yield admission
        left = [note for notes in self._notes.values() for note in notes if note.id not in placed]
        self.reading.drop(
            "annotations of notes in no document", sum(len(note.annotations) for note in left)
        )

    def _spans(
        self, note: _Note, place: NoteBoundary, document: str, spell: Callable[[str, str], str]
    ) -> Iterator[tuple[str, int, int]]:
        """Yield code, begin and end in the document of a note's annotations."""
        text, offset = document[place.begin : place.end], place.begin
        for begin, end, code, kind, words in note.annotations:
            if not 0 <= begin < end <= len(text):
                self.reading.drop("annotations outside their text", 1)
            elif words is not None and words != text[begin:end]:
                self.reading.drop("annotations whose place in the text holds other words", 1)
            else:
                yield spell(code.replace(".", ""), kind), offset + begin, offset + end

    @cached_property
    def _notes(self) -> dict[str, list[_Note]]:
        """Return the annotated notes of each HADM_ID."""
        found: dict[str, list[_Note]] = {}
        for path in self.files():
            admission, notes = _read(path, "icd9", self.reading)
            if own := [note for note in notes if note.annotations]:
                found.setdefault(admission, []).extend(own)
        return found


@dataclass(frozen=True)
class MdaceSource:
    """MDACE's charts with their texts, as one document per admission.

    Attributes:
        folder: MDACE's repository, or its folder with the charts that have texts.
        protocol: Which charts, notes and codes count.
        reading: Counts what is dropped.
    """

    folder: Path
    protocol: Protocol
    reading: Reading = field(default_factory=Reading)

    @property
    def system(self) -> System:
        """Return the coding system of the protocol."""
        return self.protocol.system or "icd9"

    @property
    def titles(self) -> dict[Code, str]:
        """Return nothing: MDACE has no tables of codes."""
        return {}

    def files(self) -> list[Path]:
        """Return the files that the corpus depends on.

        Raises:
            DataError: If charts or split lists are missing.
        """
        return [*self._charts(), *self._lists().values()]

    def admissions(self, protocol: Protocol, work: Path) -> Iterator[Admission]:
        """Read the charts.

        Args:
            protocol: Decides which notes count.
            work: Not used.

        Raises:
            DataError: If a file can't be read, or has no texts.
        """
        splits = {
            name.strip(): split
            for split, path in self._lists().items()
            for name in path.read_text(encoding="utf-8").split()
        }
        for path in self._charts():
            id, notes = _read(path, self.system, self.reading)
            chosen = [note for note in notes if protocol.category in (None, note.category)]
            left = sum(len(note.annotations) for note in notes if note not in chosen)
            self.reading.drop(f"annotations of notes that aren't {protocol.category}", left)
            if id not in splits:
                self.reading.drop("admissions in no split list", 1)
            elif any(note.annotations for note in chosen):
                yield self._admission(path, id, splits[id], chosen)
            else:
                self.reading.drop("admissions without annotated codes", 1)

    def _admission(self, path: Path, id: str, split: str, notes: Sequence[_Note]) -> Admission:
        text, codes, places = "", set[Code](), list[NoteBoundary]()
        spans: dict[tuple[str, int, int], None] = {}
        for note in notes:
            if note.text is None:
                raise DataError(
                    f"{path}: note {note.id} has no text. Run MDACE's inject-note-text.py with "
                    "NOTEEVENTS.csv, and set data_path to the folder that it writes."
                )
            before = text + _BETWEEN if text else ""
            text = before + note.text
            places.append(NoteBoundary(note.id, note.category, None, len(before), len(text)))
            for one in note.annotations:
                code = dotted(one.code, one.kind, self.system)
                codes.add(Code(code, one.kind))
                if not 0 <= one.begin < one.end <= len(note.text):
                    self.reading.drop("annotations outside their text", 1)
                elif one.words is not None and one.words != note.text[one.begin : one.end]:
                    self.reading.drop("annotations whose place in the text holds other words", 1)
                else:
                    spans[code, len(before) + one.begin, len(before) + one.end] = None
        evidence = tuple(AnnotatedSpan(*span, group) for group, span in enumerate(spans))
        return Admission(id, None, text, frozenset(codes), split, evidence, notes=tuple(places))

    def _charts(self) -> list[Path]:
        wanted = Path(str(self.protocol.charts)) / _FOLDERS[self.system]
        for root in _ROOTS:
            if found := sorted((self.folder / root / wanted).rglob("*.json")):
                return found
        raise DataError(
            f"{self.folder}: has no {wanted}/…/*.json. Set data_path to the folder that MDACE's "
            "inject-note-text.py writes, or choose another protocol."
        )

    def _lists(self) -> dict[str, Path]:
        """Return the list of each split, in ``splits`` of the repository."""
        charts = str(self.protocol.charts)
        for place in (self.folder, *self.folder.resolve().parents[:3]):
            found = {
                split: place / "splits" / charts / f"MDace-ev-{name}.csv"
                for split, name in _LISTS.items()
            }
            if all(path.is_file() for path in found.values()):
                return found
        raise DataError(
            f"{self.folder}: MDACE's split lists (splits/{charts}/MDace-ev-train.csv, …) aren't in "
            "it or in a folder above it. Copy the folder splits of MDACE's repository there."
        )


def _read(path: Path, system: System, reading: Reading) -> tuple[str, list[_Note]]:
    """Return the HADM_ID and the notes of a chart, with the annotations of a system.

    Raises:
        DataError: If the file can't be read or isn't in MDACE's format.
    """
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        notes = []
        for note in about["notes"]:
            annotations = [_checked(annotation, system) for annotation in note["annotations"]]
            own = [annotation for annotation in annotations if annotation is not None]
            reading.drop(
                f"annotations of codes that aren't {_FOLDERS[system]}", len(annotations) - len(own)
            )
            text = note.get("text")
            if not isinstance(text, str | None):
                raise TypeError("text is a string")
            notes.append(_Note(str(note["note_id"]), own, note.get("category"), text))
        return str(about["hadm_id"]), notes
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}).") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{path}: is not in MDACE's format ({type(error).__name__}: {error})."
        ) from error


def _checked(annotation: dict[str, Any], of: System) -> _Annotation | None:
    """Return an annotation; None if its code isn't of the system.

    Raises:
        KeyError: If a key is missing.
        TypeError: If a value has the wrong type.
        ValueError: If the code is none.
    """
    begin, end = annotation["begin"], annotation["end"]
    code, system = annotation["code"], annotation["code_system"]
    if type(begin) is not int or type(end) is not int:
        raise TypeError("begin and end are numbers of characters")
    if not isinstance(code, str) or not isinstance(system, str):
        raise TypeError("code and code_system are strings")
    kind = _KINDS[of].get(system)
    if kind is None:
        return None
    dotted(code, kind, of)
    return _Annotation(begin, end, code, kind, annotation.get("covered_text"))


_PROTOCOLS = (MDACE_ICD9, MDACE_ICD10, MDACE_ICD9_PROFEE, MDACE_ICD10_PROFEE)


def _recognizes(folder: Path) -> Match:
    charts = {str(protocol.charts) for protocol in _PROTOCOLS}
    there = any(
        (folder / root / name / system).is_dir()
        for root in _ROOTS
        for name in charts
        for system in _FOLDERS.values()
    )
    return Match.CERTAIN if there else Match.NONE


def _open(config: DataConfig, reading: Reading) -> ChosenSource:
    protocol = choose_protocol("mdace", _PROTOCOLS, config.protocol)
    source = MdaceSource(config.path, protocol, reading)
    return ChosenSource("mdace", source, protocol, {"code_system": source.system})


register(
    SourceType(
        name="mdace",
        looks_like="a folder with Inpatient/ or Profee/, each with ICD-9/ and ICD-10/ of .json "
        "files with texts",
        protocols=_PROTOCOLS,
        recognizes=_recognizes,
        open=_open,
    )
)
