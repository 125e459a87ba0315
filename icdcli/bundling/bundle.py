"""Make a bundle from a trained model, and check one: checksums, and the codes of one note."""

import json
import platform as this_platform
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

from icdcli import __version__
from icdcli.bundling import install
from icdcli.bundling.install import (
    ABOUT,
    ALL_WHEELS,
    EDITIONS,
    MODEL,
    OWN_WHEEL,
    SUMS,
    WHEELS,
    BundleError,
    about_bundle,
    sha256_of_file,
    verify_sums,
)
from icdcli.bundling.wheels import (
    build_own_wheel,
    download_wheels,
    needed_distributions,
    repack_wheel,
    require_known_extras,
    require_pip,
)
from icdcli.errors import ConfigError, DataError
from icdcli.icd.editions.catalog import editions
from icdcli.io.folders import new_folder
from icdcli.io.progress import Progress
from icdcli.model.checkpoint import load_model
from icdcli.model.files.export import export_model

CHECK_NOTE = (
    "Admitted with fever, productive cough and shortness of breath, treated for pneumonia. Known "
    "high blood pressure, type 2 diabetes and atrial fibrillation. No history of heart failure."
)
"""The note that a bundle's own check codes; its model's scores are in the bundle."""

_CHECK = "check.json"
_SCORES = 20  # codes whose scores are compared
_TOLERANCE = 0.01  # another processor rounds differently
_MACHINES = ("x86_64", "amd64", "aarch64", "arm64")
_SYSTEMS = {"manylinux": "Linux", "musllinux": "Linux", "linux": "Linux", "macosx": "Darwin"}
_README = """\
# icdcode {icdcode}, a bundle for a machine without a network

For {system} on {machine} with Python {python}. Install it and run its own check:

    python{python} install.py

This makes the environment `icdcode-env`; pass another folder as the argument. The model is in
`model`; pass it to `icdcode predict` and `icdcode serve`. It may contain words of notes.
{wheels}
`sha256sum -c SHA256SUMS` compares the files with their checksums, which `install.py` does first.
"""
_OWN_ONLY = "\nThe wheels of the dependencies aren't here: that Python must have them.\n"


@dataclass(frozen=True)
class MadeBundle:
    """A bundle that was made.

    Attributes:
        folder: Its folder.
        wheels: The number of wheels.
        editions: The names of the editions in it.
        bytes: The size of all files.
    """

    folder: Path
    wheels: int
    editions: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class BundleTarget:
    """The machine that a bundle is for.

    Attributes:
        platform: pip's name of the platform, such as ``manylinux_2_28_x86_64``.
        python: The version of Python, such as ``3.12``.
    """

    platform: str
    python: str

    def parts(self) -> dict[str, str]:
        """Return system, processor and Python as `icdcli.bundling.install` names them.

        Raises:
            ConfigError: They can't be read.
        """
        system = next((name for key, name in _SYSTEMS.items() if self.platform.startswith(key)), "")
        system = system or ("Windows" if self.platform.startswith("win") else "")
        machine = next((name for name in _MACHINES if self.platform.endswith(name)), "")
        if not system or not machine:
            raise ConfigError(
                f"--platform: {self.platform!r} isn't a platform that pip knows, such as "
                "manylinux_2_28_x86_64 or macosx_14_0_arm64."
            )
        if not re.fullmatch(r"3\.\d+", self.python):
            raise ConfigError(f"--python: expected a version such as 3.12, not {self.python!r}.")
        if system == "Windows":
            machine = machine.upper()
        return {"system": system, "machine": machine, "python": self.python}


