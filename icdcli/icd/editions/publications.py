"""The official editions of ICD-10-CM and ICD-10-PCS: their names, days, and where to get them.

CMS publishes an edition for each fiscal year, which begins in October, and an update of ICD-10-CM
in April: ``icd10cm-2027`` and ``icd10cm-2027-04``, ``icd10pcs-2027``.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from icdcli.errors import ConfigError
from icdcli.icd.editions.edition import About
from icdcli.io.download import check_mirror, download

_NAME = re.compile(r"(?P<system>icd10cm|icd10pcs)-(?P<year>20\d\d)(?P<april>-04)?")
_TITLES = {"icd10cm": "ICD-10-CM", "icd10pcs": "ICD-10-PCS"}
_CMS = "https://www.cms.gov"
_PATHS = {
    "icd10cm": "/files/zip/{year}-code-tables-tabular-and-index.zip",
    "icd10cm-04": "/files/zip/april-1-{year}-code-tables-tabular-index.zip",
    "icd10pcs": "/files/zip/{year}-icd-10-pcs-codes-file.zip",
}
_PAGE = f"{_CMS}/medicare/coding-billing/icd-10-codes"
_TIMEOUT = 60.0  # seconds without an answer of the server


def official(name: str) -> About | None:
    """Return what is known about an official edition by its name; None: it isn't one."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    system, year = found["system"], int(found["year"])
    april = found["april"] is not None
    return About(
        name=name,
        title=f"{_TITLES[system]}, fiscal year {year}" + (f", update of April {year}" * april),
        kinds=("procedure",) if system == "icd10pcs" else ("diagnosis",),
        valid_from=date(year, 4, 1) if april else date(year - 1, 10, 1),
        valid_to=date(year, 9, 30),
        source="CMS and NCHS",
        license="public domain",
    )


def address_of(name: str, host: str | None = None) -> str:
    """Return the address of an official edition.

    Args:
        name: Its name.
        host: Scheme and host of a mirror; None: those of CMS.

    Raises:
        ConfigError: It isn't an official edition, or the host is invalid.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ConfigError(
            f"{name!r} can't be downloaded; icd10cm-YEAR, icd10cm-YEAR-04 and icd10pcs-YEAR can. "
            "Others are added with `icdcode codes import FILE --name NAME`."
        )
    if host is not None:
        check_mirror(host)
    path = _PATHS[found["system"] + (found["april"] or "")]
    return (host or _CMS).rstrip("/") + path.format(year=found["year"])


@contextmanager
def downloaded(name: str, host: str | None = None) -> Iterator[Path]:
    """Download an official edition to a temporary file, and yield it.

    Raises:
        ConfigError: As `address_of`.
        DataError: It can't be downloaded.
    """
    address = address_of(name, host)
    by_hand = (
        f"Get {Path(urlsplit(address).path).name} from {_PAGE} with a browser, then run: "
        f"icdcode codes import FILE --name {name}"
    )
    content = download(address, _TIMEOUT, by_hand)
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(urlsplit(address).path).name
        path.write_bytes(content)
        yield path
