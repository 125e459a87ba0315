"""New notes in files of FHIR resources: NDJSON and Bundles, compressed or not."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from icdcli.data.formats.fhir import (
    DOCUMENTS,
    Resource,
    document_note,
    fhir_version,
    is_withdrawn,
    links_of,
)
from icdcli.data.formats.resources import FhirEntry, read_resources
from icdcli.data.notes.refusals import Refusals
from icdcli.data.notes.text import Note
from icdcli.errors import DataError
from icdcli.io.fingerprints import file_states

_SHOWN = 4  # types of other resources that a message names


@dataclass(frozen=True)
class FhirNotes:
    """A file of FHIR resources.

    Attributes:
        path: The file.
        before: A prefix of the ids.
        refusals: What happens to notes that can't be read.
    """

    path: Path
    before: str = ""
    refusals: Refusals = field(default_factory=Refusals)
    _found: Counter[str] = field(default_factory=Counter, repr=False, compare=False)
    _about: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def remarks(self) -> list[str]:
        """Return which resources were read, after all were."""
        read = [f"{self._found[kind]:,} {kind}" for kind in DOCUMENTS if self._found[kind]]
        others = Counter({kind: n for kind, n in self._found.items() if kind not in DOCUMENTS})
        names = ", ".join(kind for kind, _ in others.most_common(_SHOWN))
        more = " …" if len(others) > _SHOWN else ""
        noun = "other resource" if others.total() == 1 else "other resources"
        ignored = f"; not read: {others.total():,} {noun} ({names}{more})"
        version = self._about.get("version", "")
        return [
            f"{self.path} is read as FHIR{version and ' '}{version}: {', '.join(read) or 'no note'}"
            f"{ignored if others else ''}"
        ]

    @property
    def left_out(self) -> list[str]:
        """Return a warning if the file is one page of several."""
        return [f"{self.path}: {self._about['pages']}"] if "pages" in self._about else []

    def state(self) -> list[str]:
        """Return the state of the file (`file_states`)."""
        return [state.key for state in file_states([self.path]).values()]

    def __iter__(self) -> Iterator[Note]:
        """Yield the notes in the order of the file; those with attachments elsewhere in it last.

        Raises:
            DataError: If a note can't be read, has the id of another, or is of another version of
                FHIR.
        """
        self._found.clear()
        self._about.clear()
        numbers: dict[str, int] = {}
        linked: list[FhirEntry] = []
        binaries: set[str] = set()
        for entry in read_resources(self.path, self._next_page):
            kind = str(entry.resource.get("resourceType"))[:40]
            if kind in DOCUMENTS and is_withdrawn(entry.resource):
                kind = f"{kind} in error"
            self._found[kind] += 1
            if kind == "Binary":
                binaries |= _addresses(entry)
            if kind in DOCUMENTS:
                self._check(entry, numbers)
                if links_of(entry.resource):
                    linked.append(entry)
                else:
                    yield self._note(entry, None)
        yield from self._linked(linked, binaries)

    def _linked(self, entries: Sequence[FhirEntry], binaries: Set[str]) -> Iterator[Note]:
        """Yield the notes whose attachments are elsewhere, perhaps in this file.

        The attachments may be large, so the file is read again, and each is used at once.
        """
        waiting: dict[str, list[FhirEntry]] = {}
        for entry in entries:
            found = [url for url in links_of(entry.resource) if url in binaries]
            if found:
                waiting.setdefault(found[0], []).append(entry)
            else:
                yield self._note(entry, None)
        for binary in read_resources(self.path) if waiting else ():
            if binary.resource.get("resourceType") == "Binary":
                for address in sorted(_addresses(binary) & waiting.keys()):
                    for entry in waiting.pop(address):
                        yield self._note(entry, {address: binary.resource})

    def _note(self, entry: FhirEntry, contents: Mapping[str, Resource] | None) -> Note:
        id = f"{self.before}{_name(entry)}"
        where = f"{self.path}, resource {entry.number:,}"
        linked = contents.get if contents else None

        def make() -> Note:
            note = document_note(entry.resource, where, linked)
            origin = note.origin
            if origin is not None and origin.resource is None:
                origin = replace(origin, resource=entry.address)
            return replace(note, id=id, origin=origin)

        return self.refusals.read(id, make)

    def _check(self, entry: FhirEntry, numbers: dict[str, int]) -> None:
        """Raise an error if a document has the id of another, or is of another version."""
        name = _name(entry)
        first = numbers.setdefault(name, entry.number)
        if first != entry.number:
            raise DataError(
                f"{self.path}, resource {entry.number:,}: is {name}, as resource {first:,} is. "
                "Keep the newest version of each resource."
            )
        version = fhir_version(entry.resource)
        before = self._about.setdefault("version", version) if version else version
        if version != before:
            raise DataError(
                f"{self.path}, resource {entry.number:,}: is of FHIR {version}, but others are of "
                f"{before}. Give each version as a file of its own."
            )

    def _next_page(self) -> None:
        self._about["pages"] = (
            "is one page of a search, and the next ones aren't fetched. Give all pages"
        )


def _name(entry: FhirEntry) -> str:
    """Return the id of a document: its own, its address in a Bundle, or else its number."""
    kind, id = entry.resource.get("resourceType"), entry.resource.get("id")
    if isinstance(id, str) and id:
        return f"{kind}/{id}"
    return entry.address or f"{kind} {entry.number}"


def _addresses(entry: FhirEntry) -> set[str]:
    """Return the addresses under which documents of the same file may name a resource."""
    id = entry.resource.get("id")
    own = {f"Binary/{id}"} if isinstance(id, str) else set()
    return own | ({entry.address} if entry.address else set())
