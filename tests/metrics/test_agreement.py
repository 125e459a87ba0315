"""Agreement is what scikit-learn computes, and its intervals contain the truth."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from icdcli.metrics.agreement import agreement_of


def drawn(documents: int, seed: int, agree: float = 0.8) -> list[tuple[set[str], set[str]]]:
    """Return codes of two reviewers: the second has the first's choice in a share of cases."""
    draw = np.random.default_rng(seed)
    codes = np.array(["I10", "E11.9", "J18.9", "N17.9", "Z51.1"])
    first = draw.random((documents, len(codes))) < [0.5, 0.3, 0.2, 0.1, 0.02]
    same = draw.random(first.shape) < agree
    second = np.where(same, first, draw.random(first.shape) < 0.3)
    return [
        (set(codes[one].tolist()), set(codes[other].tolist()))
        for one, other in zip(first, second, strict=True)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_kappa_and_f1_are_those_of_scikit_learn(seed: int) -> None:
    pairs = drawn(60, seed)
    found = agreement_of(pairs)
    assert {one.code for one in found.codes} == set().union(*(a | b for a, b in pairs))
    for one in found.codes:
        columns = [[one.code in pair[side] for pair in pairs] for side in (0, 1)]
        assert one.kappa == pytest.approx(cohen_kappa_score(*columns))
        assert one.both == sum(a and b for a, b in zip(*columns, strict=True))
        assert one.one == sum(a != b for a, b in zip(*columns, strict=True))
        if one.interval is not None:
            assert -1 <= one.interval.low <= one.kappa <= one.interval.high <= 1
    names = sorted({one.code for one in found.codes})
    arrays = [[[name in pair[side] for name in names] for pair in pairs] for side in (0, 1)]
    f1 = f1_score(*arrays, average="samples", zero_division=1.0)
    assert found.f1 == pytest.approx(f1)
    assert found.exact == np.mean([a == b for a, b in pairs])
    assert found.f1_interval.low < found.f1 < found.f1_interval.high


@pytest.mark.slow
def test_intervals_contain_the_true_agreement() -> None:
    truth = agreement_of(drawn(20_000, 99))
    kappa = next(one.kappa for one in truth.codes if one.code == "I10")
    inside_f1 = inside_kappa = 0
    for seed in range(60):
        found = agreement_of(drawn(80, seed))
        inside_f1 += found.f1_interval.low <= truth.f1 <= found.f1_interval.high
        one = next(one for one in found.codes if one.code == "I10")
        inside_kappa += one.interval.low <= kappa <= one.interval.high
    assert inside_f1 >= 52 and inside_kappa >= 52  # .95 of 60 is 57


def test_the_ends_of_the_scale() -> None:
    perfect = agreement_of([({"I10"}, {"I10"}), (set(), set()), ({"I10"}, {"I10"})])
    assert (perfect.f1, perfect.exact, perfect.f1_interval) == (1.0, 1.0, None)
    assert perfect.codes[0].kappa == 1.0
    everywhere = agreement_of([({"I10"}, {"I10"})] * 3).codes[0]
    assert everywhere.kappa is None and everywhere.interval is None
    opposite = agreement_of([({"I10"}, set()), (set(), {"I10"})])
    assert (opposite.f1, opposite.codes[0].kappa) == (0.0, -1.0)
    assert agreement_of([]) is None
