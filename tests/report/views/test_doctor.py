from pathlib import Path

import pytest

from icdcli.report.views.doctor import configuration_view, machine_view

GPU = {
    "number": 0,
    "name": "NVIDIA H100 80GB HBM3",
    "capability": (9, 0),
    "total": 80 * 10**9,
    "free": 79 * 10**9,
}


def checkup(**machine):
    about = {
        "system": "Linux 6.1",
        "python": "3.11.7",
        "processor": "AMD EPYC",
        "cores": 1,
        "cuda": None,
        "gpus": [],
    }
    return {
        "machine": about | {"memory_total": 25 * 10**9, "memory_free": 20 * 10**9} | machine,
        "packages": {f"package{number}": "1.2.3" for number in range(12)} | {"wandb": None},
        "works": [
            {
                "name": "8 bit",
                "works": False,
                "note": "ImportError: no such library; use bit: 16 or 32",
            },
            {"name": "ISA-L", "works": True, "note": ".gz is unpacked quickly"},
        ],
        "disk": {"folder": Path("runs"), "free": 10**11, "total": 10**12},
        "split_lists": {
            "folder": Path("splits"),
            "protocols": {"mimic3-50": False, "mimic3-full": False},
        },
    }


def found(**changes):
    estimate = {
        "device": "cpu",
        "parts": {"weights": 10**9},
        "total": 10**9,
        "documents": 2,
        "tokens": 9,
        "cached": False,
    }
    known = {
        "problems": [],
        "model": {
            "name": "llama3",
            "architecture": "llama",
            "layers": 32,
            "width": 4096,
            "base": "meta/Llama",
            "here": False,
        },
        "data": {
            "path": Path("d"),
            "dataset": "mimic3",
            "protocol": "mimic3-50",
            "corpus": None,
            "labels": 50,
        },
        "memory": {"estimate": estimate, "labels": 50, "free": 2 * 10**9, "changes": {}},
        "seconds": 60.0,
    }
    return known | changes


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
    lines = render(machine_view(checkup(cuda="12.8", gpus=[GPU, GPU | {"number": 1}])))
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
    assert render(configuration_view("a.yaml", found(problems=["device: none"], **nothing))) == []


@pytest.mark.parametrize("width", [80, 100])
def test_it_fits_the_columns(render, width):
    long = {
        "processor": "Intel(R) Xeon(R) Platinum 8480C with a very long name, as some have",
        "gpus": [GPU],
    }
    view = machine_view(
        checkup(**long) | {"disk": {"folder": Path("/a/very/long" * 12), "free": 1, "total": 2}}
    )
    corpus = {
        "path": Path("d"),
        "dataset": "mimic3",
        "protocol": "patient",
        "corpus": Path("/x/y" * 40),
        "labels": 1,
    }
    for lines in (
        render(view, width),
        render(configuration_view("a.yaml", found(data=corpus)), width),
    ):
        assert max(map(len, lines)) <= width


def test_names_are_never_read_as_markup(render):
    lines = render(configuration_view("[red]a.yaml", found()))
    assert lines[0] == "Configuration [red]a.yaml"
