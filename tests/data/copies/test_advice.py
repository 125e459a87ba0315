from pathlib import Path

import pytest
from pydantic import ValidationError

from icdcli.config.loading import load_config
from icdcli.data.copies.advice import require_copied
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError


@pytest.mark.parametrize(
    ("path", "command"),
    [
        (
            "postgresql://me:pass@h/cdm?options=-csearch_path%3Dcdm",
            "icdcode copy-data 'postgresql://me:***@h/cdm?options=-csearch_path%3Dcdm' DIR, and "
            "use DIR",
        ),
        ("sqlite:///data/cdm.db", "icdcode copy-data sqlite:///data/cdm.db DIR, and use DIR"),
        ("s3://b/in/notes.csv", "icdcode copy-data s3://b/in/notes.csv DIR, and use DIR/notes.csv"),
        ("gs://b/fhir/", "icdcode copy-data gs://b/fhir/ DIR, and use DIR"),
        (Path("s3://b/in"), "icdcode copy-data s3://b/in DIR, and use DIR"),
    ],
)
def test_data_elsewhere_are_refused_with_the_command_that_copies_them(path, command):
    with pytest.raises(ValueError, match="file or folder of this machine") as caught:
        require_copied(path)
    assert str(caught.value).endswith(f"Copy them: {command}")
    assert "pass@" not in str(caught.value)
    for key in ("data_path", "codes_path"):
        with pytest.raises(ValidationError, match="copy-data"):
            DataConfig(**{key: path})


def test_data_of_this_machine_are_not():
    for path in ("notes.csv", Path("data/cdm"), "C:/data/cdm", None):
        assert require_copied(path) == path


def test_a_configuration_does_not_show_a_password(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("data_path: postgresql://me:Longfellow@h/cdm\nproject: s3://a:Longfellow@b\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert "2 problems" in str(caught.value) and "Longfellow" not in str(caught.value)
