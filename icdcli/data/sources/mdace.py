"""MDACE: which words of MIMIC-III's notes professional coders saw a code in (Cheng et al. 2023).

One JSON file an admission: ``hadm_id`` and ``notes``, of which each has ``note_id`` (NOTEEVENTS' ROW_ID) and ``annotations``
with ``begin`` and ``end`` in characters of that note, ``code`` with its dot, and ``code_system``: ICD-9-CM, ICD-9-PCS or one
that MIMIC-III doesn't have. Where the project's own script has put the notes' words in, ``covered_text`` holds an annotation's.

A document may be several notes joined. A note is found again as a whole in its document, and its annotations move with it.
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


class _Note(NamedTuple):
    id: str
    annotations: list[dict[str, Any]]


@dataclass(frozen=True)
class MdaceAnnotations:
    """The annotations of ICD-9 codes in a file, or in all files in and below a folder.

    Attributes:
        path: The file or folder; the whole of MDACE's ``data`` will do.
        reading: Collects what was dropped.
    """

    path: Path
    reading: Reading = field(default_factory=Reading)

    def files(self) -> list[Path]:
        """The files that the evidence depends on.

        Raises:
            ConfigError: When there are none.
        """
        found = sorted(self.path.rglob("*.json")) if self.path.is_dir() else [self.path]
        if not found or not all(path.is_file() for path in found):
            raise ConfigError(
                f"evidence_path: {self.path}: is no file or folder with MDACE's .json files"
            )
        return found

    @cached_property
    def note_ids(self) -> frozenset[str]:
        """The ROW_IDs of the notes that have annotations.

        Raises:
            DataError: When a file can't be read, or is none of MDACE's.
        """
        return frozenset(note.id for notes in self._notes.values() for note in notes)

    def attach(
        self,
        admissions: Iterable[Admission],
        texts: Mapping[str, str],
        spell: Callable[[str, str], str],
    ) -> Iterator[Admission]:
        """Give admissions their evidence, and count what has no place in them.

        Args:
            admissions: Documents, by HADM_ID.
            texts: ROW_ID to text of the annotated notes that were read; looked at when the first admission has come.
            spell: Makes of a code without its dot, and its kind, the code as the documents have it.

        Raises:
            DataError: When a file can't be read, or is none of MDACE's.
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
                grouped = [
                    AnnotatedSpan(*span, group) for group, span in enumerate(dict.fromkeys(spans))
                ]  # some are in two files
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
        """Code, begin and end in the document of a note's annotations."""
        offset = document.find(text)
        for about in note.annotations:
            begin, end, words = about["begin"], about["end"], about.get("covered_text")
            if offset < 0 or not 0 <= begin < end <= len(text):
                self.reading.drop("annotations outside their text", 1)
            elif words is not None and words != text[begin:end]:
                self.reading.drop("annotations whose place in the text holds other words", 1)
            else:
                yield (
                    spell(about["code"].replace(".", ""), _KINDS[about["code_system"]]),
                    offset + begin,
                    offset + end,
                )

    @cached_property
    def _notes(self) -> dict[str, list[_Note]]:
        """HADM_ID to its annotated notes."""
        found: dict[str, list[_Note]] = {}
        for path in self.files():
            try:
                about = json.loads(path.read_text(encoding="utf-8"))
                for note in about["notes"]:
                    annotations = [_checked(annotation) for annotation in note["annotations"]]
                    own = [
                        annotation
                        for annotation in annotations
                        if annotation["code_system"] in _KINDS
                    ]
                    self.reading.drop(
                        "annotations of codes that aren't ICD-9", len(annotations) - len(own)
                    )
                    if own:
                        found.setdefault(str(about["hadm_id"]), []).append(
                            _Note(str(note["note_id"]), own)
                        )
            except OSError as error:
                raise DataError(f"{path}: can't be read ({error.strerror})") from error
            except (ValueError, TypeError, KeyError) as error:
                raise DataError(
                    f"{path}: is not in MDACE's format ({type(error).__name__}: {error})"
                ) from error
        return found


def _checked(annotation: dict[str, Any]) -> dict[str, Any]:
    if type(annotation["begin"]) is not int or type(annotation["end"]) is not int:
        raise TypeError("begin and end are numbers of characters")
    if not isinstance(annotation["code"], str) or not isinstance(annotation["code_system"], str):
        raise TypeError("code and code_system are strings")
    if annotation["code_system"] in _KINDS:
        dotted(annotation["code"], _KINDS[annotation["code_system"]], "icd9")
    return annotation
