"""Notes that can't be read: an error, or a note without text if the user says so."""

from collections.abc import Callable

from icdcli.data.notes.text import Note
from icdcli.errors import DataError

OPTION = "--skip-unreadable"
_SHOWN = 3


class Refusals:
    """What happens to notes that can't be read.

    Attributes:
        skip: Whether to go on, with a note without text in its place; None: no, and the command
            has no option for it that a message could name.
        count: The number of such notes in this pass over the notes.
        names: What messages call files that have no name of their own.
    """

    def __init__(self, skip: bool | None = None) -> None:
        self.skip = skip
        self.names: dict[str, str] = {}
        self.begin()

    def begin(self) -> None:
        """Begin a pass over the notes."""
        self.count = 0
        self._messages: list[str] = []

    def read(self, id: str, make: Callable[[], Note], is_one_of_many: bool = True) -> Note:
        """Return a note.

        Args:
            id: Its id, if it can't be read.
            make: Reads it.
            is_one_of_many: Whether the message names the option that skips it.

        Raises:
            DataError: If it can't be read, and such notes aren't skipped.
        """
        try:
            return make()
        except DataError as error:
            if not self.skip:
                has_option = is_one_of_many and self.skip is not None
                hint = f" Or pass {OPTION} to code the others." if has_option else ""
                raise DataError(f"{error}{hint}") from None
            self.count += 1
            if len(self._messages) < _SHOWN:
                message = str(error)
                for path, name in self.names.items():
                    message = message.replace(path, name)
                self._messages.append(message)
            return Note(id, "")

    @property
    def warnings(self) -> list[str]:
        """Return a warning about the notes of this pass that can't be read."""
        if not self.count:
            return []
        more = ", among them" if self.count > len(self._messages) else ""
        listed = "".join(f"\n  {message}" for message in self._messages)
        verb = "notes can't be read and get" if self.count > 1 else "note can't be read and gets"
        return [f"{self.count:,} {verb} no codes{more}:{listed}"]
