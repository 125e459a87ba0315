"""An environment with what an install line of a page brings, and nothing else.

No package is downloaded: a new virtual environment links to those packages of the running one that
``icdcode[EXTRAS]`` needs, directly or through others. What the line doesn't bring can't be imported
there.
"""

import re
import sys
import tomllib
import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
_INSTALL = re.compile(r"^pip install (?:-c constraints\.txt )?'?\.(?:\[([\w,]+)\])?'?$")


def extras_of(line: str) -> tuple[str, ...] | None:
    """Return the extras of a line that installs icdcode from its folder; None: it is another."""
    found = _INSTALL.match(line)
    return None if found is None else tuple(filter(None, (found[1] or "").split(",")))


def needed(extras: Iterable[str]) -> dict[str, Distribution]:
    """Return the distributions that icdcode needs with the extras, icdcode itself aside."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    open_ones = [Requirement(line) for line in project["dependencies"]]
    open_ones += [Requirement(line) for extra in extras for line in optional[extra]]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    while open_ones:
        requirement = open_ones.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) in seen or not _applies(requirement):
                continue
            seen.add((name, extra))
            try:
                found[name] = distribution(name)
            except PackageNotFoundError:
                continue  # of another platform, or optional in what needs it
            open_ones += [
                one
                for one in map(Requirement, found[name].requires or ())
                if one.marker is None or one.marker.evaluate({"extra": extra})
            ]
    return found


def make_environment(folder: Path, extras: Iterable[str]) -> Path:
    """Make a virtual environment in a folder and return the folder of its programs."""
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    found = needed(extras)
    others = [
        one
        for one in distributions()
        if canonicalize_name(one.metadata["Name"]) not in {*found, "icdcode"}
    ]
    shared = {top for one in others for top, _ in _files(one)}
    for one in found.values():
        for top, path in _files(one):
            # What several packages have, such as a namespace, is linked file by file.
            part = path if top in shared else Path(top)
            link = packages / part
            if not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(Path(str(one.locate_file(part))).resolve())
    (packages / "icdcode.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    program = programs / "icdcode"
    program.write_text(f"#!{programs}/python\nfrom icdcli.cli import main\n\nmain()\n", "utf-8")
    program.chmod(0o755)
    return programs


def _applies(requirement: Requirement) -> bool:
    return (
        requirement.marker is None
        or requirement.marker.evaluate({"extra": ""})
        or "extra" in str(requirement.marker)
    )


def _files(one: Distribution) -> Iterator[tuple[str, Path]]:
    """Yield the files of a distribution that are in site-packages, with their uppermost folder."""
    for file in one.files or ():
        path = Path(file)
        if path.parts[0] != ".." and not path.is_absolute() and "__pycache__" not in path.parts:
            yield path.parts[0], path
