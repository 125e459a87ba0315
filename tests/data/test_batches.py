import numpy as np
import pytest

from icdcli.data.batches import Frame, collate, epoch_plan, multi_hot, steps_per_epoch


@pytest.mark.parametrize(("documents", "batch_size"), [(1, 8), (8, 8), (9, 8), (1000, 8), (513, 1), (1024, 16)])
def test_each_document_stands_in_exactly_one_step(documents, batch_size):
    lengths = np.random.default_rng(0).integers(1, 500, documents)
    plan = epoch_plan(lengths, batch_size, seed=3, epoch=1)
    assert len(plan) == steps_per_epoch(documents, batch_size)
    assert sorted(np.concatenate(plan).tolist()) == list(range(documents))
    assert all(len(step) == batch_size for step in plan[:-1])


def test_the_plan_follows_from_its_arguments_alone():
    lengths = np.random.default_rng(0).integers(1, 500, 200)

    def plan(seed, epoch):
        return [step.tolist() for step in epoch_plan(lengths, 8, seed, epoch)]

    assert plan(0, 0) == plan(0, 0)
    assert plan(0, 0) != plan(0, 1) != plan(1, 0)


def test_a_step_holds_documents_of_like_length_and_neighbours_do_not():
    lengths = np.random.default_rng(0).integers(1, 2000, 4096)
    plan = epoch_plan(lengths, 8, 0, 0)
    padded = sum(len(step) * lengths[step].max() for step in plan)
    assert padded < 1.1 * lengths.sum()
    means = np.array([lengths[step].mean() for step in plan])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.15


def test_a_batch_is_padded_to_its_longest_document_and_no_further():
    batch = collate([np.array([5, 6, 7]), np.array([8])], pad=0)
    assert batch.ids_BT.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch.mask_BT.tolist() == [[True] * 3, [True, False, False]]


def test_a_document_is_cut_within_its_frame():
    frame = Frame((1,), (2,), 0)
    assert frame.around(np.arange(10, 20, dtype=np.uint32), 5).tolist() == [1, 10, 11, 12, 2]
    assert frame.around(np.arange(10, 12, dtype=np.uint32), 5).tolist() == [1, 10, 11, 2]
    assert frame.around([], 5).tolist() == [1, 2]


def test_multi_hot():
    assert multi_hot([np.array([0, 2], np.int32), np.array([], np.int32)], 3).tolist() == [[1, 0, 1], [0, 0, 0]]
