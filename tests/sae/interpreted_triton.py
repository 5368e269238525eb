"""Run by test_triton.py with TRITON_INTERPRET=1: prints the name of each case that holds."""

from __future__ import annotations

import math
import warnings
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from msae.core.errors import TrainingError
from msae.sae import ACTIVATION_FNS, BatchTopK, FixedPrefixes, JumpReLU, SampledPrefixes, SparseAutoencoder
from msae.sae.kernels import ReferenceKernel, make_kernel, triton_guard, triton_loops
from msae.sae.kernels.search import PlainSearch
from msae.sae.kernels.triton_select import TileSearch
from msae.sae.losses import Objective
from msae.training import TrainConfig, Trainer

WIDTHS, WEIGHTS = (4, 14), (0.4, 0.6)
ASKS = {"_local_scalar_dense", "nonzero", "masked_select", "bincount", "_unique2", "is_nonzero", "equal"}


def sae_and_rows(fn, d_in=6, n_rows=10):
    sae = SparseAutoencoder(d_in, WIDTHS[-1], fn, FixedPrefixes(WIDTHS))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        sae.b_enc += 0.3 * torch.randn(sae.d_sae, generator=generator)
        sae.threshold.fill_(0.9 if isinstance(fn, JumpReLU) else 0.0)
    return sae, 1.5 * torch.randn(n_rows, d_in, generator=generator)


def objective(sae):
    dead = torch.arange(sae.d_sae) % 3 == 0
    n_dead = (int(dead[: WIDTHS[0]].sum()), int(dead[WIDTHS[0] :].sum()))
    common = {"widths": WIDTHS, "weights": WEIGHTS, "auxk_widths": WIDTHS, "auxk_weights": WEIGHTS}
    return Objective(variance=3.7, auxk_alpha=1 / 32, dead=dead, n_dead=n_dead, **common)


def equals_reference(kernel, sae, x, complete=True):
    expected = ReferenceKernel().step(sae, x, objective(sae))
    gradients = {name: p.grad.clone() for name, p in sae.named_parameters() if p.requires_grad}
    result = kernel.step(sae, x, objective(sae))
    assert bool(result.complete) == complete
    if complete:
        assert torch.equal(result.codes.dense() != 0, expected.codes.dense() != 0)
        assert torch.allclose(result.losses.total, expected.losses.total, rtol=1e-5, atol=0)
        assert result.smallest() == expected.smallest() or abs(result.smallest() - expected.smallest()) < 1e-5
        assert torch.equal(result.fired(), expected.fired()) and result.l0() == expected.l0()
        for name, gradient in gradients.items():
            off = (sae.get_parameter(name).grad - gradient).norm() / gradient.norm()
            assert off < 1e-5, (name, off)


def every_activation_function():
    for fn in (cls.example(WIDTHS[-1]) for cls in ACTIVATION_FNS.values()):
        sae, x = sae_and_rows(fn)
        kernel = make_kernel("triton", sae)
        for _ in range(2):  # the second time with floor and room from the first
            equals_reference(kernel, sae, x)


def blocks_of_latents():
    sae, x = sae_and_rows(BatchTopK(k=3))
    kernel = make_kernel("triton", sae, block=10 * 6)
    for _ in range(2):
        equals_reference(kernel, sae, x)


def too_little_room_or_too_high_a_floor_is_said():
    for change in ({"_room": 30}, {"_floor": torch.tensor(1e6)}):
        sae, x = sae_and_rows(BatchTopK(k=3))
        kernel = make_kernel("triton", sae)
        equals_reference(kernel, sae, x)
        vars(kernel._deferred).update(change)
        equals_reference(kernel, sae, x, complete=False)


def ties_and_fewer_positive_than_asked_for():
    sae, x = sae_and_rows(BatchTopK(k=3))
    with torch.no_grad():
        sae.W_enc[:, 1::2] = sae.W_enc[:, ::2]
        sae.b_enc[1::2] = sae.b_enc[::2]
    x[1::2] = x[::2]
    kernel = make_kernel("triton", sae)
    for _ in range(2):
        equals_reference(kernel, sae, x)
    sae, x = sae_and_rows(BatchTopK(k=13))
    with torch.no_grad():
        sae.b_enc -= 2.0
    kernel = make_kernel("triton", sae)
    for _ in range(2):
        equals_reference(kernel, sae, x)
        assert 0 < len(kernel.step(sae, x, objective(sae)).codes) < 13 * len(x)


