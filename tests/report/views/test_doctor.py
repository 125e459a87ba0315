from dataclasses import replace
from pathlib import Path

import pytest

from icdcli.distributed.hardware import Gpu
from icdcli.profiling.check_config import ConfigCheck, DataCheck, MemoryCheck, ModelCheck
from icdcli.profiling.check_machine import Disk, Feature, Machine, MachineCheck, SplitListsPresent
from icdcli.profiling.memory import MemoryEstimate
from icdcli.report.views.doctor import configuration_view, machine_view

GPU = Gpu(0, "NVIDIA H100 80GB HBM3", (9, 0), total=80 * 10**9, free=79 * 10**9)


def checkup(disk=None, **changes):
    known = {
        "system": "Linux 6.1",
        "python": "3.11.7",
        "processor": "AMD EPYC",
        "cores": 1,
        "memory_total": 25 * 10**9,
        "memory_free": 20 * 10**9,
        "cuda": None,
        "gpus": (),
    }
    return MachineCheck(
        Machine(**known | changes),
        {f"package{number}": "1.2.3" for number in range(12)} | {"wandb": None},
        (
            Feature("8 bit", False, "ImportError: no such library; use bit: 16 or 32"),
            Feature("ISA-L", True, "fast reading of .gz"),
        ),
        disk or Disk(Path("runs"), 10**11, 10**12),
        SplitListsPresent(Path("splits"), {"mimic3-50": False, "mimic3-full": False}),
    )


def found(**changes):
    estimate = MemoryEstimate("cpu", {"weights": 10**9}, 2, 9, False, 1.0, 1.0, 0.0)
    known = {
        "problems": (),
        "model": ModelCheck("llama3", "llama", "meta/Llama", False, layers=32, width=4096),
        "data": DataCheck(Path("d"), "mimic3", "mimic3-50", None, 50, {}),
        "memory": MemoryCheck(estimate, 50, 2 * 10**9, {}),
        "seconds": 60.0,
    }
    return ConfigCheck(**known | changes)


def line_of(lines, start):
    [line] = [line for line in lines if line.startswith(start)]
    return line


def test_a_machine_without_gpu_gets_a_hint(render):
    lines = render(machine_view(checkup()))
    assert line_of(lines, "processor").endswith("AMD EPYC, 1 core")
    assert line_of(lines, "memory").endswith("20.0 GB free of 25.0 GB")
    assert "device=cpu" in line_of(lines, "GPU")
    assert "pytorch.org" in line_of(lines, "CUDA")
    assert "icdcode splits fetch" in line_of(lines, "split lists")
    assert "no" in line_of(lines, "8 bit").split()
    assert "use bit: 16 or 32" in line_of(lines, "8 bit")
    assert line_of(lines, "not installed").startswith("not installed: wandb;")


def test_gpus_are_listed_with_their_free_memory(render):
    lines = render(machine_view(checkup(cuda="12.8", gpus=(GPU, replace(GPU, number=1)))))
    assert "79.0 GB free of 80.0 GB, capability 9.0" in " ".join(lines)
    assert line_of(lines, "GPU 1")
    assert line_of(lines, "CUDA").endswith("12.8")
    assert not any(line.split()[:1] == ["GPU"] and "none" in line for line in lines)


def test_missing_system_information_is_unknown(render):
    assert line_of(
        render(machine_view(checkup(memory_total=None, memory_free=None))), "memory"
    ).endswith("unknown")


def test_a_configuration_that_fits(render):
    lines = render(configuration_view("a.yaml", found()))
    assert lines[0] == "Configuration a.yaml"
    assert lines[-1] == "This configuration can run here."
    assert line_of(lines, "model").endswith("llama3: llama, 32 layers, 4096 wide")
    assert "downloads them from meta/Llama" in line_of(lines, "weights  not here yet")
    assert line_of(lines, "data").endswith("mimic3 · mimic3-50, not prepared yet")
    assert "for 50 labels" in line_of(lines, "for ")


def test_a_configuration_that_cannot_run_is_not_called_able_to(render):
    nothing = dict.fromkeys(("model", "data", "memory", "seconds"))
    assert render(configuration_view("a.yaml", found(problems=("device: none",), **nothing))) == []


@pytest.mark.parametrize("width", [80, 100])
def test_it_fits_the_columns(render, width):
    processor = "Intel(R) Xeon(R) Platinum 8480C with a very long name, as some have"
    disk = Disk(Path("/a/very/long" * 12), 1, 2)
    view = machine_view(checkup(disk, processor=processor, gpus=(GPU,)))
    data = DataCheck(Path("d"), "mimic3", "patient", Path("/x/y" * 40), 1, {})
    for lines in (
        render(view, width),
        render(configuration_view("a.yaml", found(data=data)), width),
    ):
        assert max(map(len, lines)) <= width


def test_names_are_never_read_as_markup(render):
    lines = render(configuration_view("[red]a.yaml", found()))
    assert lines[0] == "Configuration [red]a.yaml"
