"""Measure whether models that code facts behave so, in English and Spanish.

Trains ``laptop.yaml`` and ``codiesp_es.yaml`` on CodiEsp with ``assertion: facts``, unless these
runs exist already, and tests each with ``icdcode behavior``. The table, in Markdown, has the share
of notes that pass each capability, with its 95 % interval, that of the notes held out during
development, and the least share that is required of both. Exits with 1 if a capability has less.

    python benchmarks/behavior.py DATA OUT                  about ten minutes on two cores
    python benchmarks/behavior.py DATA OUT --rows es --json behavior.json
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs import icdcode, trained_run


@dataclass(frozen=True)
class Row:
    """A model and what is required of it.

    Attributes:
        config: The shipped configuration.
        changes: Its overrides.
        description: The model in words.
        required: The beginning of a capability's name to the least share of its notes.
    """

    config: str
    changes: list[str]
    description: str
    required: dict[str, float]


ROWS = {
    "en": Row(
        "laptop.yaml",
        ["assertion=facts"],
        "English: laptop.yaml, assertion: facts",
        {"affirmed": 0.95, "abbreviation": 0.80, "synonym": 0.70, "typo": 0.85},
    ),
    "es": Row(
        "codiesp_es.yaml",
        ["assertion=facts", "lexicon=True"],
        "Spanish: codiesp_es.yaml, assertion: facts, lexicon: True",
        {"abbreviation": 0.60, "synonym": 0.60},
    ),
}
NOT_CODED = 0.95
"""The least share of every capability whose condition must not be coded."""


def required(row: Row, capability: dict[str, Any]) -> float | None:
    """Return the least share that a capability must have; None: it is only reported."""
    if capability["expect"] == "not coded":
        return NOT_CODED
    return next(
        (least for name, least in row.required.items() if capability["name"].startswith(name)),
        None,
    )


def reached(capability: dict[str, Any], least: float) -> bool:
    """Return whether all notes, and those held out during development, have the least share."""
    held_out = capability["held_out_rate"]
    return bool(capability["rate"] >= least and (held_out is None or held_out >= least))


def line_of(capability: dict[str, Any], least: float | None) -> str:
    """Return a capability's line of the table, in Markdown."""
    held_out = capability["held_out_rate"]
    cells = (
        capability["name"],
        capability["expect"],
        f"{capability['notes']:,}",
        f"{capability['rate']:.3f} ({capability['low']:.3f}–{capability['high']:.3f})",
        "" if held_out is None else f"{held_out:.3f}",
        "" if least is None else f"{least:.2f}",
        "" if least is None else "yes" if reached(capability, least) else "NO",
    )
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Measure the rows, print their tables, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder of CodiEsp")
    parser.add_argument("out", type=Path, help="the folder of the runs")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    found, missed = {}, 0
    for name in given.rows:
        row = ROWS[name]
        trained = trained_run(
            f"facts_{name}", row.config, row.changes, given.data.resolve(), given.out.resolve()
        )
        report = icdcode("behavior", trained.run)
        found[name] = {"what": row.description, "seconds": trained.seconds, **report}
        print(
            f"\n{row.description}: {report['notes']:,} notes about {len(report['codes'])} "
            "conditions\n\n"
            "| capability | should be | notes | pass | held out | required | reached |\n"
            "|---|---|---:|---:|---:|---:|---|"
        )
        for capability in report["capabilities"]:
            least = required(row, capability)
            capability["required"] = least
            missed += least is not None and not reached(capability, least)
            print(line_of(capability, least), flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
