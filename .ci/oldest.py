"""Print the oldest version of each dependency that pyproject.toml allows, as constraints for pip.

`make oldest` installs these versions.
"""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
    if found := re.match(r"([\w.-]+)(?:>=|==)([\w.]+)", requirement):
        sys.stdout.write(f"{found[1]}=={found[2]}\n")
