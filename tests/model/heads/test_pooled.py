import pytest
import torch

from icdcli.model.batch import Segments
from icdcli.model.heads.pooled import average_neighbors, pool

MODES = ["mean", "weighted_mean", "bos_token", "eos_token"]


def test_each_mode_is_what_its_name_says():
    hidden_TD = torch.tensor([[1.0], [2.0], [6.0]])
    found = {mode: pool(hidden_TD, Segments.of((3,)), mode).item() for mode in MODES}
    assert found == {
        "mean": 3.0,
        "weighted_mean": pytest.approx((1 * 1 + 2 * 2 + 3 * 6) / 6),
        "bos_token": 1.0,
        "eos_token": 6.0,
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_documents_dont_change_a_documents_vector(mode, dtype):
    documents = [torch.randn(length, 8).to(dtype) for length in (5, 1, 3, 3)]
    together_BD = pool(torch.cat(documents), Segments.of((5, 1, 3, 3)), mode)
    alone_BD = torch.cat([pool(states, Segments.of((len(states),)), mode) for states in documents])
    assert together_BD.dtype == torch.float32
    torch.testing.assert_close(together_BD, alone_BD, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_nan_in_a_document_stays_in_it(mode):
    hidden_TD = torch.randn(9, 4)
    hidden_TD[3:6] = float("nan")
    pooled_BD = pool(hidden_TD, Segments.of((3, 3, 3)), mode)
    assert pooled_BD.isfinite().all(dim=1).tolist() == [True, False, True]


def test_an_unknown_mode_is_an_error():
    with pytest.raises(ValueError, match="'max'"):
        pool(torch.zeros(1, 1), Segments.of((1,)), "max")


def test_neighbors_are_averaged_within_their_document():
    hidden_TD = torch.tensor([[1.0], [3.0], [5.0], [10.0], [20.0]])
    averaged, documents = average_neighbors(hidden_TD, Segments.of((3, 2)), 2)
    assert averaged[:, 0].tolist() == [2.0, 5.0, 15.0]
    assert documents.lengths == (2, 1)
    assert documents.starts.tolist() == [0, 2, 3]


def test_groups_of_one_change_nothing():
    hidden_TD, documents = torch.randn(4, 2), Segments.of((4,))
    assert average_neighbors(hidden_TD, documents, 1) == (hidden_TD, documents)
