import numpy as np
import pytest

from icdcli.data.batching import (
    Chunks,
    SpecialTokens,
    TokenizedDocument,
    collate,
    epoch_plan,
    micro_batches,
    multi_hot,
    rank_shares,
    steps_per_epoch,
)


@pytest.mark.parametrize(
    ("documents", "batch_size"), [(1, 8), (8, 8), (9, 8), (1000, 8), (513, 1), (1024, 16)]
)
def test_each_document_is_in_exactly_one_step(documents, batch_size):
    lengths = np.random.default_rng(0).integers(1, 500, documents)
    plan = epoch_plan(lengths, batch_size, seed=3, epoch=1)
    assert len(plan) == steps_per_epoch(documents, batch_size)
    assert sorted(np.concatenate(plan).tolist()) == list(range(documents))
    assert all(len(step) == batch_size for step in plan[:-1])


def test_the_plan_depends_on_its_arguments_only():
    lengths = np.random.default_rng(0).integers(1, 500, 200)

    def plan(seed, epoch):
        return [step.tolist() for step in epoch_plan(lengths, 8, seed, epoch)]

    assert plan(0, 0) == plan(0, 0)
    assert plan(0, 0) != plan(0, 1) != plan(1, 0)


def test_a_step_has_documents_of_similar_length_and_neighbors_dont():
    lengths = np.random.default_rng(0).integers(1, 2000, 4096)
    plan = epoch_plan(lengths, 8, 0, 0)
    padded = sum(len(step) * lengths[step].max() for step in plan)
    assert padded < 1.1 * lengths.sum()
    means = np.array([lengths[step].mean() for step in plan])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.15


def test_a_batch_is_padded_to_its_longest_document_and_no_further():
    batch = collate(
        [TokenizedDocument.whole(np.array([5, 6, 7])), TokenizedDocument.whole(np.array([8]))],
        pad=0,
    )
    assert batch.ids_CT.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch.mask_CT.tolist() == [[True] * 3, [True, False, False]]


def test_documents_laid_end_to_end_have_no_padding():
    batch = collate(
        [TokenizedDocument.whole(np.array([5, 6, 7])), TokenizedDocument.whole(np.array([8]))],
        pad=0,
        padding="free",
    )
    assert batch.ids_T.tolist() == [5, 6, 7, 8]
    assert batch.chunks == (3, 1)


@pytest.fixture
def lengths():
    return np.random.default_rng(0).lognormal(5, 0.7, 300).astype(np.int64) + 1


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_a_steps_documents_are_spread_evenly_over_the_ranks(lengths, ranks):
    for rows in epoch_plan(lengths, 32, 0, 0):
        shares = rank_shares(rows, lengths, ranks)
        assert len(shares) == ranks
        assert sorted(np.concatenate(shares).tolist()) == sorted(rows.tolist())
        tokens = [lengths[share].sum() for share in shares]
        assert max(tokens) - min(tokens) <= lengths[rows].max()


def test_a_long_document_weighs_as_much_as_many_short_ones():
    shares = rank_shares(np.arange(6), np.array([1, 10, 1, 6, 1, 2]), 2)
    assert [share.tolist() for share in shares] == [[1, 4], [3, 5, 0, 2]]


def test_ranks_without_a_document_have_an_empty_share():
    shares = rank_shares(np.array([4, 2]), np.array([9, 9, 5, 9, 7]), 4)
    assert [share.tolist() for share in shares] == [[4], [2], [], []]
    assert micro_batches(shares[3], np.array([9]), 100, "free") == []


def test_the_split_depends_on_its_arguments_only_and_ties_go_to_the_first():
    lengths = np.full(6, 10)
    shares = rank_shares(np.array([5, 0, 3, 1, 4, 2]), lengths, 2)
    assert [share.tolist() for share in shares] == [[5, 3, 4], [0, 1, 2]]
    assert [rows.tolist() for rows in micro_batches(shares[0], lengths, 20, "free")] == [
        [5, 3],
        [4],
    ]


@pytest.mark.parametrize("budget", [1, 64, 500, 10**9])
@pytest.mark.parametrize("padding", ["free", "batch"])
def test_micro_batches_keep_the_budget_and_lose_no_document(lengths, budget, padding):
    rows = np.random.default_rng(1).permutation(300)[:100]
    batches = micro_batches(rows, lengths, budget, padding)
    assert sorted(np.concatenate(batches).tolist()) == sorted(rows.tolist())
    for batch in batches:
        tokens = lengths[batch].sum() if padding == "free" else lengths[batch].max() * len(batch)
        assert tokens <= budget or len(batch) == 1
    assert len(batches) == (100 if budget == 1 else 1 if budget == 10**9 else len(batches))
    assert [lengths[batch[0]] for batch in batches] == sorted(
        (lengths[batch[0]] for batch in batches), reverse=True
    )


