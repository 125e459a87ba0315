import pytest
import torch

from icdcli.model.inputs import Segments
from icdcli.model.pooling import pool, pool_packed

MODES = ["mean", "weighted_mean", "bos_token", "eos_token"]


@pytest.mark.parametrize("mode", MODES)
def test_a_document_pools_the_same_whatever_it_is_padded_to(mode):
    hidden_BTD = torch.randn(1, 5, 8)
    alone_BD = pool(hidden_BTD, torch.ones(1, 5, dtype=torch.bool), mode)
    padded_BTD = torch.cat([hidden_BTD, torch.full((1, 3, 8), float("nan"))], dim=1)
    mask_BT = torch.tensor([[True] * 5 + [False] * 3])
    torch.testing.assert_close(pool(padded_BTD, mask_BT, mode), alone_BD, rtol=0, atol=1e-6)


def test_each_mode_is_what_its_name_says():
    hidden_BTD = torch.tensor([[[1.0], [2.0], [6.0], [99.0]]])
    mask_BT = torch.tensor([[True, True, True, False]])
    found = {mode: pool(hidden_BTD, mask_BT, mode).item() for mode in MODES}
    assert found == {
        "mean": 3.0,
        "weighted_mean": pytest.approx((1 * 1 + 2 * 2 + 3 * 6) / 6),
        "bos_token": 1.0,
        "eos_token": 6.0,
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_documents_laid_end_to_end_pool_as_padded_ones_do(mode, dtype):
    lengths = (5, 1, 3, 3)
    documents = [torch.randn(length, 8).to(dtype) for length in lengths]
    mask_BT = torch.arange(5) < torch.tensor(lengths)[:, None]
    padded_BD = pool(torch.nn.utils.rnn.pad_sequence(documents, batch_first=True), mask_BT, mode)
    packed_BD = pool_packed(torch.cat(documents), Segments.of(lengths), mode)
    assert packed_BD.dtype == torch.float32
    torch.testing.assert_close(packed_BD, padded_BD, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_neighbour_that_is_no_number_spoils_no_other_document(mode):
    hidden_TD = torch.randn(9, 4)
    hidden_TD[3:6] = float("nan")
    pooled_BD = pool_packed(hidden_TD, Segments.of((3, 3, 3)), mode)
    assert pooled_BD.isfinite().all(dim=1).tolist() == [True, False, True]


def test_half_precision_states_give_float32():
    assert pool(torch.randn(2, 3, 4, dtype=torch.bfloat16), torch.ones(2, 3, dtype=torch.bool), "mean").dtype == torch.float32


def test_an_unknown_mode_is_an_error():
    with pytest.raises(ValueError, match="'max'"):
        pool(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), "max")
    with pytest.raises(ValueError, match="'max'"):
        pool_packed(torch.zeros(1, 1), Segments.of((1,)), "max")
