"""Work in several processes gives what one process gives."""

import os
from operator import itemgetter

import pytest

from icdcli.data import processes
from icdcli.data.processes import cores, in_blocks


@pytest.fixture
def started(monkeypatch):
    """Two cores; return the processes that are started."""
    made, start = [], processes._started
    monkeypatch.setattr(processes, "cores", lambda: 2)

    def keep():
        made.append(start())
        return made[-1]

    monkeypatch.setattr(processes, "_started", keep)
    return made


class OnArrival:
    """An item that calls a function in the process that it is sent to."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_the_cores_are_those_that_the_process_may_use():
    assert 1 <= cores() <= os.cpu_count()


@pytest.mark.parametrize("number", [0, 1, 5, 6, 41])
def test_many_items_are_worked_on_in_several_processes_with_the_same_results(started, number):
    items = [*range(number)]
    expected = [sum(items[begin : begin + 4]) for begin in range(0, number, 4)]
    assert list(in_blocks(sum, iter(items), size=4, least=6)) == expected
    assert len(started) == (2 if number >= 6 else 0)
    assert all(process.returncode is not None for process in started)


def test_one_core_starts_no_process(started, monkeypatch):
    monkeypatch.setattr(processes, "cores", lambda: 1)
    assert list(in_blocks(sum, range(6), size=3, least=1)) == [3, 12]
    assert not started


def test_the_ranks_of_a_training_share_the_cores(started, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert list(in_blocks(sum, range(6), size=3, least=1)) == [3, 12]
    assert not started


def test_items_are_taken_a_few_blocks_ahead(started):
    taken = []
    results = in_blocks(len, (taken.append(one) or one for one in range(1_000)), size=2, least=1)
    assert next(results) == 2
    assert len(taken) <= 10
    results.close()
    assert all(process.returncode is not None for process in started)


def test_an_exception_is_raised_here(started):
    with pytest.raises(TypeError, match="unsupported operand"):
        list(in_blocks(sum, ["a", "b"], size=1, least=1))
    assert all(process.returncode is not None for process in started)


def test_a_result_that_cannot_be_sent_is_an_error(started):
    with pytest.raises(TypeError, match="cannot pickle"):
        list(in_blocks(itemgetter(0), [OnArrival(open, os.devnull)], size=1, least=1))


def test_a_process_that_ends_is_an_error_that_says_why(started):
    with pytest.raises(RuntimeError, match="ended, perhaps because memory ran out"):
        list(in_blocks(len, [OnArrival(os._exit, 1)], size=1, least=1))
    assert all(process.returncode is not None for process in started)


def test_what_a_process_prints_is_no_result(started, capfd):
    assert list(in_blocks(itemgetter(0), [OnArrival(print, "printed")], size=1, least=1)) == [None]
    assert capfd.readouterr().err == "printed\n"