def test_without_padding_a_budget_holds_more_documents():
    lengths = np.array([10, 4, 3, 3])
    assert [len(rows) for rows in micro_batches(np.arange(4), lengths, 20, "free")] == [4]
    assert [len(rows) for rows in micro_batches(np.arange(4), lengths, 20, "batch")] == [2, 2]


@pytest.mark.parametrize(
    ("tokens", "windows"),
    [
        (0, [(0, 0)]),
        (8, [(0, 8)]),
        (9, [(0, 8), (1, 9)]),
        (14, [(0, 8), (6, 14)]),
        (15, [(0, 8), (6, 14), (7, 15)]),
    ],
)
def test_a_document_is_read_in_windows_of_max_len(tokens, windows):
    special_tokens, ids = SpecialTokens((1,), (2,), 0), np.arange(100, 100 + tokens)
    assert special_tokens.windows(tokens, 10, "windows") == windows
    assert special_tokens.windows(tokens, 10) == windows[:1]
    (chunk,) = special_tokens.read(ids, 10).chunks
    assert chunk.tolist() == [1, *ids[slice(*windows[0])], 2]


def test_a_document_is_truncated_within_its_special_tokens():
    special_tokens = SpecialTokens((1,), (2,), 0)
    assert special_tokens.read(np.arange(10, 20, dtype=np.uint32), 5).chunks[0].tolist() == [
        1,
        10,
        11,
        12,
        2,
    ]
    assert special_tokens.read(np.arange(10, 12, dtype=np.uint32), 5).chunks[0].tolist() == [
        1,
        10,
        11,
        2,
    ]
    assert special_tokens.read([], 5).chunks[0].tolist() == [1, 2]


CHUNKED = SpecialTokens((1, 2), (3,), 0)


def states_of(framed):
    """Return the ids whose hidden states belong to a document."""
    return np.concatenate(
        [ids[start:end] for ids, (start, end) in zip(framed.chunks, framed.kept, strict=True)]
    )


@pytest.mark.parametrize("stride", [1, 3, 5])
@pytest.mark.parametrize("own", range(0, 30))
def test_the_states_of_overlapping_chunks_are_those_of_the_whole_document(own, stride):
    ids, chunks = np.arange(100, 100 + own), Chunks(8, stride)
    for max_len in (8, 20, 40):
        framed = CHUNKED.read(ids, max_len, chunks)
        assert states_of(framed).tolist() == CHUNKED.read(ids, max_len).chunks[0].tolist()
        assert {len(part) for part in framed.chunks} <= (
            {8} if len(framed.chunks) > 1 else set(range(3, 9))
        )
        assert all(part[:2].tolist() == [1, 2] and part[-1] == 3 for part in framed.chunks)
        read, kept = (
            CHUNKED.tokens(np.array([own]), max_len, chunks),
            CHUNKED.tokens(np.array([own]), max_len),
        )
        assert (read, kept) == (sum(len(part) for part in framed.chunks), len(framed))


def test_a_token_in_two_chunks_has_the_state_of_the_one_whose_border_is_farther_away():
    framed = SpecialTokens((), (), 0).read(np.arange(12), 12, Chunks(8, 4))
    assert [part.tolist() for part in framed.chunks] == [list(range(8)), list(range(4, 12))]
    assert framed.kept == ((0, 6), (2, 8))


@pytest.mark.parametrize("padding", ["free", "batch"])
def test_what_is_kept_of_a_batch_is_its_documents(padding):
    documents = [CHUNKED.read(np.arange(100, 100 + own), 40, Chunks(8, 4)) for own in (20, 3, 0, 9)]
    batch = collate(documents, 0, padding)
    ids = batch.ids_T if padding == "free" else batch.ids_CT.reshape(-1)
    assert (
        ids[batch.kept].tolist()
        == np.concatenate([states_of(document) for document in documents]).tolist()
    )
    assert batch.documents == tuple(len(document) for document in documents)


def test_multi_hot():
    assert multi_hot([np.array([0, 2], np.int32), np.array([], np.int32)], 3).tolist() == [
        [1, 0, 1],
        [0, 0, 0],
    ]
