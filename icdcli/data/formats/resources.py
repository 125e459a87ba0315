"""The FHIR resources of a file: NDJSON, single resources, or Bundles, one resource at a time.

A Bundle may be larger than the memory, so its entries are read one by one. Its type may follow
them, as may those of other files: what isn't a Bundle or a resource is noticed at its end.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from icdcli.data.formats.fhir import Resource
from icdcli.errors import DataError
from icdcli.io.encodings import marked_encoding, refuse_other_format
from icdcli.io.tables.objects import ArrayReader, open_lines

_LONGEST = 256 << 20  # characters of a resource, which may have a scan in it
_BEGINNING = 1 << 16  # bytes, in which a resource names its type
_TYPE = re.compile(r'"resourceType"\s*:\s*"[A-Z]')
_PEEKED = 64  # bytes that show that it is another kind of file
_ENDINGS = (".json", ".ndjson", ".jsonl")


class FhirEntry(NamedTuple):
    """A resource of a file.

    Attributes:
        resource: The resource.
        number: Its number in the file, from 1.
        address: Its full address, if it is in a Bundle that has it.
    """

    resource: Resource
    number: int
    address: str | None = None


def is_fhir(path: Path) -> bool:
    """Return whether a file has FHIR resources in JSON, by its name and its beginning."""
    if not path.name.lower().removesuffix(".gz").endswith(_ENDINGS):
        return False
    try:
        with path.open("rb") as file:
            return begins_as_fhir(file.read(_BEGINNING))
    except OSError:
        return False  # reading it reports the problem


def begins_as_fhir(start: bytes) -> bool:
    """Return whether the beginning of a file, compressed or not, has a FHIR resource."""
    if start.startswith(b"\x1f\x8b"):
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, _BEGINNING)
        except zlib.error:
            return False
    encoding, mark = marked_encoding(start)
    text = start[mark:].decode(encoding, "replace").lstrip("\ufeff \t\r\n")
    return text.startswith(("{", "[")) and _TYPE.search(text) is not None


def read_resources(
    path: Path, on_next_page: Callable[[], object] | None = None
) -> Iterator[FhirEntry]:
    """Yield the resources of a file, those in Bundles instead of the Bundles.

    Args:
        path: The file.
        on_next_page: Called if a Bundle is a page of a search, and more pages follow.

    Raises:
        DataError: If the file can't be read, ends too early, or has something else.
    """
    with open_lines(path) as lines:
        refuse_other_format(path, lines.peek()[:_PEEKED])
        yield from _ResourceReader(path, lines, on_next_page).entries()


class _ResourceReader(ArrayReader):
    """Reads objects that follow each other, and of each the array ``entry`` piece by piece."""

    def __init__(
        self, path: Path, file: IO[bytes], on_next_page: Callable[[], object] | None
    ) -> None:
        super().__init__(path, file, _LONGEST)
        self._on_next_page = on_next_page

    def entries(self) -> Iterator[FhirEntry]:
        """Yield the resources."""
        sign = self._next()
        if not sign:
            raise DataError(f"{self._path}: is empty. Export it again.")
        if sign == "[":
            for resource in self._elements():
                yield from self._flat(resource, None)
            sign = self._next()
        while sign == "{":
            yield from self._resource()
            sign = self._next()
        if sign:
            raise self._wrong("isn't a FHIR resource. Export it again")

    def _resource(self) -> Iterator[FhirEntry]:
        """Yield the resource that begins here, or the entries of the Bundle."""
        values: dict[str, Any] = {}
        self._place += 1
        while (sign := self._expect(",}" if values else '"}')) != "}":
            if sign == ",":
                self._place += 1
                self._expect('"')
            key = self._value()
            self._expect(":")
            self._place += 1
            if key in values:
                raise self._wrong("has the same key twice. Keep one of the two values")
            sign = self._next()
            if key == "entry" and sign == "[":
                values[key] = []
                for entry in self._elements():
                    yield from self._inner(entry)
            else:
                values[key] = self._value()
        self._place += 1
        if "entry" not in values:
            yield from self._flat(values, None)
            return
        if values.get("resourceType") != "Bundle":
            raise self._wrong("has entries, but isn't a Bundle")
        links = values.get("link")
        relations = [link.get("relation") for link in links or () if isinstance(link, dict)]
        if "next" in relations and self._on_next_page is not None:
            self._on_next_page()

    def _elements(self) -> Iterator[dict[str, Any]]:
        """Yield the objects of the array that begins here."""
        self._place += 1
        before = "["
        while (sign := self._expect("{]" if before == "[" else ",]")) != "]":
            if sign == ",":
                self._place += 1
                self._expect("{")
            yield self._value()
            before = ","
        self._place += 1

    def _inner(self, entry: Mapping[str, Any]) -> Iterator[FhirEntry]:
        """Yield the resources of an entry of a Bundle."""
        resource, address = entry.get("resource"), entry.get("fullUrl")
        if isinstance(resource, dict):
            yield from self._flat(resource, address if isinstance(address, str) else None)

    def _flat(self, resource: Resource, address: str | None) -> Iterator[FhirEntry]:
        """Yield a resource, or those of a Bundle."""
        if resource.get("resourceType") != "Bundle":
            yield FhirEntry(resource, self._number, address)
            self._number += 1
            return
        entries = resource.get("entry", [])
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                yield from self._inner(entry)

    def _expect(self, signs: str) -> str:
        """Return the next character, which must be one of some."""
        sign = self._next()
        if not sign:
            raise self._cut_short()
        if sign not in signs:
            raise self._wrong("not JSON (an unexpected character)")
        return sign

    def _cut_short(self) -> DataError:
        return DataError(
            f"{self._path}: ends too early, after {self._number - 1:,} complete resources. Copy "
            "or export it again."
        )

    def _not_json(self, problem: str, at_end: bool) -> DataError:
        return self._cut_short() if at_end else super()._not_json(problem, at_end)

    def _wrong(self, problem: str) -> DataError:
        return DataError(f"{self._path}, resource {self._number:,}: {problem}.")
