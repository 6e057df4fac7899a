"""Bugs between whole grey values and a density: dequantization, and bits per dimension."""
import inspect
import math

import numpy as np

import nfnumpy.testing as checks
from nfnumpy.arrays import as_rng
from nfnumpy.datasets import dequantize
from nfnumpy.divergences import negative_log_likelihood
from nfnumpy.flows import ActNorm, ImageCoupling
from nfnumpy.image_models import GreyImageFlow, bits_per_dim
from nfnumpy.nets.resnet import glow_net
from nfnumpy.testing.broken.exhibit import HALL, Exhibit


def scaled(rng):
    """A model of two pixels of three grey levels, without a network."""
    return GreyImageFlow(checks.randomize(ActNorm((1, 2, 1)), rng), grey_levels=3)


def coupled(rng):
    """A model of two pixels of three grey levels that depend on each other."""
    coupling = ImageCoupling((1, 2, 1), lambda c_in, c_out: glow_net(c_in, c_out, 3, "tanh", rng))
    return GreyImageFlow(checks.randomize(coupling, rng), grey_levels=3)


def exhibit(layer, check, says, arguments=lambda rng: ()):
    """Put a function into the hall: the class holds the wrong one and the right one, ``arguments(rng)`` go with it."""
    def register(cls):
        def build(rng):
            return Exhibit(layer, cls.wrong, cls.right, check, arguments(rng), says, inspect.getdoc(cls))

        HALL[cls.__name__] = layer, build
        return cls

    return register


class Dequantize:
    """The right one."""

    right = staticmethod(dequantize)


@exhibit("dequantization", "check_dequantize", "Is it centred?")
class CentredNoise(Dequantize):
    """Noise in [-1/2, 1/2], "so that its mean is zero": black pixels go below 0, where no logit is defined, and the
    floor of a sample is one grey value too dark, half of the time.
    """

    @staticmethod
    def wrong(x, rng):
        return x + rng.random(x.shape) - 0.5


@exhibit("dequantization", "check_dequantize", "Was x divided by the number of grey levels")
class NoiseAfterScaling(Dequantize):
    """Images are scaled to [0, 1], and then noise of width 1 is added to them: on grey-level units it is K times too
    wide, and little is left of the image.
    """

    @staticmethod
    def wrong(x, rng):
        grey_levels = x.max() + 1
        return (x / grey_levels + rng.random(x.shape)) * grey_levels         # should be + rng.random(...) / grey_levels


@exhibit("dequantization", "check_dequantize", "neighbouring pixels of an image")
class OneNoiseAnImage(Dequantize):
    """One u for all pixels of an image: the cube is replaced by its diagonal, which still has no volume."""

    @staticmethod
    def wrong(x, rng):
        return x + rng.random((len(x), *[1] * (x.ndim - 1)))


@exhibit("dequantization", "check_dequantize", "got the same again")
class SeededInside(Dequantize):
    """A fixed seed, "to be reproducible": every epoch sees the same noise, and a flow learns it by heart."""

    @staticmethod
    def wrong(x, rng):
        return x + np.random.default_rng(0).random(x.shape)


def noisy_likelihood(value_seed, gradient_seed):
    """-mean log p(x + u) of four images, and its gradient for another draw of u, or for the same one."""
    def loss(model):
        images = np.array([[0, 0], [0, 1], [1, 2], [2, 2]]).reshape(-1, *model.x_shape)
        value, gradient = (negative_log_likelihood(model, model.prepare(images, as_rng(seed)))
                           for seed in (value_seed, gradient_seed))
        return value[0], gradient[1]

    return staticmethod(loss)


@exhibit("dequantization", "check_loss", "expected a directional derivative", lambda rng: (scaled(rng),))
class NoiseDrawnTwice:
    """Value and gradient dequantize the images each for itself: what is printed belongs to another batch than what is
    learnt, and no gradient check passes.
    """

    wrong, right = noisy_likelihood(0, 1), noisy_likelihood(0, 0)


class Bits:
    """The right one, and what the wrong ones are made of."""

    right = staticmethod(bits_per_dim)

    @staticmethod
    def nats(model, images, rng):
        """-log p(x + u) of x + u on grey-level units, ``(n,)``."""
        return -model.log_prob(model.prepare(images, rng))


def bits_exhibit(says):
    """Put a wrong bits_per_dim into the hall."""
    return exhibit("bits per dimension", "check_bits", says, lambda rng: (coupled(rng),))


@bits_exhibit("Those are nats")
class NatsPerDimension(Bits):
    """No ln 2: 30 per cent better than the literature."""

    @classmethod
    def wrong(cls, model, images, rng):
        return cls.nats(model, images, rng) / math.prod(model.x_shape)


@bits_exhibit("is it divided by its 2 dimensions?")
class BitsPerImage(Bits):
    """The number of dimensions is left out, or only the pixels are counted and not their channels."""

    @classmethod
    def wrong(cls, model, images, rng):
        return cls.nats(model, images, rng) / math.log(2)


def on_unit_interval(model, images, rng):
    """-log of the density of (x + u) / K, in bits per dimension: dividing x by K multiplies a density by K^D."""
    dim = math.prod(model.x_shape)
    return (Bits.nats(model, images, rng) - dim * math.log(model.grey_levels)) / (dim * math.log(2))


@bits_exhibit("That is log2(grey_levels) too few")
class WithoutLog2K(Bits):
    """The density is one on [0, 1], and log2(K) is not added: eight bits too few with 256 grey levels."""

    @staticmethod
    def wrong(model, images, rng):
        return on_unit_interval(model, images, rng)              # + math.log2(model.grey_levels)


@bits_exhibit("Is it log2(grey_levels - 1)?")
class OneGreyLevelTooFew(Bits):
    """log2(K - 1) is added to a density on [0, 1]: 255 is the largest value, and there are 256 of them."""

    @staticmethod
    def wrong(model, images, rng):
        return on_unit_interval(model, images, rng) + math.log2(model.grey_levels - 1)


@bits_exhibit("was noise added?")
class AtTheCorners(Bits):
    """The density at the whole numbers themselves: no bound on anything, and a narrow peak makes it as small as one
    likes.
    """

    @staticmethod
    def wrong(model, images, rng):
        return -model.log_prob(images) / (math.prod(model.x_shape) * math.log(2))
