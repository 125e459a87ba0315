"""The public names and, for one version more, their old paths."""

import importlib

import pytest

import icdcli
from icdcli.moved import MOVED

OLD_PATHS = [(module, name) for module, names in MOVED.items() for name in names]


@pytest.mark.parametrize("name", sorted(icdcli.__all__))
def test_every_public_name_is_found(name: str) -> None:
    assert getattr(icdcli, name) is not None
    assert name in dir(icdcli)


def test_the_list_of_public_names_is_complete() -> None:
    assert {*icdcli._MODULES, "__version__"} == set(icdcli.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_codr'"):
        icdcli.load_codr  # noqa: B018


@pytest.mark.parametrize(("module", "name"), OLD_PATHS)
def test_an_old_path_warns_and_leads_to_the_new_one(module: str, name: str) -> None:
    new_module, _, new_name = MOVED[module][name].rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"{module}.{name} is now {new_module}.{new_name}"):
        old = getattr(importlib.import_module(module), name)
    assert old is getattr(importlib.import_module(new_module), new_name)


def test_other_documented_names_have_not_moved() -> None:
    for name in (
        "icdcli.config.load_config",
        "icdcli.training.setup.new_training",
        "icdcli.training.setup.resumed_training",
        "icdcli.training.loop.train",
        "icdcli.training.events.Evaluated",
        "icdcli.errors.IcdcodeError",
    ):
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute)


def test_an_old_path_works_in_a_from_import() -> None:
    code = compile("from icdcli.evaluation.predict import load_coder", "caller.py", "exec")
    names: dict[str, object] = {}
    with pytest.warns(DeprecationWarning, match="icdcli.evaluation.predict.load_coder") as caught:
        exec(code, names)
    assert names["load_coder"] is icdcli.load_model
    assert [(one.filename, one.lineno) for one in caught] == [("caller.py", 1)]


def test_load_coder_is_now_load_model() -> None:
    with pytest.warns(DeprecationWarning, match=r"load_coder is now icdcli\.load_model"):
        assert icdcli.load_coder is icdcli.load_model


def test_other_names_of_an_old_module_are_refused() -> None:
    with pytest.raises(AttributeError, match=r"'icdcli\.data\.corpus' has no attribute 'writr'"):
        importlib.import_module("icdcli.data.corpus").writr  # noqa: B018