def pick_loses_nothing():
    sae, x = sae_and_rows(BatchTopK(k=3), d_in=70, n_rows=70)
    for floor in (torch.tensor(2.0), torch.tensor(0.0), torch.tensor(1e6)):
        plain = PlainSearch(sae, x, floor).block(slice(0, WIDTHS[-1]))
        search = TileSearch(sae, x, floor)
        tiles = search.block(slice(0, WIDTHS[-1]))
        assert torch.equal(plain[0], tiles[0]) and torch.equal(plain[1], tiles[1])
        assert len(plain[0]) <= search.n_passed <= 1.5 * len(plain[0]) + 2


class NothingAsked(TorchDispatchMode):
    """Raises where the host would wait for a device: numbers read, arrays whose length depends on them."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._overloadpacket.__name__
        by_mask = name in ("index", "index_put_") and any(
            i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]
        )
        if name in ASKS or by_mask:
            raise AssertionError(f"{func} asks the device")
        return func(*args, **(kwargs or {}))


def bits_are_unpacked_in_order():
    generator = torch.Generator().manual_seed(0)
    for n_words, share in ((1, 0.5), (3, 0.02), (70, 0.001), (33, 1.0)):
        flags = torch.rand(5, n_words, 32, generator=generator) < share
        words = (flags.long() << torch.arange(32)).sum(2).to(torch.int32)
        row, column = flags.flatten(1).nonzero(as_tuple=True)
        d_sae, first, n_set = 40 * n_words, 7, len(row)
        for room in (n_set + 3, n_set, max(1, n_set // 2)):
            found, count = triton_loops.unpack(words, room, first, d_sae)
            expected = torch.cat([row * d_sae + first + column, torch.full((3,), 5 * d_sae)])[:room]
            assert count.tolist() == [n_set] and torch.equal(found, expected)


def trained_by_torch(change, *, reason):
    """With a loop that is wrong, training is torch's, and one warning gives the reason."""
    triton_guard._verdicts.clear()
    with warnings.catch_warnings(record=True) as caught, mock.patch.multiple(triton_loops, **change):
        warnings.simplefilter("always")
        ours, reference = new_trainer("triton", BatchTopK(k=2)), new_trainer("sparse", BatchTopK(k=2))
        for step in range(4):
            ours.step(batch(step))
            reference.step(batch(step))
            if step == 2:
                ours.state()  # begins a new kernel, which knows already
                reference.state()
    ours.synchronize()
    assert not ours._kernel.deferred
    assert_same_training(ours, reference)
    assert all(torch.equal(p, reference.sae.get_parameter(name)) for name, p in ours.sae.named_parameters())
    (warning,) = (str(each.message) for each in caught)
    assert reason in warning and "please report" in warning and torch.__version__ in warning, warning
    assert "\n" not in warning
    triton_guard._verdicts.clear()


def a_wrong_kernel_is_replaced_by_torch_s_and_named():
    product, sums, adam, pick = (
        getattr(triton_loops, n) for n in ("sampled_product", "gathered_sums", "adam_rows", "pick")
    )

    def no_compiler(*arguments, **options):
        raise RuntimeError("PassManager::run failed\nat a line of its own")

    def picks_too_little(screen, words, first_word):
        pick(screen, words, first_word)
        words[3:] = 0

    def forgets_the_rate(*arguments, unit_rows):
        adam(*arguments[:7], (0.0, *arguments[7][1:]), unit_rows=unit_rows)

    trained_by_torch({"sampled_product": lambda *arguments: 1.01 * product(*arguments)}, reason="the loss is off by")
    trained_by_torch({"gathered_sums": lambda *arguments: 1.01 * sums(*arguments)}, reason="is off by")
    trained_by_torch({"gathered_sums": no_compiler}, reason="RuntimeError: PassManager::run failed at a line")
    trained_by_torch({"pick": picks_too_little}, reason="codes are others")
    trained_by_torch({"adam_rows": forgets_the_rate}, reason="the update's row is off by")
    trained_by_torch({"row_moments": no_compiler}, reason="RuntimeError")


def a_first_batch_that_is_not_finite_says_nothing_of_triton():
    triton_guard._verdicts.clear()
    trainer = new_trainer("triton", BatchTopK(k=2))
    bad = batch(0)
    bad[3, 2] = math.inf
    trainer.step(bad)
    assert triton_guard.verdict(trainer.sae) is None
    try:
        trainer.synchronize()
    except TrainingError as error:
        assert "step 1" in str(error), error
    trainer.step(batch(1))
    assert triton_guard.verdict(trainer.sae) is True and trainer._kernel.deferred


