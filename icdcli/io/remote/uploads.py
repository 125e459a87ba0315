"""Files of other machines that are published complete, as `icdcli.io.files` does with local ones.

The content is written to a private temporary file of this machine first. In an object store, a file
appears when its upload is complete; elsewhere, it is uploaded under another name and renamed.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from icdcli.io.remote.paths import RemotePath, has_no_folders
from icdcli.io.remote.systems import storage_errors


@contextmanager
def uploading(path: RemotePath) -> Iterator[Path]:
    """Yield a temporary file that is uploaded to `path` if the block succeeds.

    Raises:
        OSError: If it can't be written or uploaded.
    """
    with tempfile.TemporaryDirectory(prefix="icdcode-") as folder:
        temporary = Path(folder, path.name)
        temporary.touch(0o600)
        yield temporary
        _publish(temporary, path)


def _publish(file: Path, path: RemotePath) -> None:
    system, name = path.system
    with storage_errors():
        if has_no_folders(path.scheme):
            system.put_file(str(file), name)
            return
        aside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp").system[1]
        try:
            system.put_file(str(file), aside)
            if system.exists(name):  # which a rename doesn't replace in every file system
                system.rm_file(name)
            system.mv(aside, name)
        finally:
            if system.exists(aside):
                system.rm_file(aside)
