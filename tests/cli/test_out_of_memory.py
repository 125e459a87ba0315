"""Memory that runs out is reported with a remedy and without a traceback."""

import pytest
import torch

from icdcli.model.network import CodingNetwork

ERRORS = {
    "a GPU's": (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a …"),
        " (2.50 GiB more were needed)",
    ),
    "the CPU's": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 96 bytes."),
        " (96 bytes more were needed)",
    ),
    "Python's": (MemoryError(), ""),
}


@pytest.mark.parametrize("whose", ERRORS)
@pytest.mark.parametrize("command", ["evaluate", "predict", "train", "resume"])
def test_memory_is_reported_with_a_remedy(
    icdcode, place, run_copy, tmp_path, monkeypatch, whose, command
):
    error, size = ERRORS[whose]

    def without_memory(*_, **__):
        raise error

    if command in ("evaluate", "predict"):  # while the model is loaded
        monkeypatch.setattr("icdcli.model.neural_model.build_network", without_memory)
    else:  # in the optimizer, which needs memory at the first step
        monkeypatch.setattr(torch.optim.AdamW, "step", without_memory)
    (tmp_path / "note.txt").write_text("Chest pain.")
    words = {
        "evaluate": [run_copy],
        "predict": [run_copy, tmp_path / "note.txt"],
        "train": [place.config, f"project={tmp_path / 'new'}"],
        "resume": [run_copy, "steps=14"],
    }
    answer = icdcode(command, *words[command])
    assert answer.code == 2
    assert answer.err.count("error: ") == 1
    assert f"error: device: ran out of memory{size}. Free memory, choose another" in answer.err
    assert "Traceback" not in answer.out + answer.err


def test_other_errors_of_torch_are_not_taken_for_it(icdcode, run_copy, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(CodingNetwork, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        icdcode("evaluate", run_copy)
