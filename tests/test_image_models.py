"""Glow and RealNVP on images: densities that integrate to one, whole grey values, bits per dimension term by term."""
import math

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.flows import ImageCoupling, Logit
from nfnumpy.nets.resnet import glow_net
from nfnumpy.testing.zoo import randomize

BUILDERS = {"glow": lambda **options: nf.glow((4, 4, 1), levels=2, steps=1, width=4, rng=0, **options),
            "realnvp": lambda **options: nf.realnvp_image((4, 4, 1), couplings=1, blocks=1, width=4, rng=0, **options)}


def test_checkerboard_couplings_integrate_to_one():
    """On 1 by 2 images, by the midpoint rule on a grid of 0.05 over [-15, 15]^2, which is smooth on that scale."""
    rng = np.random.default_rng(0)
    flows = [ImageCoupling((1, 2, 1), lambda c_in, c_out: glow_net(c_in, c_out, 4, "tanh", rng), swap=swap)
             for swap in (False, True)]
    model = nf.NormalizingFlow(randomize(nf.Composition(flows), rng))
    side = np.arange(-15, 15, 0.05)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 1, 2, 1)
    assert abs(np.exp(model.log_prob(grid)).sum() * 0.05 ** 2 - 1) < 1e-3


def test_a_tiny_glow_integrates_to_one():
    """E_model[q(x) / p(x)] = 1 for a normalised q narrower than the model, within five standard errors of the mean."""
    rng = np.random.default_rng(1)
    model = nf.glow((2, 2, 1), levels=1, steps=2, width=4, activation="tanh", rng=rng)
    randomize(model.flow, rng)
    x = model.sample(20_000, rng=rng)
    q = nf.Gaussian(np.median(x.reshape(-1, 4), axis=0), 0.3 * np.cov(x.reshape(-1, 4).T))
    ratio = np.exp(q.log_prob(x.reshape(-1, 4)) - model.log_prob(x))
    error = ratio.std() / math.sqrt(len(ratio))
    assert error < 0.05 and abs(ratio.mean() - 1) < 5 * error


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("grey_levels", [2, 17, 256])
def test_samples_are_whole_grey_values(build, grey_levels):
    model = build(grey_levels=grey_levels)
    images = model.sample(20, rng=0)
    assert images.dtype == np.int64 and images.shape == (20, 4, 4, 1)
    assert images.min() >= 0 and images.max() <= grey_levels - 1
    np.testing.assert_array_equal(images, model.sample(20, rng=0))
    coldest = model.sample(20, rng=0, temperature=0.0)
    assert (coldest == coldest[:1]).all() and (images != images[:1]).any()


@pytest.mark.parametrize("grey_levels", [2, 17, 256])
def test_bits_per_dim_computed_a_second_way(grey_levels):
    """On data scaled to [0, 1]: nats / (D ln 2) + log2 K; and term by term: base, inner flow, logit, grey levels."""
    model, rng = BUILDERS["glow"](grey_levels=grey_levels), np.random.default_rng(0)
    images = rng.integers(0, grey_levels, (6, 4, 4, 1))
    bits = nf.bits_per_dim(model, images, rng=3)

    noisy = images + np.random.default_rng(3).random(images.shape)
    unit = nf.NormalizingFlow(nf.Composition([Logit((4, 4, 1), 0.05, 1), BUILDERS["glow"]().flow]))
    second = -unit.log_prob(noisy / grey_levels) / (16 * math.log(2)) + math.log2(grey_levels)
    np.testing.assert_allclose(bits, second, rtol=1e-12)

    p = 0.05 + 0.9 * noisy / grey_levels
    logit_log_det = (math.log(0.9) - math.log(grey_levels) - np.log(p) - np.log(1 - p)).sum(axis=(1, 2, 3))
    z, log_det = BUILDERS["glow"]().flow.forward(np.log(p / (1 - p)))
    base = -0.5 * (z ** 2).sum(axis=1) - 8 * math.log(2 * math.pi)
    np.testing.assert_allclose(bits, -(base + log_det + logit_log_det) / (16 * math.log(2)), rtol=1e-10)


