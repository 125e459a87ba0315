"""New notes in files of HL7 v2 messages."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from icdcli.data.formats.hl7 import HL7_KINDS, message_note, parse_message, read_messages
from icdcli.data.notes.refusals import Refusals
from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.io.fingerprints import file_states

_SHOWN = 4  # kinds of other messages that are named


@dataclass(frozen=True)
class Hl7Notes:
    """A file of messages.

    Attributes:
        path: The file.
        before: A prefix of the ids.
        refusals: What happens to notes that can't be read.
    """

    path: Path
    before: str = ""
    refusals: Refusals = field(default_factory=Refusals)
    _found: Counter[str] = field(default_factory=Counter, repr=False, compare=False)

    @property
    def remarks(self) -> list[str]:
        """Return which messages were read, after all were."""
        read = [f"{self._found[kind]:,} {kind}" for kind in HL7_KINDS if self._found[kind]]
        others = Counter({kind: n for kind, n in self._found.items() if kind not in HL7_KINDS})
        names = ", ".join(kind for kind, _ in others.most_common(_SHOWN))
        ignored = f"; not read: {others.total():,} other messages ({names})" if others else ""
        return [f"{self.path} is read as HL7 v2: {', '.join(read) or 'no note'}{ignored}"]

    @property
    def left_out(self) -> list[str]:
        """Return nothing: what isn't read is among the remarks."""
        return []

    def state(self) -> list[str]:
        """Return the state of the file (`file_states`)."""
        return [state.key for state in file_states([self.path]).values()]

    def __iter__(self) -> Iterator[Note]:
        """Yield the note of each document and report.

        Raises:
            DataError: If a note can't be read, or a message has the id of another or none.
        """
        self._found.clear()
        numbers: dict[str, int] = {}
        try:
            with self.path.open("rb") as file:
                for number, content in enumerate(read_messages(file, str(self.path)), start=1):
                    yield from self._notes(content, number, numbers)
        except OSError as error:
            raise DataError(f"{self.path}: can't be read ({error.strerror}).") from None

    def _notes(self, content: bytes, number: int, numbers: dict[str, int]) -> Iterator[Note]:
        where = f"{self.path}, message {number:,}"
        message = parse_message(content, where)
        self._found[message.kind[:10] or "without a kind"] += 1
        if message.kind not in HL7_KINDS:
            return
        if not message.id:
            raise DataError(f"{where}: has no id (MSH-10). Send it with one.")
        if (first := numbers.setdefault(message.id, number)) != number:
            raise DataError(
                f"{where}: has the id (MSH-10) of message {first:,}. Keep one of the two."
            )
        id = self.before + message.id

        def make() -> Note:
            return replace(message_note(message, where), id=id)

        yield self.refusals.read(id, make)
