"""What a command imports before it begins."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from icdcli import load_model
from icdcli.lexical.assertion.memory import remembering_reader
from icdcli.light_transformers import POSTPONED

STORED = Path(__file__).parents[1] / "stored" / "1b2e631"
NEEDLESS = {
    *POSTPONED,
    *("sympy", "boto3", "torch.distributed.tensor", "torch.distributed.checkpoint"),
    *("peft", "bitsandbytes", "sklearn", "matplotlib"),
}
OF_NETWORKS = {"torch", "transformers", "safetensors", "huggingface_hub"}
COMMAND = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(set(NEEDLESS) & sys.modules.keys()))))
from icdcli.cli import main
sys.argv = ["icdcode", *WORDS]
main()
"""


def run_on_stored(words, needless, tmp_path):
    """Run a command in a process; return the lines that it prints, and what it imports needlessly.

    The folder of the stored runs is ``stored``.
    """
    folder = tmp_path / "stored"
    shutil.copytree(STORED, folder, symlinks=True)
    code = COMMAND.replace("NEEDLESS", repr(needless)).replace("WORDS", repr(words))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=True, capture_output=True, text=True
    )
    *answer, imported = done.stdout.splitlines()
    return answer, json.loads(imported)


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "runs/neural", "new_notes.csv", "--device", "cpu", "--json"],
        ["show-predictions", "runs/neural", "--device", "cpu", "--json"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_imports_nothing_needless(words, icdcode, tmp_path, monkeypatch):
    answer, imported = run_on_stored(words, NEEDLESS, tmp_path)
    assert imported == []
    monkeypatch.chdir(tmp_path / "stored")
    assert icdcode(*words).out.splitlines() == answer  # with all of transformers, as in training


@pytest.mark.slow
def test_a_tfidf_model_predicts_without_pytorch(icdcode, tmp_path, monkeypatch):
    words = ["predict", "runs/tfidf", "new_notes.csv", "--output"]
    _, imported = run_on_stored([*words, "codes.jsonl"], OF_NETWORKS, tmp_path)
    assert imported == []
    monkeypatch.chdir(tmp_path / "stored")
    icdcode(*words, "again.jsonl")
    assert Path("codes.jsonl").read_bytes() == Path("again.jsonl").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "show-predictions"])
def test_a_tfidf_model_is_evaluated_without_pytorch(command, icdcode, tmp_path, monkeypatch):
    words = [command, "runs/tfidf", "--json"]
    answer, imported = run_on_stored(words, OF_NETWORKS, tmp_path)
    assert imported == []
    monkeypatch.chdir(tmp_path / "stored")
    assert icdcode(*words).out.splitlines() == answer


def test_tables_of_cues_are_read_with_the_model_not_with_the_first_note(tmp_path, monkeypatch):
    shutil.copytree(STORED, tmp_path / "stored", symlinks=True)
    monkeypatch.chdir(tmp_path / "stored")
    remembering_reader.cache_clear()
    model = load_model("runs/neural")
    assert remembering_reader.cache_info().currsize == 1
    model.predict(["No hypertension."])
    assert remembering_reader.cache_info().currsize == 1


@pytest.mark.slow
def test_evidence_is_the_same(icdcode, tmp_path, monkeypatch):
    folder = tmp_path / "stored"
    shutil.copytree(STORED, folder, symlinks=True)
    words = ["predict", "runs/neural", "new_notes.csv", "--device", "cpu", "--evidence", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "icdcli", *words], cwd=folder, check=True, capture_output=True
    )
    monkeypatch.chdir(folder)
    assert icdcode(*words).out == done.stdout.decode()
