"""A made-up corpus for simulations: notes whose codes follow from the words in them."""

import json
import random
from pathlib import Path

from icdcli.config.loading import load_config
from icdcli.config.schema import Config

WORDINGS = {
    "I10": ["hypertension", "high blood pressure"],
    "E11.9": ["diabetes", "sugar disease"],
    "J18.9": ["pneumonia", "lobar infiltrate"],
    "N17.9": ["kidney injury", "renal failure"],
    "J45.909": ["asthma", "wheezing for years"],
    "K80.20": ["gallstones", "stones of the gallbladder"],
}
_FILLERS = ("patient seen", "plan discussed", "stable today", "reviewed with family", "no change")


def write_notes(path: Path, train: int = 40, others: int = 12, seed: int = 0) -> Path:
    """Write a table of notes with codes, annotated words and splits."""
    draw = random.Random(seed)
    splits = ["train"] * train + ["validation"] * others + ["test"] * others
    with path.open("w", encoding="utf-8") as file:
        for number, split in enumerate(splits):
            codes = sorted(code for code in WORDINGS if draw.random() < 0.35) or ["I10"]
            said = [(code, draw.choice(WORDINGS[code])) for code in codes]
            said += [("", draw.choice(_FILLERS)) for _ in range(4)]
            draw.shuffle(said)
            text, evidence = "", []
            for code, words in said:
                if code:
                    end = len(text) + len(words)
                    evidence.append({"code": code, "begin": len(text), "end": end})
                text += f"{words}. "
            row = {"id": f"n{number}", "text": text, "codes": codes, "evidence": evidence}
            file.write(json.dumps({**row, "split": split}) + "\n")
    return path


def simulated(notes: Path, **changes: object) -> Config:
    """Return the configuration of TF-IDF on the notes, with changes."""
    options: dict[str, object] = {
        "model": "tfidf", "data_path": notes, "evidence_column": "evidence",
        "code_system": "icd10", "positive_threshold": "auto", "device": "cpu",
        "metrics": "[map, f1_micro]", "monitor": "map", "prediction_print_n": 0,
        "workers": 1,
    }  # fmt: skip
    return load_config(None, [f"{key}={value}" for key, value in (options | changes).items()])


LEXICAL = {
    "model": "tiny", "bit": 32, "lora_activate": False, "max_len": 32, "lexical": True,
    "steps": 4, "warmup_steps": 1, "batch_size": 8, "gradient_checkpointing": False,
    "assertion": "mentions", "lexicon": False,
}  # fmt: skip
"""The changes that make it a lexical model, with a network that learns nothing."""
