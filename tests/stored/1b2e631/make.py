"""Make the stored runs in a new folder; README.md has the command."""

import contextlib
import io
import json
import os
import random
import shutil
import sys
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

MENTIONS = {
    "I10": ["hypertension", "high blood pressure", "htn"],
    "E11.9": ["type 2 diabetes", "diabetes mellitus", "dm2"],
    "J18.9": ["pneumonia", "lobar infiltrate"],
    "N17.9": ["acute kidney failure", "aki"],
    "I48.91": ["atrial fibrillation", "afib"],
    "R50.9": ["fever", "febrile illness"],
}
FILLERS = ["Seen on the ward", "Plan discussed", "Stable overnight", "Eating well", "Walks alone"]
SPLITS = ["train"] * 28 + ["validation"] * 6 + ["test"] * 6
RUNS = {
    "neural": """\
model: encoder
bit: 32
lora_activate: False
freeze_backbone: False
max_len: 48
chunk_len: 20
pooling_mode: label_attention
label_width: 16
description_prior: True
lexical: True
batch_size: 8
steps: 48
warmup_steps: 4
lr0: 0.02
head_lr_factor: 2
pos_weight: 2
gradient_checkpointing: False
micro_batch_tokens: 4096
device: cpu
""",
    "tfidf": "model: tfidf\n",
}
COMMON = """\
data_path: notes.jsonl
evidence_column: evidence
code_system: icd10
project: runs
name: {name}
prediction_print_n: 0
positive_threshold: auto
metrics: [map, f1_micro]
monitor: map
patience: 0
log_every: 4
"""
NEW_NOTES = """\
id,text
a,"Fever for three days. Father had atrial fibrillation. No hypertension."
b,"Known diabetes mellitus and htn, now aki. Stable overnight. Walks alone. Eating well. \
Plan discussed. Seen on the ward with a lobar infiltrate. No afib. Fever at night."
c,""
"""


def write_notes(path: Path) -> None:
    """Write 40 invented notes: mentions of one to three codes, one denial, two fillers."""
    draw = random.Random(14)
    with path.open("w", encoding="utf-8") as file:
        for number, split in enumerate(SPLITS):
            codes = sorted(draw.sample(sorted(MENTIONS), draw.choice([1, 1, 2, 2, 3])))
            mentions = [(code, draw.choice(MENTIONS[code])) for code in codes]
            absent = draw.choice(sorted(MENTIONS.keys() - codes))
            denied = f"No {draw.choice(MENTIONS[absent])}"
            others = [denied, *draw.sample(FILLERS, 2)]
            sentences = [*mentions, *(("", other) for other in others)]
            draw.shuffle(sentences)
            text, evidence = "", []
            for code, words in sentences:
                begin = len(text)
                if code:
                    evidence.append({"code": code, "begin": begin, "end": begin + len(words)})
                text += f"{words}. "
            row = {
                "id": f"note-{number}",
                "subject_id": f"patient-{number // 2}",
                "split": split,
                "text": text.strip(),
                "codes": codes,
                "evidence": evidence,
            }
            file.write(json.dumps(row) + "\n")


def write_encoder(folder: Path, notes: Path) -> None:
    """Write a Hugging Face folder of a BERT of width 8 with random weights and its tokenizer."""
    import torch
    from transformers import AutoModel, BertConfig

    from icdcli.model.tokenizer import train_tokenizer

    texts = [json.loads(line)["text"] for line in notes.read_text(encoding="utf-8").splitlines()]
    tokenizer = train_tokenizer(texts, vocabulary=288)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=96,
    )
    torch.manual_seed(14)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def icdcode(*words: str) -> str:
    """Run a command in this process and return its standard output."""
    from icdcli.cli import main

    out = io.StringIO()
    before, sys.argv = sys.argv, ["icdcode", *words]
    try:
        with contextlib.redirect_stdout(out):
            main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(words) from end
    finally:
        sys.argv = before
    return out.getvalue()


def write_expected(folder: Path) -> None:
    """Write into a folder what commands give for the runs in the working folder."""
    folder.mkdir()
    for run in RUNS:
        ablate, evidence = (["--ablate"], ["--evidence"]) if run == "neural" else ([], [])
        for command, words in {
            "evaluate": [f"runs/{run}", *ablate, "--json"],
            "predict": [f"runs/{run}", "new_notes.csv", *evidence, "--json"],
            "show-predictions": [f"runs/{run}", "-n", "2", *evidence, "--json"],
        }.items():
            (folder / f"{run}.{command}.json").write_text(icdcode(command, *words))
    (folder / "compare.json").write_text(icdcode("compare", "runs/neural", "runs/tfidf", "--json"))
    answer = icdcode("resume", "runs/neural", "steps=56", "--json")
    (folder / "neural.resume.json").write_text(answer)
    shutil.copy("runs/neural/results.csv", folder / "neural.results.csv")


def main(folder: Path) -> None:
    """Make everything in a folder that doesn't exist yet."""
    work = folder.with_name(f"{folder.name}.work")
    work.mkdir()
    os.chdir(work)
    write_notes(Path("notes.jsonl"))
    Path("new_notes.csv").write_text(NEW_NOTES)
    write_encoder(Path("encoder"), Path("notes.jsonl"))
    for name, options in RUNS.items():
        path = Path(f"{name}.yaml")
        path.write_text(options + COMMON.format(name=name), encoding="utf-8")
        icdcode("train", str(path))
        path.unlink()
        icdcode("evaluate", f"runs/{name}")
    shutil.copytree(work, folder, symlinks=True)
    write_expected(folder / "expected")
    clean(folder)
    shutil.rmtree(work)


def clean(folder: Path) -> None:
    """Remove what no test reads, and the one file with absolute paths."""
    for path in (*folder.rglob("*.png"), *folder.rglob(".*.lock"), *folder.rglob("sources.json")):
        path.unlink()
    shutil.rmtree(folder / "runs" / "neural" / "vis_outputs")
    weights = folder / "runs" / "neural" / "weights"
    for name in ("loss", "previous"):
        shutil.rmtree(weights / os.readlink(weights / name))
        (weights / name).unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
