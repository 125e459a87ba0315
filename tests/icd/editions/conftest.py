"""A small tabular list with all kinds of notes, and the edition that it makes."""

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest

from icdcli.icd.editions.edition import About, Edition, Entry
from icdcli.icd.editions.tabular_xml import read_tabular_xml

TABULAR = """<?xml version="1.0" encoding="utf-8"?>
<ICD10CM.tabular><version>2026</version>
<chapter><name>19</name><desc>Injury and poisoning (S00-T88)</desc>
 <useAdditionalCode><note>code from Chapter 20 (V00-Y99)</note></useAdditionalCode>
 <section id="S00-S69"><desc>Injuries (S00-S69)</desc></section>
 <section id="S00-S09"><desc>Injuries to the head (S00-S09)</desc>
  <excludes2><note>burns (T20-T32)</note></excludes2>
  <diag><name>S06</name><desc>Intracranial injury</desc>
   <excludes1><note>head injury NOS (S09.90)</note></excludes1>
   <sevenChrNote><note>The appropriate 7th character is to be added</note></sevenChrNote>
   <sevenChrDef><extension char="A">initial encounter</extension>
    <extension char="S">sequela</extension></sevenChrDef>
   <notes><note>7th character S does not apply to codes in category S06 with 6th character 7 -
    death, or 8 - death due to other cause</note></notes>
   <diag><name>S06.0</name><desc>Concussion</desc>
    <inclusionTerm><note>Commotio cerebri</note></inclusionTerm></diag>
   <diag><name>S06.307</name><desc>Focal injury with death</desc></diag>
  </diag>
 </section>
 <section id="S50-S59"><desc>Injuries to the elbow (S50-S59)</desc>
  <diag><name>S50</name><desc>Contusion of elbow</desc>
   <diag><name>S50.0</name><desc>Contusion of right elbow</desc></diag></diag>
 </section>
 <section id="T14"><desc>Injury of unspecified region (T14)</desc>
  <excludes1><note>multiple injuries (T07)</note></excludes1>
  <diag><name>T14</name><desc>Injury of unspecified region</desc></diag>
 </section>
</chapter></ICD10CM.tabular>"""


@pytest.fixture(scope="session")
def tabular() -> bytes:
    """Return a tabular list of a few codes."""
    return TABULAR.encode()


@pytest.fixture(scope="session")
def entries(tabular) -> list[Entry]:
    """Return its entries."""
    return list(read_tabular_xml(BytesIO(tabular), "tabular.xml"))


@pytest.fixture(scope="session")
def edition(entries) -> Edition:
    """Return its edition."""
    return Edition.of(About("icd10cm-test", "A test"), entries)


@pytest.fixture(scope="session")
def april_2026() -> Path:
    """Return the folder with NCHS's tabular list of April 2026 and the list of its codes."""
    package = find_spec("simple_icd_10_cm")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "data"