def batch(step, n_rows=10, d_in=6):
    return torch.randn(n_rows, d_in, generator=torch.Generator().manual_seed(step)) ** 3


def new_trainer(kernel, fn, nesting=None):
    sae = SparseAutoencoder(6, 14, fn, nesting or FixedPrefixes(WIDTHS))
    # Where the encoder is the decoder's transpose, a lone code's gradient is rounding, which Adam would blow up.
    with torch.no_grad():
        sae.W_enc += 0.1 * torch.randn(6, 14, generator=torch.Generator().manual_seed(1))
        sae.b_enc[::3] -= 3.0
    config = TrainConfig(n_tokens=500, batch_size=10, lr=3e-3, kernel=kernel, dead_after_tokens=10)
    return Trainer(sae, config, batch(0, 500), reservoir_rows=0)


def assert_same_training(one, other):
    for name, parameter in one.sae.named_parameters():
        assert torch.allclose(parameter, other.sae.get_parameter(name), rtol=1e-4, atol=1e-5, equal_nan=True), name
    assert torch.equal(one.silence.tokens_silent, other.silence.tokens_silent)
    assert one.steps_done == other.steps_done


def training_is_the_reference_s():
    for fn, nesting in ((BatchTopK(k=2), SampledPrefixes(n=3, widths=WIDTHS)), (JumpReLU(l0=3), None)):
        ours, reference = new_trainer("triton", fn, nesting), new_trainer("reference", fn, nesting)
        for step in range(3):
            ours.step(batch(step))
            reference.step(batch(step))
        ours.synchronize()
        assert sum(ours._n_dead) == int(reference.silence.dead().sum()) > 0
        assert_same_training(ours, reference)


def a_step_that_did_not_fit_is_done_again_in_its_place():
    ours, reference = new_trainer("triton", BatchTopK(k=2)), new_trainer("reference", BatchTopK(k=2))
    for step in range(3):
        if step:
            vars(ours._kernel._deferred).update({"_room": 20} if step == 1 else {"_floor": torch.tensor(1e6)})
        before = ours.sae.W_dec.detach().clone()
        metrics, expected = ours.step(batch(step)), reference.step(batch(step))
        assert step == 0 or torch.equal(ours.sae.W_dec, before), "a void step has moved the weights"
        ours.synchronize()
        assert not torch.equal(ours.sae.W_dec, before)
        for mine, other in zip(metrics.tensors(), expected.tensors(), strict=True):
            assert torch.allclose(mine, other, rtol=1e-4, atol=1e-6)
    assert_same_training(ours, reference)


def a_step_asks_nothing():
    for fn in (BatchTopK(k=2), JumpReLU(l0=3)):
        trainer = new_trainer("triton", fn)
        for step in range(2):
            trainer.step(batch(step))
        trainer.synchronize()
        assert sum(trainer._n_dead) > 0, "AuxK must take part"
        x = batch(2)
        with NothingAsked():
            trainer.step(x)
        trainer.synchronize()
        assert trainer.steps_done == 3


def a_batch_that_is_not_finite_is_named_a_step_later():
    trainer = new_trainer("triton", BatchTopK(k=2))
    trainer.step(batch(0))
    trainer.synchronize()
    before = {name: p.detach().clone() for name, p in trainer.sae.named_parameters()}
    bad = batch(1)
    bad[3, 2] = math.inf
    trainer.step(bad)
    try:
        trainer.step(batch(2))
    except TrainingError as error:
        assert "step 2" in str(error), error
    else:
        raise AssertionError("a loss that is not finite went unnoticed")
    assert all(torch.equal(before[name], p) for name, p in trainer.sae.named_parameters())
    assert trainer.steps_done == trainer._optimiser.n_steps == 1


warnings.simplefilter("error")
# The interpreter's arithmetic is numpy's, which warns of what a card just does.
warnings.filterwarnings("ignore", "(invalid value|overflow) encountered", RuntimeWarning)
for case in (
    every_activation_function,
    bits_are_unpacked_in_order,
    a_wrong_kernel_is_replaced_by_torch_s_and_named,
    a_first_batch_that_is_not_finite_says_nothing_of_triton,
    blocks_of_latents,
    too_little_room_or_too_high_a_floor_is_said,
    ties_and_fewer_positive_than_asked_for,
    pick_loses_nothing,
    training_is_the_reference_s,
    a_step_that_did_not_fit_is_done_again_in_its_place,
    a_step_asks_nothing,
    a_batch_that_is_not_finite_is_named_a_step_later,
):
    case()
    print(case.__name__, flush=True)