def make_bundle(
    run: Path | str,
    output: Path | str,
    *,
    load: str = "metric",
    extras: Sequence[str] = (),
    target: BundleTarget | None = None,
    own_wheel_only: bool = False,
    on_progress: Progress | None = None,
) -> MadeBundle:
    """Make a folder with everything to install icdcode and a model without a network.

    Args:
        run: The folder of a run or of a checkpoint.
        output: The folder to write; it must not exist.
        load: The checkpoint of a run: ``metric``, ``loss`` or ``last``.
        extras: The extras of icdcode to include.
        target: Another platform, whose wheels are downloaded; None: this one, with the packages
            that are installed here.
        own_wheel_only: Whether to leave out the wheels of the dependencies.
        on_progress: Receives the progress.

    Raises:
        ConfigError: The folder exists or can't be made, there is no such run or extra, or a package
            isn't installed.
        DataError: A wheel can't be made or downloaded, or a file can't be written.
    """
    output = Path(output)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    machine = {"system": this_platform.system(), "machine": this_platform.machine(), "python": here}
    about: dict[str, object] = {
        "icdcode": __version__,
        **(machine if target is None else target.parts()),
        "extras": list(extras),
        "wheels": OWN_WHEEL if own_wheel_only else ALL_WHEELS,
    }
    require_known_extras(extras)
    if target is not None and not own_wheel_only:
        require_pip()
    needed = [] if own_wheel_only else needed_distributions(extras)  # before gigabytes are copied
    with new_folder(output) as partial:
        (partial / WHEELS).mkdir()
        export_model(run, partial / MODEL, load=load, base=True)
        _write_check(partial)
        names = _copy_editions(partial)
        own = build_own_wheel(partial / WHEELS)
        if target is None:
            _repack_wheels(needed, partial / WHEELS, on_progress)
        elif not own_wheel_only:
            download_wheels(own, needed, extras, target.platform, target.python)
        _write_about(partial, about)
        files = _write_sums(partial)
        wheels = sum(path.suffix == ".whl" for path in files)
        return MadeBundle(output, wheels, names, sum(path.stat().st_size for path in files))


def check_bundle(bundle: Path) -> int:
    """Check a bundle: all files by their checksums, and its model by the codes of one note.

    Args:
        bundle: Its folder.

    Returns:
        The number of files.

    Raises:
        DataError: A file is missing or was changed, or the model gives other scores.
    """
    try:
        about_bundle(bundle)
        files = verify_sums(bundle)
    except BundleError as error:
        raise DataError(str(error)) from None
    expected: dict[str, float] = json.loads((bundle / _CHECK).read_text(encoding="utf-8"))["scores"]
    found = _scores(bundle)
    for code, score in expected.items():
        if abs(found.get(code, -1) - score) > _TOLERANCE:
            raise DataError(
                f"{bundle / MODEL}: gives {code} the score {found.get(code, 0):.3f} for the note "
                f"of the check, but {score:.3f} where the bundle was made. Install the versions of "
                "the bundle's wheels."
            )
    return files


def _scores(bundle: Path) -> dict[str, float]:
    """Return the scores of all codes for the note of the check."""
    model = load_model(bundle / MODEL, device="cpu")
    scores_L = model.scores([CHECK_NOTE])[0]
    return {code: float(score) for code, score in zip(model.labels.codes, scores_L, strict=True)}


def _write_check(bundle: Path) -> None:
    scores = _scores(bundle)
    highest = sorted(scores, key=lambda code: -scores[code])[:_SCORES]
    content = {"note": CHECK_NOTE, "scores": {code: round(scores[code], 6) for code in highest}}
    (bundle / _CHECK).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _copy_editions(bundle: Path) -> tuple[str, ...]:
    """Copy the editions that the user has imported; others are in icdcode's wheel."""
    imported = [one for one in editions() if not one.bundled]
    (bundle / EDITIONS).mkdir()
    for one in imported:
        shutil.copyfile(one.path, bundle / EDITIONS / one.path.name)
    return tuple(one.about.name for one in imported)


def _repack_wheels(
    needed: Sequence[Distribution], folder: Path, on_progress: Progress | None
) -> None:
    for number, one in enumerate(needed):
        if on_progress is not None:
            on_progress("packing wheels", number, len(needed), "packages", one.metadata["Name"])
        repack_wheel(one, folder)
    if needed and on_progress is not None:
        on_progress("packing wheels", len(needed), len(needed), "packages")


def _write_about(bundle: Path, about: dict[str, object]) -> None:
    (bundle / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(install.__file__, bundle / "install.py")
    wheels = _OWN_ONLY if about["wheels"] == OWN_WHEEL else ""
    text = _README.format(**{**about, "wheels": wheels})
    (bundle / "README.md").write_text(text, encoding="utf-8")


def _write_sums(bundle: Path) -> list[Path]:
    """Write the checksums of all files, and return the files."""
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    sums = (f"{sha256_of_file(path)}  {path.relative_to(bundle).as_posix()}\n" for path in files)
    (bundle / SUMS).write_text("".join(sums), encoding="utf-8")
    return files
