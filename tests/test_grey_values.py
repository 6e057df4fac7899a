"""Checks of dequantization and of bits per dimension: what is right passes, and each mistake is told by its name."""
import math

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.testing import check_bits, check_dequantize, randomize


def model_of(shape=(1, 2, 1), grey_levels=3, seed=0):
    return nf.GreyImageFlow(randomize(nf.ActNorm(shape), seed), grey_levels)


@pytest.mark.parametrize("shape, grey_levels", (((2, 2, 1), 4), ((3,), 2), ((1, 2, 3), 256)))
def test_dequantize_and_a_models_prepare_pass(shape, grey_levels):
    assert check_dequantize(nf.datasets.dequantize, shape, grey_levels) < 0.06
    assert check_dequantize(model_of(shape, grey_levels).prepare, shape, grey_levels) < 0.06


@pytest.mark.parametrize("shape, grey_levels", (((1, 1, 1), 256), ((1, 2, 1), 2), ((2, 1, 1), 17)))
def test_bits_per_dim_passes(shape, grey_levels):
    assert check_bits(nf.bits_per_dim, model_of(shape, grey_levels), n=50) < 1


def test_bits_of_a_uniform_density_are_log2_of_the_grey_levels():
    """No network and no noise matter here: p = K^-D on the cube of all images, and every image costs log2 K bits."""
    class Uniform:
        x_shape, grey_levels = (1, 2, 1), 8

        def log_prob(self, x):
            return np.full(len(x), -2 * math.log(8))

        def prepare(self, x, rng):
            return nf.datasets.dequantize(x, rng)

    assert check_bits(lambda model, images, rng: np.full(len(images), 3.0), Uniform()) < 1e-12
    assert check_bits(nf.bits_per_dim, Uniform()) < 1e-12
    with pytest.raises(AssertionError, match="check_bits: .* expected 3 bits per dimension"):
        check_bits(lambda model, images, rng: np.full(len(images), 3.001), Uniform())


@pytest.mark.parametrize("wrong, says", (
    (lambda bits, K: -bits, "The size is right and the sign is wrong"),
    (lambda bits, K: bits + math.log2(K), "too many: is the density one on grey-level units already"),
    (lambda bits, K: bits[:, None], r"expected a number for each image, shape \(2700,\), got shape \(2700, 1\)"),
    (lambda bits, K: bits.mean(), r"got shape \(\)"),
    (lambda bits, K: bits + 0.3, r"the mean of 300 draws\.$")))
def test_what_is_said_of_other_bits(wrong, says):
    with pytest.raises(AssertionError, match=f"check_bits: .*{says}"):
        check_bits(lambda model, images, rng: wrong(nf.bits_per_dim(model, images, rng), model.grey_levels), model_of())


def overwrites(x, rng):
    x += 1
    return x - rng.random(x.shape)


@pytest.mark.parametrize("wrong, says", (
    (lambda x, rng: (x + rng.random(x.shape))[..., 0], "expected real numbers of the shape of x"),
    (lambda x, rng: x + rng.integers(0, 1, x.shape), "expected real numbers of the shape of x, .*, got int64"),
    (lambda x, rng: x * 1.0, "expected fresh noise"),
    (lambda x, rng: x + 1 - rng.random(x.shape) ** 2, "expected uniform noise, of mean 0.5"),
    (lambda x, rng: x + rng.beta(2, 2, x.shape), r"got one of mean 0\.\d+ and standard deviation 0\.2"),
    (lambda x, rng: x + rng.random(x.shape[1:]), "neighbouring images of a batch"),
    (lambda x, rng: x + 2 * rng.random(x.shape), r"got noise from 0\.00.* to 2\. Was x divided"),
    (overwrites, "expected x to be left alone, got it overwritten")))
def test_what_is_said_of_other_noise(wrong, says):
    with pytest.raises(AssertionError, match=f"check_dequantize: .*{says}"):
        check_dequantize(wrong)


@pytest.mark.parametrize("check, right, how", (
    (check_dequantize, nf.datasets.dequantize, {"n": 50}),
    (lambda bits, **how: check_bits(bits, model_of(), **how), nf.bits_per_dim, {"n": 50})))
def test_their_stated_false_alarm_rate(check, right, how):
    """200 times at a rate of 0.05: more than 23 alarms have probability 1e-4."""
    def fails(seed):
        try:
            check(right, rng=seed, false_alarm=0.05, **how)
        except AssertionError:
            return True
        return False

    assert sum(map(fails, range(200))) <= 23


def test_images_that_cannot_all_be_tried():
    for shape, grey_levels in (((1, 3, 1), 2), ((1, 2, 1), 32)):
        with pytest.raises(ValueError, match="model: expected images of at most 2 numbers, all of which can be tried"):
            check_bits(nf.bits_per_dim, model_of(shape, grey_levels))
