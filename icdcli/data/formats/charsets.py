"""Text in an encoding that its document names."""

from icdcli.data.notes.text import decoded
from icdcli.errors import DataError
from icdcli.io.encodings import marked_encoding, python_encoding


def decoded_as(content: bytes, charset: str | None, where: str) -> str:
    """Return bytes as text.

    Args:
        content: The bytes; a byte order mark decides before anything else.
        charset: The encoding that the document names; None: UTF-8.
        where: The place of the document, for messages.

    Raises:
        DataError: If the bytes aren't in that encoding, or it is unknown.
    """
    if charset is None or marked_encoding(content)[1]:
        return decoded(content, where)
    name = charset.strip().strip("\"'").lower()
    try:
        return content.decode(python_encoding(name))
    except LookupError:
        raise DataError(
            f"{where}: has the unknown encoding {name[:40]!r}. Save it as UTF-8."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: isn't in {name}, which it names as its encoding (byte "
            f"0x{content[error.start]:02x} at {error.start:,}). Save it as UTF-8."
        ) from None
