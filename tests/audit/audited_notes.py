"""Made-up notes whose codes follow from their words, with a few errors."""

import json
import random
from pathlib import Path

from icdcli.config.loading import load_config
from icdcli.config.schema import Config

WORDINGS = {
    "I10": ["hypertension", "high blood pressure"],
    "E11.9": ["diabetes", "sugar disease"],
    "J18.9": ["pneumonia", "lobar infiltrate"],
    "J18.1": ["consolidated lobe", "lobe full of fluid"],
    "N17.9": ["kidney injury", "renal failure"],
    "J45.909": ["asthma", "wheezing for years"],
    "K80.20": ["gallstones", "stones of the gallbladder"],
}
REMOVED = ("n7", "I10")
"""A note that says it, and lacks the code."""
SWAPPED = ("n11", "J18.9", "J18.1")
"""A note with the second code, whose words are those of the first."""
ADDED = ("n15", "K80.20")
"""A note with a code that it says nothing of."""
_FILLERS = ("patient seen", "plan discussed", "stable today", "reviewed with family", "no change")


def write_audited_notes(
    path: Path, notes: int = 80, errors: bool = True, annotated: bool = True
) -> Path:
    """Write a table of notes with codes and annotated words, a fifth of it for validation."""
    draw = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(notes):
            codes = {code for code in WORDINGS if draw.random() < 0.3} or {"E11.9"}
            name = f"n{number}"
            if name == REMOVED[0]:
                codes |= {REMOVED[1]}
            if name == SWAPPED[0]:
                codes = (codes | {SWAPPED[1]}) - {SWAPPED[2]}
            if name == ADDED[0]:
                codes -= {ADDED[1]}
            said = [(code, draw.choice(WORDINGS[code])) for code in sorted(codes)]
            said += [("", draw.choice(_FILLERS)) for _ in range(4)]
            draw.shuffle(said)
            text, evidence = "", []
            for code, words in said:
                end = len(text) + len(words)
                if code and annotated:
                    evidence.append({"code": code, "begin": len(text), "end": end})
                text += f"{words}. "
            if errors:
                codes, evidence = _with_error(name, codes, evidence)
            split = "validation" if number % 5 == 4 else "train"
            row = {"id": name, "text": text, "codes": sorted(codes), "evidence": evidence}
            file.write(json.dumps({**row, "split": split}) + "\n")
    return path


def _with_error(
    name: str, codes: set[str], evidence: list[dict[str, object]]
) -> tuple[set[str], list[dict[str, object]]]:
    if name == REMOVED[0]:
        return codes - {REMOVED[1]}, [one for one in evidence if one["code"] != REMOVED[1]]
    if name == SWAPPED[0]:
        codes = (codes - {SWAPPED[1]}) | {SWAPPED[2]}
        return codes, [
            {**one, "code": SWAPPED[2]} if one["code"] == SWAPPED[1] else one for one in evidence
        ]
    return (codes | {ADDED[1]} if name == ADDED[0] else codes), evidence


def audited_config(notes: Path, **changes: object) -> Config:
    """Return a configuration for the notes."""
    options: dict[str, object] = {
        "model": "tiny", "bit": 32, "lora_activate": False, "gradient_checkpointing": False,
        "lexical": True, "lexicon": False, "assertion": "mentions", "data_path": notes,
        "evidence_column": "evidence", "code_system": "icd10", "workers": 1,
    }  # fmt: skip
    return load_config(None, [f"{key}={value}" for key, value in (options | changes).items()])
