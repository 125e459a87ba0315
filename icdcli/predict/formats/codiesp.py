"""Codes as CodiEsp's evaluation script reads them: ``id<tab>code``, ranked, in lower case.

The file has no header, and a note without codes has no line. A case is named by its file without
``.txt``. The script counts every line as a predicted code, and ranks the codes of a note by their
order.
"""

from collections.abc import Iterator
from pathlib import Path

from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.predict.batches import CodedNote
from icdcli.predict.formats.blocks import CodedBlock, write_lines


def require_one_line_id(note: Note) -> None:
    """Raise an error if the id of a note can't be in a line of fields that tabs separate.

    Raises:
        DataError: If so.
    """
    if len(note.id.split()) != 1 or note.id != note.id.strip():
        raise DataError(
            f"--format codiesp: a line is id<tab>code, but a note has the id {note.id[:80]!r}. "
            "Pass ids without blanks, or choose another format."
        )


def codiesp_lines(coded: CodedNote) -> Iterator[str]:
    """Yield the lines of a note, the code with the highest score first.

    Codes that a hard rule has removed are left out.
    """
    for code in sorted(coded.codes, key=lambda code: -code.score):
        if code.dropped is None:
            yield f"{coded.id.removesuffix('.txt')}\t{code.code.lower()}\n"


def write_codiesp(path: Path, block: CodedBlock) -> None:
    """Write a part."""
    write_lines(path, (line for coded in block.coded for line in codiesp_lines(coded)))
