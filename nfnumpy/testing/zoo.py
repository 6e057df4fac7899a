"""Every flow that the package has, with random parameters: one dictionary feeds the property tests."""
import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.builders import iaf, maf, realnvp
from nfnumpy.composition import Composition, Inverse
from nfnumpy.flows import (PLU, QR, ActNorm, ContinuousFlow, Conv1x1, Coupling, Dense, Diagonal, EmergingConv,
                           GaussianAutoregressive, ImageCoupling, Logit, MaskedConv, MixtureOfLogistics, Permutation,
                           Planar, Radial, RationalQuadratic, Squeeze, Standardize, Triangular)
from nfnumpy.image_models import glow, realnvp_image
from nfnumpy.nets import MLP
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.nets.resnet import glow_net, residual_net
from nfnumpy.parametrized import walk


def shallow(rng):
    """Builds a small convolutional conditioner of Glow's kind."""
    return lambda c_in, c_out: glow_net(c_in, c_out, 3, "tanh", rng)


def residual(rng):
    """Builds a small convolutional conditioner of RealNVP's kind."""
    return lambda c_in, c_out: residual_net(c_in, c_out, 3, 1, "tanh", rng)


# name: builder(dim, rng) -> flow on samples of `dim` numbers (tanh: property tests stay clear of ReLU's kink).
BUILDERS = {
    "permutation": lambda dim, rng: Permutation(rng.permutation(dim)),
    "standardize": lambda dim, rng: Standardize(rng.standard_normal(dim), rng.uniform(0.5, 2, dim)),
    "diagonal": lambda dim, rng: Diagonal(dim, signs=rng.choice([-1, 1], dim)),
    "triangular": lambda dim, rng: Triangular(dim, signs=rng.choice([-1, 1], dim)),
    "triangular, upper": lambda dim, rng: Triangular(dim, lower=False),
    "dense": lambda dim, rng: Dense(dim, rng=rng),
    "plu": lambda dim, rng: PLU(dim, rng=rng),
    "qr": lambda dim, rng: QR(dim, sign=rng.choice([-1, 1]), rng=rng),
    "conv1x1, dense": lambda dim, rng: Conv1x1((3, 1, dim), "dense", rng),
    "conv1x1, plu": lambda dim, rng: Conv1x1((1, 3, dim), "plu", rng),
    "conv1x1, qr": lambda dim, rng: Conv1x1((3, 1, dim), "qr", rng),
    "actnorm": lambda dim, rng: ActNorm((dim,)),
    "actnorm, image": lambda dim, rng: ActNorm((3, 1, dim)),
    "masked convolution": lambda dim, rng: MaskedConv((dim, 2, 1 + dim % 2), 3, rng=rng),
    "masked convolution, reverse": lambda dim, rng: MaskedConv((2, dim, 1 + dim % 2), 5, reverse=True, rng=rng),
    "emerging convolution": lambda dim, rng: EmergingConv((3, (dim + 2) // 3, 2), 3, rng=rng),
    "squeeze": lambda dim, rng: Squeeze((2, 2 * ((dim + 3) // 4), 1 + dim % 2), rng.choice(["pixel", "channel"])),
    "logit, inverse": lambda dim, rng: Inverse(Logit((dim,), alpha=0.05, grey_levels=17)),    # takes any real x
    "checkerboard coupling": lambda dim, rng: ImageCoupling((3, (dim + 2) // 3, 1 + dim % 2), residual(rng)),
    "checkerboard coupling, swapped": lambda dim, rng: ImageCoupling((1, dim, 1), shallow(rng), swap=True),
    "channel coupling": lambda dim, rng: ImageCoupling((2, 1, 1 + (dim + 1) // 2), shallow(rng), "channel",
                                                       swap=bool(dim % 2)),
    "glow": lambda dim, rng: glow((4, 4, 1), levels=2, steps=1, width=3, activation="tanh", rng=rng).flow,
    "realnvp on images": lambda dim, rng: realnvp_image((2, 4, 1), 1, blocks=1, width=3, activation="tanh", rng=rng).flow,
    "autoregressive": lambda dim, rng: GaussianAutoregressive(dim, (8, 8), "tanh", rng=rng),
    "autoregressive, linear": lambda dim, rng: GaussianAutoregressive(dim, (), rng=rng),
    "autoregressive, random order": lambda dim, rng: GaussianAutoregressive(dim, (20,), "tanh", rng.permutation(dim), rng),
    "coupling": lambda dim, rng: Coupling(dim, (8, 8), "tanh", rng=rng),
    "coupling, swapped": lambda dim, rng: Coupling(dim, (8,), "tanh", swap=True, rng=rng),
    "inverse autoregressive": lambda dim, rng: Inverse(GaussianAutoregressive(dim, (8,), "tanh", rng=rng)),
    "composition": lambda dim, rng: Composition([Coupling(dim, (8,), "tanh", rng=rng), Permutation(rng.permutation(dim)),
                                                 Inverse(Coupling(dim, (8,), "tanh", swap=True, rng=rng))]),
    "autoregressive, additive": lambda dim, rng: GaussianAutoregressive(dim, (8,), "tanh", rng=rng, transformer="additive"),
    "autoregressive, spline": lambda dim, rng: GaussianAutoregressive(     # sequential, and a spline is many operations
        min(dim, 6), (8,), "tanh", rng=rng, transformer=RationalQuadratic(bins=2, bound=1.5)),
    "coupling, spline": lambda dim, rng: Coupling(dim, (8,), "tanh", rng=rng, transformer="spline"),
    "checkerboard coupling, spline": lambda dim, rng: ImageCoupling((2, dim, 1), lambda c_in, c_out: glow_net(
        c_in, c_out, 3, "tanh", rng), transformer=RationalQuadratic(bins=2, bound=2.0)),
    "autoregressive, given a context": lambda dim, rng: GaussianAutoregressive(
        dim, (8,), "tanh", "random", rng, context=2, c=rng.standard_normal((1, 2))),
    "coupling, given a context": lambda dim, rng: Coupling(
        dim, (8,), "tanh", rng=rng, context=1, c=rng.standard_normal((1, 1))),
    "checkerboard coupling, given a context": lambda dim, rng: ImageCoupling(
        (2, dim, 1), shallow(rng), context=2, c=rng.standard_normal((1, 2))),
    "coupling, mixture": lambda dim, rng: Coupling(dim, (8,), "tanh", rng=rng, transformer=MixtureOfLogistics(3)),
    "planar": lambda dim, rng: Planar(dim, rng=rng),
    "radial": lambda dim, rng: Radial(dim, rng=rng),
    "continuous": lambda dim, rng: ContinuousFlow(min(dim, 4), (8,), rtol=1e-10, atol=1e-10, rng=rng),
    "maf": lambda dim, rng: maf(dim, steps=3, hidden=(12,), activation="tanh", rng=rng).flow,
    "iaf": lambda dim, rng: iaf(dim, steps=2, hidden=(12,), activation="tanh", rng=rng).flow,
    "realnvp": lambda dim, rng: realnvp(dim, steps=4, hidden=(12,), activation="tanh", rng=rng).flow,
}


def zoo(rng=None, dim=3, n=5):
    """Every flow of the package: ``{name: (flow, x)}`` with random parameters and a standard-normal batch x.

    Parameters
    ----------
    rng : None, int or Generator
    dim : int
        Size of one sample.
    n : int
        Rows of x.

    Examples
    --------
    >>> flow, x = zoo(rng=0)["maf"]
    >>> x.shape
    (5, 3)
    """
    rng, animals = as_rng(rng), {}
    for name, build in BUILDERS.items():
        flow = randomize(build(dim, rng), rng)
        animals[name] = flow, rng.standard_normal((n, *flow.x_shape))
    return animals


def randomize(flow, rng=None):
    """Give the flow, in place, the random parameters that tests use, and return it.

    Network weights are drawn from N(0, 1/fan_in) and biases from N(0, 0.1^2), so that no network is left at its zero
    initialisation, where every check passes at the identity; other parameters move by N(0, 0.1^2).
    """
    rng = as_rng(rng)
    for part in walk(flow):
        for name, array in part.parts(part.theta).items():
            if name in part._children:
                continue
            if isinstance(part, MLP) and name.startswith("W"):
                mask = getattr(part, "mask" + name[1:], np.ones(array.shape))
                fan_in = np.maximum(mask.sum(axis=1, keepdims=True), 1)
                array[...] = rng.standard_normal(array.shape) / np.sqrt(fan_in)
            elif isinstance(part, Conv2d) and name == "W":       # (taps, c_in, c_out)
                array[...] = rng.standard_normal(array.shape) / np.sqrt(array.shape[0] * array.shape[1])
            elif isinstance(part, (MLP, Conv2d)):
                array[...] = 0.1 * rng.standard_normal(array.shape)
            else:
                array += 0.1 * rng.standard_normal(array.shape)
    return flow
