"""Pausing the garbage collector."""

import gc
import subprocess
import sys

import pytest

from icdcli.garbage import paused_collection


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_paused_and_then_as_before(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ZeroDivisionError), paused_collection():
            assert not gc.isenabled()
            1 / 0  # noqa: B018
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_what_a_command_imports_is_not_looked_through_again():
    code = """
import gc
from icdcli.garbage import import_quickly
import_quickly("icdcli.config.loading")
frozen = gc.get_freeze_count()
assert gc.isenabled() and frozen > 10_000, frozen
import_quickly("icdcli.config.loading")
assert gc.get_freeze_count() <= frozen
"""
    subprocess.run([sys.executable, "-c", code], check=True)
