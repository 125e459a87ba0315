"""What tests of training share."""

import pytest


@pytest.fixture
def described(config, model_folders, tmp_path):
    """A configuration of a small pretrained encoder with a head from descriptions."""

    def make(**changes):
        options = {
            "model": model_folders["bert"], "freeze_backbone": True, "label_width": 16,
            "pooling_mode": "label_attention", "description_prior": True, "code_system": "icd10",
            "cache_dir": tmp_path / "cache", "head_lr_factor": 1,
        }  # fmt: skip
        return config(**(options | changes))

    return make
