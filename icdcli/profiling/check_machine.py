"""What this machine offers a training; for `icdcode doctor`. Nothing is downloaded."""

import platform
import shutil
import tempfile
import warnings
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from icdcli.data.benchmarks.split_lists import PUBLISHED, sha256_of, splits_home
from icdcli.distributed import hardware as machine
from icdcli.model.backbone import half_precision
from icdcli.model.section import QUANTIZED

PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "safetensors", "huggingface_hub", "numpy",
    "pyarrow", "pandas", "scikit-learn", "isal", "tensorboard", "wandb", "mlflow",
)  # fmt: skip


def about_machine() -> dict[str, Any]:
    """The system, its processor, memory and GPUs."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "processor": machine.processor(),
        "cores": machine.cores(),
        "memory_total": machine.total_memory(),
        "memory_free": machine.free_memory(),
        "cuda": torch.version.cuda,
        "gpus": [asdict(gpu) for gpu in machine.gpus()],
    }


def about_packages() -> dict[str, str | None]:
    """The versions of the packages that matter; None for one that is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def what_works(folder: Path) -> list[dict[str, Any]]:
    """What training can make use of here.

    Args:
        folder: Where runs would lie.

    Returns:
        For each ability its ``name``, whether it ``works``, and a ``note``: what is done instead where it doesn't.
    """
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    found = [
        _ability(
            "bfloat16",
            half_precision(device) is torch.bfloat16,
            f"half precision is {half_precision(device)}",
        )
    ]
    for bit in QUANTIZED:
        reason = why_not_quantized(bit, device)
        found.append(
            _ability(
                f"{bit} bit",
                reason is None,
                f"tried on {device}" if reason is None else f"{reason}; use bit: 16 or 32",
            )
        )
    kernel = (
        gpu
        and find_spec("torch.nn.attention.varlen") is not None
        and torch.cuda.get_device_capability() >= (8, 0)
    )
    found.append(
        _ability(
            "varlen attention",
            kernel,
            "one kernel" if kernel else "documents are taken one after the other",
        )
    )
    isal = find_spec("isal") is not None
    found.append(
        _ability(
            "ISA-L",
            isal,
            ".gz is unpacked quickly"
            if isal
            else ".gz is unpacked by zlib, more slowly; pip install isal",
        )
    )
    there = _nearest_folder(folder)
    links = _has_links(there)
    found.append(
        _ability(
            "symbolic links",
            links,
            f"in {there}" if links else f"{there}: checkpoints are folders instead",
        )
    )
    return found


def _ability(name: str, works: bool, note: str) -> dict[str, Any]:
    return {"name": name, "works": works, "note": note}


def why_not_quantized(bit: int, device: torch.device) -> str | None:
    """Why weights of 4 or 8 bits can't be used, tried on a small layer; None where they can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import bitsandbytes as bnb

            layers: Any = bnb.nn
            half = half_precision(device)
            if bit == 8:
                layer = layers.Linear8bitLt(64, 64, has_fp16_weights=False)
            else:
                layer = layers.Linear4bit(64, 64, quant_type="nf4", compute_dtype=half)
            layer.to(device)(torch.ones(1, 64, device=device, dtype=half))
    except Exception as error:  # whatever a package that doesn't fit the machine may raise
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
    return None


def _nearest_folder(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def _has_links(folder: Path) -> bool:
    try:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            (Path(temporary) / "link").symlink_to("target")
    except OSError:
        return False
    return True


def about_disk(folder: Path) -> dict[str, Any]:
    """The room where runs would lie, in bytes."""
    there = _nearest_folder(folder)
    usage = shutil.disk_usage(there)
    return {"folder": there, "free": usage.free, "total": usage.total}


def about_split_lists() -> dict[str, Any]:
    """Which benchmarks' published split lists are here and right."""
    folder = splits_home()
    here = {
        protocol: all(sha256_of(folder / file.name) == file.sha256 for file in lists[0].files)
        for protocol, lists in PUBLISHED.items()
    }
    return {"folder": folder, "protocols": here}
