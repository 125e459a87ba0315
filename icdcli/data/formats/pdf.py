"""Text of PDF documents, by pypdf; nothing is recognized in pictures."""

import logging
from io import BytesIO

from icdcli.data.notes.text import LONGEST, too_long
from icdcli.errors import DataError
from icdcli.extras import require_extra


def pdf_text(content: bytes, where: str) -> str:
    """Return the text of the pages of a PDF document, in order.

    Raises:
        DataError: If it is damaged, has a password or is too large, or if it has no text, as a
            scan.
        ConfigError: If pypdf isn't installed.
    """
    require_extra("formats", f"{where}: is PDF, which", ["pypdf"])
    import pypdf
    from pypdf import errors

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings may quote the document
    pages: list[str] = []
    length = 0
    try:
        reader = pypdf.PdfReader(BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError(f"{where}: is protected by a password. Save it without one.")
        for page in reader.pages:
            pages.append(page.extract_text())
            length += len(pages[-1])
            if length > LONGEST:
                raise too_long(where)
    except DataError:
        raise
    except (errors.DependencyError, errors.FileNotDecryptedError):
        raise DataError(
            f"{where}: is encrypted in a way that can't be read here. Save it without encryption."
        ) from None
    except errors.LimitReachedError:
        raise DataError(
            f"{where}: would grow beyond all bounds when unpacked. Save it again, or as text."
        ) from None
    except Exception as error:  # pypdf raises many kinds for damaged files
        raise DataError(
            f"{where}: can't be read as PDF ({type(error).__name__}). Save it again."
        ) from None
    text = "\n".join(page.strip("\n") for page in pages)
    if not text.strip():
        raise DataError(
            f"{where}: is a PDF file without text, probably a scan. OCR is needed: recognize its "
            "text first, for example with ocrmypdf."
        )
    return text
