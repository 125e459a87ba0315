"""The check of a machine, for `icdcode doctor`: its hardware, packages and features.

It downloads nothing.
"""

import platform
import shutil
import tempfile
import warnings
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from icdcli.data.benchmarks.split_lists import PUBLISHED, sha256_of, splits_home
from icdcli.data.processes import cores
from icdcli.distributed import hardware
from icdcli.model.precision import half_precision
from icdcli.model.section import QUANTIZED

PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "safetensors",
    "huggingface_hub", "numpy", "pyarrow", "pandas", "scikit-learn", "isal", "liger-kernel",
    "flash-attn-4", "tensorboard", "wandb", "mlflow",
)  # fmt: skip
"""The packages whose versions are reported."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The system, its processor, memory and GPUs.

    Attributes:
        system: Name and version of the operating system.
        python: Version of Python.
        processor: Name of the processor.
        cores: Number of processor cores that this process may use.
        memory_total: Memory in bytes; None if unknown.
        memory_free: Free memory in bytes; None if unknown.
        cuda: Version of CUDA that PyTorch was built with; None if without.
        gpus: The GPUs that PyTorch can use.
    """

    system: str
    python: str
    processor: str
    cores: int
    memory_total: int | None
    memory_free: int | None
    cuda: str | None
    gpus: tuple[hardware.Gpu, ...]


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that training can use.

    Attributes:
        name: Its name.
        works: Whether it works on this machine.
        note: Details; if it doesn't work, the replacement.
    """

    name: str
    works: bool
    note: str


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk on which runs are stored.

    Attributes:
        folder: The closest existing folder.
        free: Free bytes.
        total: All bytes.
    """

    folder: Path
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class SplitListsPresent:
    """The downloaded split lists of the benchmarks.

    Attributes:
        folder: Their folder.
        protocols: Protocol to whether its lists are complete and unchanged.
    """

    folder: Path
    protocols: dict[str, bool]


@dataclass(frozen=True, slots=True)
class MachineCheck:
    """The result of `check_machine`.

    Attributes:
        machine: The hardware.
        packages: Package to version; None if it isn't installed.
        features: The features of training.
        disk: The disk on which runs are stored.
        split_lists: The downloaded split lists.
    """

    machine: Machine
    packages: dict[str, str | None]
    features: tuple[Feature, ...]
    disk: Disk
    split_lists: SplitListsPresent

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "machine": asdict(self.machine),
            "packages": self.packages,
            "works": [asdict(feature) for feature in self.features],
            "disk": asdict(self.disk),
            "split_lists": asdict(self.split_lists),
        }


def check_machine(folder: Path) -> MachineCheck:
    """Check the hardware, packages and features of this machine.

    Args:
        folder: The folder of the runs, which needn't exist.
    """
    return MachineCheck(
        find_machine(),
        package_versions(),
        tuple(check_features(folder)),
        check_disk(folder),
        check_split_lists(),
    )


def find_machine() -> Machine:
    """Return the hardware of this machine."""
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        processor=hardware.processor(),
        cores=cores(),
        memory_total=hardware.total_memory(),
        memory_free=hardware.free_memory(),
        cuda=torch.version.cuda,
        gpus=tuple(hardware.gpus()),
    )


def package_versions() -> dict[str, str | None]:
    """Return the version of each of `PACKAGES`; None if it isn't installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def check_features(folder: Path) -> list[Feature]:
    """Try the features that training can use.

    Args:
        folder: The folder of the runs.
    """
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    half = half_precision(device)
    fast = half is torch.bfloat16
    note = f"half precision is {half}"
    if not fast:
        note = (
            "this GPU computes it slowly or not at all; half precision is float16 with loss scaling"
        )
    found = [Feature("bfloat16", fast, note)]
    for bit in QUANTIZED:
        reason = why_not_quantized(bit, device)
        note = f"tried on {device}" if reason is None else f"{reason}; use bit: 16 or 32"
        found.append(Feature(f"{bit} bit", reason is None, note))
    kernel = (
        gpu
        and find_spec("torch.nn.attention.varlen") is not None
        and torch.cuda.get_device_capability() >= (8, 0)
    )
    note = "by one kernel" if kernel else "documents run one at a time (slower)"
    found.append(Feature("padding-free batches", kernel, note))
    isal = find_spec("isal") is not None
    note = "fast reading of .gz" if isal else ".gz is read by zlib (slower); pip install isal"
    found.append(Feature("ISA-L", isal, note))
    existing = _nearest_folder(folder)
    links = _has_links(existing)
    note = f"in {existing}" if links else f"{existing}: checkpoints are folders instead"
    found.append(Feature("symbolic links", links, note))
    return found


def why_not_quantized(bit: int, device: torch.device) -> str | None:
    """Return why 4-bit or 8-bit weights don't work, tried on a small layer; None if they work."""
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
    except Exception as error:  # a package that doesn't fit the machine may raise anything
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        return f"{type(error).__name__}: {reason}"
    return None


def check_disk(folder: Path) -> Disk:
    """Return the disk of a folder, which needn't exist."""
    existing = _nearest_folder(folder)
    usage = shutil.disk_usage(existing)
    return Disk(existing, usage.free, usage.total)


def check_split_lists() -> SplitListsPresent:
    """Return which benchmarks' split lists are downloaded, complete and unchanged."""
    folder = splits_home()
    protocols = {
        protocol: all(sha256_of(folder / file.name) == file.sha256 for file in lists[0].files)
        for protocol, lists in PUBLISHED.items()
    }
    return SplitListsPresent(folder, protocols)


def _nearest_folder(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def _has_links(folder: Path) -> bool:
    try:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            (Path(temporary) / "link").symlink_to("target")
    except OSError:
        return False
    return True
