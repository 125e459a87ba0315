import threading

import pytest

from icdcli.io.prefetch import one_ahead


def test_results_come_in_order():
    assert list(one_ahead(lambda item: item * item, range(10))) == [
        item * item for item in range(10)
    ]
    assert list(one_ahead(str, [])) == []


def test_the_next_item_is_under_way_while_one_is_used():
    begun = [threading.Event() for _ in range(3)]
    results = one_ahead(lambda item: (begun[item].set(), item)[1], range(3))
    for item in range(2):
        assert next(results) == item
        assert begun[item + 1].wait(timeout=30)
    assert next(results) == 2


def test_an_error_comes_where_its_result_would_have():
    results = one_ahead(lambda item: 1 / item, [1, 0, 2])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_items_are_taken_in_the_callers_thread_and_worked_on_in_one_other():
    seen = set()

    def items():
        for item in range(5):
            seen.add(("taken", threading.get_ident()))
            yield item

    list(one_ahead(lambda item: seen.add(("worked", threading.get_ident())), items()))
    assert len(seen) == 2
    assert ("taken", threading.get_ident()) in seen
    assert ("worked", threading.get_ident()) not in seen


def test_whoever_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    results = one_ahead(str, range(100))
    next(results)
    results.close()
    assert threading.active_count() == before
