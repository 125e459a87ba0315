import sys
import warnings
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from icdcli.model.batch import Batch, Segments
from icdcli.model.packing import attention, flash
from icdcli.model.packing.attention import packed_attention
from icdcli.model.packing.flash import (
    VERSIONS,
    Case,
    FlashAttention,
    first_that_works,
    kernel_for,
    without_flash_attention,
)
from icdcli.model.packing.kept_attention import keep_attention


def reference_kernel(
    query, key, value, starts, _, longest, __, scale=None, window_size=(-1, -1), enable_gqa=False
):
    """Compute what `torch.nn.attention.varlen.varlen_attn` documents, token by token."""
    found = torch.empty_like(query)
    left, right = window_size
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        assert end - start <= longest
        for place in range(start, end):
            first = start if left < 0 else max(start, place - left)
            last = end if right < 0 else min(end, place + right + 1)
            keys, values = (states[first:last].transpose(0, 1) for states in (key, value))
            one = functional.scaled_dot_product_attention(
                query[place : place + 1].transpose(0, 1),
                keys,
                values,
                scale=scale,
                enable_gqa=enable_gqa,
            )
            found[place] = one[:, 0]
    return found


def torch_function(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size):
    """Take arguments as torch 2.11 does, which knows no groups of heads."""
    assert query.shape == key.shape == value.shape
    return reference_kernel(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale, window_size)


def newer_torch_function(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa
):
    """Take arguments as torch 2.13 does."""
    return reference_kernel(
        query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale, window_size, enable_gqa
    )


def package_function(
    q,
    k,
    v,
    cu_seqlens_q=None,
    cu_seqlens_k=None,
    max_seqlen_q=None,
    max_seqlen_k=None,
    softmax_scale=None,
    causal=False,
    window_size=(None, None),
    deterministic=False,
):
    """Take arguments as flash-attn-4 does; it returns more than the hidden states."""
    left, right = (-1 if size is None else size for size in window_size)
    right = 0 if causal else right
    longest, sizes = (max_seqlen_q, max_seqlen_k), (left, right)
    hidden = reference_kernel(
        q, k, v, cu_seqlens_q, cu_seqlens_k, *longest, softmax_scale, sizes, True
    )
    return hidden, deterministic


@pytest.fixture
def installed(monkeypatch):
    """Return a function that installs one as a package and returns its version of attention."""

    def install(function, module="made_attention", **options):
        made = ModuleType(module)
        made.attend = function
        monkeypatch.setitem(sys.modules, module, made)
        return FlashAttention(options.pop("name", "Made"), module, "attend", (8, 10), **options)

    return install


CASE = Case(torch.device("cpu"), torch.bfloat16, 4, 2, 8, False, False, True, False)


@pytest.mark.parametrize("function", [torch_function, newer_torch_function, package_function])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 1, 3, 20])
def test_a_kernel_computes_the_same_attention(monkeypatch, installed, function, causal, window):
    module = SimpleNamespace(is_causal=causal, config=SimpleNamespace(sliding_window=window))
    query, key, value = (torch.randn(1, heads, 13, 8) for heads in (4, 2, 2))
    options = {"scaling": 0.3, "sliding_window": window, "segments": Segments.of((6, 6, 1))}
    by_document, _ = packed_attention(module, query, key, value, None, **options)
    kernel = installed(function).load()
    monkeypatch.setattr(attention, "kernel_for", lambda *_: kernel)
    by_kernel, _ = packed_attention(module, query, key, value, None, **options)
    torch.testing.assert_close(by_kernel, by_document, rtol=0, atol=1e-6)
    dropped, _ = packed_attention(module, query, key, value, None, dropout=0.5, **options)
    assert not torch.allclose(dropped, by_document)  # no kernel has dropout


@pytest.mark.parametrize("options", [{}, {"context_fn": keep_attention}])
def test_a_trial_does_not_disturb_the_layer_that_needs_it(monkeypatch, installed, options):
    # The first pass of a run may be one whose layers are recomputed.
    module = SimpleNamespace(is_causal=False, config=SimpleNamespace())
    segments, chosen = Segments.of((6, 6, 1)), []

    def choose(states, *_):
        if not chosen:
            chosen.append(first_that_works(CASE, 9, [installed(torch_function)]))
        return chosen[0]

    def layer(x):
        query, key, value = (x[:, heads].sin() for heads in (slice(4), slice(2), slice(2, 4)))
        return packed_attention(module, query, key, value, None, segments=segments)[0].sin()

    x = torch.randn(1, 4, 13, 8, dtype=torch.bfloat16, requires_grad=True)
    monkeypatch.setattr(attention, "kernel_for", choose)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint(layer, x, use_reentrant=False, **options).sum().backward()
    assert chosen[0] is not None
    recomputed, x.grad = x.grad, None
    layer(x).sum().backward()
    assert torch.equal(recomputed, x.grad)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("windowed", [False, True])
def test_the_first_kernel_that_works_is_used(installed, gradients, causal, windowed):
    case = replace(CASE, gradients=gradients, causal=causal, windowed=windowed)
    calls = []

    def counted(*args, **options):
        calls.append(options["causal"])
        return package_function(*args, **options)

    counted.__signature__ = __import__("inspect").signature(package_function)
    missing = FlashAttention("Missing", "no_such_attention.cute", "attend", (8, 10))
    versions = [missing, installed(counted), installed(torch_function, "second")]
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel = first_that_works(case, 9, versions)
    assert calls == [causal]
    assert kernel is not None
    assert torch.equal(torch.get_rng_state(), state)


def wrong_backward(*args, **options):
    hidden, _ = package_function(*args, **options)
    return hidden + (hidden - hidden.detach())  # twice the gradient


