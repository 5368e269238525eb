"""Effects of ablating codes: exact on a linear model, complete on any."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from msae.analysis.interventions.integrated_gradients import mean_gradient, moved
from msae.analysis.interventions.patching import recorded

RIGHT, OTHERS = 3, (1, 2, 5)


def margin(last: Tensor) -> Tensor:
    return last[:, RIGHT] - last[:, list(OTHERS)].mean(dim=1)


def squared(last: Tensor) -> Tensor:
    return margin(last).square()


def codes_at(sae, x: Tensor, level: int | None = None) -> tuple[Tensor, Tensor]:
    """Dense codes of the prefix, and what they explain."""
    with torch.no_grad():
        codes = sae.encode(x)
        return codes.below(sae.width(level)).dense(), sae.decode(codes, level) - sae.b_dec


@pytest.fixture
def batch(toys):
    return toys.batch_of([[0, 4, 7], [0, 2, 5]], [[-1, 0, 0], [-1, 1, 1]])


@pytest.mark.parametrize("steps", [1, 6])
def test_on_a_linear_model_an_effect_is_the_gradient_times_the_code(bigram, toys, batch, steps):
    sae = toys.random_sae(6, (4, 16))
    codes, explained = codes_at(sae, bigram.embedding[batch.token_ids[:, 2]])
    gradient = mean_gradient(bigram, "embed", batch, 2, explained, margin, steps=steps)
    slope = bigram.unembedding[:, RIGHT] - bigram.unembedding[:, list(OTHERS)].mean(dim=1)
    torch.testing.assert_close(gradient, slope.expand(2, 6))
    effects = -codes * (gradient @ sae.W_dec.detach().T)
    for latent in codes.any(dim=0).nonzero()[:, 0]:  # and ablating each by itself says the same
        without = moved(2, -codes[:, latent, None] * sae.W_dec[latent].detach())
        change = margin(bigram.logits(batch, {"embed": without})[:, -1]) - margin(bigram.logits(batch)[:, -1])
        torch.testing.assert_close(effects[:, latent], change)


def test_six_steps_are_exact_where_the_metric_is_quadratic(bigram, toys, batch):
    sae = toys.random_sae(6, (4, 16))
    _, explained = codes_at(sae, bigram.embedding[batch.token_ids[:, 2]], level=0)
    gradient = mean_gradient(bigram, "embed", batch, 2, explained, squared)
    without = squared(bigram.logits(batch, {"embed": moved(2, -explained)})[:, -1])
    change = without - squared(bigram.logits(batch)[:, -1])
    torch.testing.assert_close(-(gradient * explained).sum(dim=1), change)


@pytest.mark.parametrize("level", [0, 1])
def test_effects_sum_to_what_ablating_all_of_them_does(gpt2, toys, spoken, level):
    source = gpt2()
    (hook,) = source.specs
    sae = toys.random_sae(24, (8, 40))
    batch, place = spoken[0], 23
    with torch.no_grad():
        logits, seen = recorded(source, batch, (hook,))
        codes, explained = codes_at(sae, seen[hook][:, place], level)
        without = source.logits(batch, {hook: moved(place, -explained)})
    change = margin(without[:, -1]) - margin(logits[:, -1])
    gradient = mean_gradient(source, hook, batch, place, explained, margin, steps=64)
    effects = -codes * (gradient @ sae.W_dec.detach()[: codes.shape[1]].T)
    assert change.abs().max() > 0.1
    torch.testing.assert_close(effects.sum(dim=1), change, atol=1e-3, rtol=1e-3)


def test_each_context_has_the_gradient_it_has_alone(gpt2, spoken):
    source = gpt2()
    (hook,) = source.specs
    explained = torch.randn(4, 24, generator=torch.Generator().manual_seed(1))
    together = mean_gradient(source, hook, spoken[0], 10, explained, margin)
    alone = mean_gradient(source, hook, spoken[0].select(torch.tensor([2])), 10, explained[2:3], margin)
    torch.testing.assert_close(together[2:3], alone, atol=1e-5, rtol=1e-4)


def test_no_gradient_is_left_on_the_model(gpt2, spoken):
    source = gpt2()
    (hook,) = source.specs
    with torch.no_grad():
        mean_gradient(source, hook, spoken[0], 10, torch.ones(4, 24), margin)
    assert all(parameter.grad is None for parameter in source.model.original_model.parameters())
