"""MDACE: evidence that professional coders annotated in notes of MIMIC-III (Cheng et al. 2023).

There is one JSON file per admission, with ``hadm_id`` and ``notes``. A note has ``note_id`` (the
ROW_ID of NOTEEVENTS) and ``annotations`` with ``begin`` and ``end`` in characters of the note,
``code`` with its dot, and ``code_system``: ICD-9-CM, ICD-9-PCS or one that MIMIC-III doesn't use.
If the project's own script has added the words of the notes, ``covered_text`` has those of the
annotation.

A document may be several notes joined. Each note is located in its document, and its annotations
are shifted by its position.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from icdcli.data.sources.admission import Admission, AnnotatedSpan
from icdcli.errors import ConfigError, DataError
from icdcli.icd.codes import dotted
from icdcli.io.csv_reader import Reading

_KINDS = {"ICD-9-CM": "diagnosis", "ICD-9-PCS": "procedure"}


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

    @cached_property
    def note_ids(self) -> frozenset[str]:
        """Return the ROW_IDs of the notes that have annotations.

        Raises:
            DataError: If a file can't be read or isn't in MDACE's format.
        """
        return frozenset(note.id for notes in self._notes.values() for note in notes)

    def attach(
        self,
        admissions: Iterable[Admission],
        texts: Mapping[str, str],
        spell: Callable[[str, str], str],
    ) -> Iterator[Admission]:
        """Add their evidence to admissions, and count the annotations of no document.

        Args:
            admissions: The admissions; their ids are HADM_IDs.
            texts: ROW_ID to text of the annotated notes that were read; complete when the first
                admission is yielded.
            spell: Returns the code of the documents for a code without its dot and its kind.

        Raises:
            DataError: If a file can't be read or isn't in MDACE's format.
        """
        placed: set[str] = set()
        for admission in admissions:
            notes = self._notes.get(admission.id)
            if notes is not None:
                read = [note for note in notes if note.id in texts]
                spans = [
                    span
                    for note in read
                    for span in self._spans(note, texts[note.id], admission.text, spell)
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
        self, note: _Note, text: str, document: str, spell: Callable[[str, str], str]
    ) -> Iterator[tuple[str, int, int]]:
        """Yield code, begin and end in the document of a note's annotations."""
        offset = document.find(text)
        for begin, end, code, kind, words in note.annotations:
            if offset < 0 or not 0 <= begin < end <= len(text):
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
            try:
                about = json.loads(path.read_text(encoding="utf-8"))
                for note in about["notes"]:
                    annotations = [_checked(annotation) for annotation in note["annotations"]]
                    own = [annotation for annotation in annotations if annotation is not None]
                    self.reading.drop(
                        "annotations of codes that aren't ICD-9", len(annotations) - len(own)
                    )
                    if own:
                        found.setdefault(str(about["hadm_id"]), []).append(
                            _Note(str(note["note_id"]), own)
                        )
            except OSError as error:
                raise DataError(f"{path}: can't be read ({error.strerror}).") from error
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise DataError(
                    f"{path}: is not in MDACE's format ({type(error).__name__}: {error})."
                ) from error
        return found


def _checked(annotation: dict[str, Any]) -> _Annotation | None:
    """Return an annotation; None if its code isn't of ICD-9.

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
    if system not in _KINDS:
        return None
    dotted(code, _KINDS[system], "icd9")
    return _Annotation(begin, end, code, _KINDS[system], annotation.get("covered_text"))