def wrong_border(q, k, v, cu_seqlens_q, cu_seqlens_k, **options):
    ends = torch.tensor([0, len(q)])
    return package_function(q, k, v, ends, ends, **options | {"max_seqlen_q": len(q)})


def noisy(*args, **options):
    warnings.warn("Argument aux_data cannot be converted", stacklevel=1)
    return package_function(*args, **options)


def broken(*args, **options):
    raise RuntimeError("ptxas fatal: unknown target\nmore lines")


def test_one_that_fails_is_named_and_the_next_one_used(installed):
    second = installed(torch_function, "second")
    for function, reason in (
        (wrong_border, r"its results differ by \d+\.\d%$"),
        (wrong_backward, r"its results differ by 100\.\d%$"),
        (broken, "ptxas fatal: unknown target$"),
    ):
        made = installed(function, name="FlashAttention 4")
        with pytest.warns(UserWarning, match=f"^FlashAttention 4 is not used here: {reason}"):
            assert first_that_works(CASE, 9, [made, second]) is not None
        with pytest.warns(UserWarning, match="FlashAttention 4"):
            assert first_that_works(CASE, 9, [made]) is None
    # Without gradients, they are not computed.
    assert first_that_works(replace(CASE, gradients=False), 9, [installed(wrong_backward)])


def test_warnings_of_compilers_are_not_shown(installed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert first_that_works(CASE, 9, [installed(noisy)]) is not None


def test_a_package_without_what_it_needs_is_named(monkeypatch, tmp_path):
    (tmp_path / "half_installed.py").write_text("import cutlass_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    version = FlashAttention("FlashAttention 4", "half_installed", "attend", (9, 10))
    with pytest.warns(UserWarning, match="not used here: No module named 'cutlass_that_is_miss"):
        assert first_that_works(CASE, 9, [version]) is None


@pytest.mark.parametrize(
    ("change", "generation"), [({}, 7), ({}, 11), ({"width": 12}, 9), ({"width": 264}, 9)]
)
def test_kernels_that_do_not_fit_are_not_tried(installed, change, generation):
    assert first_that_works(replace(CASE, **change), generation, [installed(broken)]) is None


def test_an_old_torch_has_no_kernel(installed):
    def older(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False):
        raise AssertionError

    needed = VERSIONS[-1].needed
    assert installed(older, needed=needed).load() is None
    assert installed(torch_function, needed=needed).load() is not None


def test_the_fastest_comes_first():
    assert [version.name[-1] for version in VERSIONS] == ["4", "3", "2"]


class OnGPU:
    """A tensor's shape, on a GPU."""

    is_cuda, device = True, torch.device("cuda", 0)

    def __init__(self, heads, requires_grad=False):
        self.shape, self.requires_grad = (1, heads, 30, 64), requires_grad


def test_a_choice_is_made_once_for_each_case(monkeypatch):
    cases = []
    monkeypatch.setattr(flash, "_chosen", {})
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(
        flash, "first_that_works", lambda case, generation: cases.append((case, generation))
    )
    plain, trained = [OnGPU(4), OnGPU(2), OnGPU(2)], [OnGPU(4, True), OnGPU(2), OnGPU(2)]
    for states in (plain, trained, plain, trained):
        assert kernel_for(states, torch.bfloat16, False, False) is None
    with torch.no_grad():
        kernel_for(trained, torch.bfloat16, False, False)
    assert [(case.gradients, generation) for case, generation in cases] == [(False, 9), (True, 9)]
    case, _ = cases[0]
    assert (case.heads, case.key_heads, case.width) == (4, 2, 64)
    kernel_for(plain, torch.float32, False, False)
    with without_flash_attention():
        kernel_for(plain, torch.float16, False, False)
    assert len(cases) == 2
    kernel_for(plain, torch.float16, True, True)
    assert (cases[2][0].causal, cases[2][0].windowed) == (True, True)


def test_deterministic_gradients_are_asked_for(installed):
    seen = []

    def attend(*args, deterministic=False, **options):
        seen.append(deterministic)
        return package_function(*args, **options)

    kernel = installed(attend).load()
    states = [torch.randn(5, 2, 8) for _ in range(3)]
    torch.use_deterministic_algorithms(False)  # other tests leave it on
    kernel(states, Segments.of((5,)), False, None, None)
    torch.use_deterministic_algorithms(True)
    try:
        kernel(states, Segments.of((5,)), False, None, None)
    finally:
        torch.use_deterministic_algorithms(False)
    assert seen == [False, True]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 5])
def test_the_kernel_of_a_gpu_computes_the_same(causal, window):
    module = SimpleNamespace(is_causal=causal, config=SimpleNamespace(sliding_window=window))
    lengths = (70, 33, 33, 2)
    states = [
        torch.randn(1, heads, sum(lengths), 64, device="cuda", dtype=torch.bfloat16)
        for heads in (4, 2, 2)
    ]
    segments = Batch(Segments.of(lengths)).to(torch.device("cuda")).documents
    if kernel_for(states, torch.bfloat16, causal, window is not None) is None:
        pytest.skip("no kernel for this GPU")
    found = []
    for floats in (False, True):
        leaves = [(part.float() if floats else part).detach().requires_grad_() for part in states]
        out, _ = packed_attention(module, *leaves, None, sliding_window=window, segments=segments)
        out.float().square().sum().backward()
        found.append([out.detach().float(), *(leaf.grad.float() for leaf in leaves)])
    for by_kernel, by_document in zip(*found, strict=True):
        assert (by_kernel - by_document).norm() < 0.02 * by_document.norm()