def test_bits_per_dim_is_an_upper_bound_on_the_discrete_code_length():
    """On one pixel: P(k) is the integral of the density over [k, k + 1), and the mean bound over the noise is above it."""
    model = nf.NormalizingFlow(nf.Composition([Logit((1,), 0.05, 4), nf.Standardize([0.4], [1.3])]))
    fine = (np.arange(20_000) + 0.5) / 20_000
    images = np.zeros((2000, 1), int)
    for k in range(4):
        density = np.exp(model.log_prob((k + fine)[:, None]))
        bound = nf.bits_per_dim(model, images + k, rng=k)
        assert bound.mean() > -math.log2(density.mean()) - 3 * bound.std() / math.sqrt(2000)
        np.testing.assert_allclose(bound.mean(), -np.log2(density).mean(), atol=5 * bound.std() / math.sqrt(2000))


def test_without_dequantization_the_likelihood_of_the_digits_diverges():
    """Three pixels of the digits are constant: the narrower a Gaussian on them, the higher the density, without end."""
    images = nf.datasets.digits()[0]
    constant = (images == images[:1]).all(axis=0).reshape(-1)
    assert constant.sum() == 3
    pixels = images.reshape(len(images), -1)[:, constant].astype(float)
    log_p = [nf.NormalizingFlow(nf.Standardize(pixels[0], [scale] * 3)).log_prob(pixels).mean() for scale in (1, 1e-3, 1e-6)]
    np.testing.assert_allclose(np.diff(log_p), 3 * math.log(1e3))
    with pytest.raises(ValueError, match="3 constant columns"):
        nf.Standardize.of(images.reshape(len(images), -1))


def test_fit_draws_fresh_noise_and_beats_the_start():
    """Whole grey values go in as they are; every minibatch is dequantized anew, so equal seeds still give equal bits."""
    images = nf.datasets.digits()[0][:200, 2:6, 2:6]
    thetas = []
    for _ in range(2):
        model = BUILDERS["realnvp"](grey_levels=17)
        before = nf.bits_per_dim(model, images, rng=0).mean()
        nf.fit(model, images, rng=0, max_steps=40, lr=1e-2)
        assert nf.bits_per_dim(model, images, rng=0).mean() < before - 0.2
        thetas.append(model.theta)
    np.testing.assert_array_equal(*thetas)


def test_initialize_gives_every_channel_mean_zero_and_variance_one():
    """After each ActNorm of Glow, on the batch it was initialised with."""
    model = BUILDERS["glow"]()
    x = np.random.default_rng(0).normal(3, 5, (50, 4, 4, 1))
    model.initialize(x)
    level = model.flow.levels[0]
    for flow, (h, _) in zip(level.flows, level.trajectory(x)):
        if isinstance(flow, nf.ActNorm):
            np.testing.assert_allclose(h.mean(axis=(0, 1, 2)), 0, atol=1e-10)
            np.testing.assert_allclose(h.std(axis=(0, 1, 2)), 1, atol=1e-10)


@pytest.mark.parametrize("call, message", [
    (lambda: nf.glow((6, 6, 1), levels=2), r"shape: expected an even height and width"),
    (lambda: nf.glow((4, 4, 1), levels=0), "levels: expected a whole number of at least 1, got 0"),
    (lambda: nf.glow((4, 4, 1), grey_levels=1), "grey_levels: expected a whole number of at least 2, got 1"),
    (lambda: nf.realnvp_image((5, 4, 1)), "shape: expected an even height and width"),
    (lambda: nf.realnvp_image((4, 4, 1), couplings=0), "couplings: expected a whole number of at least 1, got 0"),
    (lambda: nf.bits_per_dim(BUILDERS["glow"](grey_levels=4), np.full((1, 4, 4, 1), 0.5), 0), "x: expected whole"),
    (lambda: BUILDERS["glow"](grey_levels=4).standardized(np.zeros((2, 4))), "expected a model of real-valued data")])
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_grey_values_outside_their_range_are_refused_before_noise_is_added():
    """16 among 16 levels would pass through the logit, most of the time, and give a wrong number of bits."""
    model = BUILDERS["realnvp"](grey_levels=16)
    images = np.zeros((3, 4, 4, 1), int)
    images[1, 2, 2] = 16
    for call in (lambda: nf.bits_per_dim(model, images, rng=0), lambda: nf.fit(model, images, rng=0)):
        with pytest.raises(ValueError, match="x: expected grey values 0 to 15, got 0 to 16"):
            call()
