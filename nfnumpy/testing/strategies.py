"""Hypothesis strategies: random flows, composed at random, that shrink to the smallest one that fails.

>>> import hypothesis, nfnumpy as nf
>>> @hypothesis.given(flow=flows(2), x=batches(2))
... @hypothesis.settings(max_examples=5, deadline=None, derandomize=True, database=None)
... def test(flow, x):
...     nf.testing.check_flow(flow, x)
>>> test()

Smaller means: fewer layers, the simpler kind of layer (a permutation before a coupling layer before an autoregressive
flow), narrower networks, parameters and data that are zero or else small multiples of 1/8, fewer rows. What is left of
a failure can be checked by hand.
"""
import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.composition import Composition, Inverse
from nfnumpy.flows import (PLU, QR, ActNorm, Conv1x1, Coupling, Dense, Diagonal, EmergingConv, GaussianAutoregressive,
                           ImageCoupling, MaskedConv, Permutation, Squeeze, Standardize, Triangular)
from nfnumpy.flows.conv1x1 import as_image_shape
from nfnumpy.flows.linear_map import random_rotation
from nfnumpy.flows.squeeze import ORDERS
from nfnumpy.nets.resnet import glow_net, residual_net
from nfnumpy.testing.counterexamples import random_theta

try:
    from hypothesis import strategies as st
except ImportError as error:                                     # the rest of nfnumpy.testing does without
    raise ImportError("nfnumpy.testing.strategies needs Hypothesis; install it: "
                      "python -m pip install hypothesis") from error

ACTIVATIONS = ("tanh", "relu")
FEW = 8                                                          # parameters that are drawn one by one


def eighths(largest=2):
    """Multiples of 1/8, exact in binary, from -largest to largest; shrinks towards 0."""
    return st.integers(-8 * largest, 8 * largest).map(lambda k: k / 8)


@st.composite
def batches(draw, shape, min_rows=2, max_rows=4):
    """Batches ``(n, *shape)`` of multiples of 1/8 between -2 and 2, rows that differ; `shape` may be the number m.

    >>> from hypothesis import find
    >>> find(batches(1), lambda x: True).tolist()
    [[0.0], [0.125]]
    """
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (as_count(shape, "shape", minimum=1),)
    size = int(np.prod(shape))
    row = st.lists(eighths(), min_size=size, max_size=size).map(tuple)
    rows = draw(st.lists(row, min_size=min_rows, max_size=max_rows, unique=True))
    return np.array(rows, np.float64).reshape(-1, *shape)


@st.composite
def theta_for(draw, flow):
    """A vector for ``flow.theta``: the first eight parameters one by one in eighths, the others from a seed, as
    `randomize` does.

    Seed 0, to which it shrinks, stands for zeros. More parameters are more to draw, so that smaller flows come out as
    simpler.

    >>> from hypothesis import find
    >>> find(theta_for(Diagonal(1)), lambda theta: theta[0] > 0.3).tolist()
    [0.375, 0.0]
    """
    few = min(len(flow.theta), FEW)
    theta = np.zeros_like(flow.theta)
    seed = draw(seeds()) if len(theta) > FEW else 0
    if seed:
        theta[...] = random_theta(flow, seed)
    theta[:few] = draw(st.lists(eighths(1), min_size=few, max_size=few))
    return theta


def seeds():
    """Seeds of random generators."""
    return st.integers(0, 2 ** 16)


def orders(dim):
    """Permutations of 0..m-1 as arrays; shrinks towards 0, 1, 2, ..."""
    return st.permutations(list(range(as_count(dim, "dim", minimum=1)))).map(lambda order: np.array(order, np.intp))


@st.composite
def invertible_matrices(draw, dim, max_condition=100.0):
    """Matrices ``(m, m)`` of condition number at most `max_condition`, of either sign of the determinant.

    The identity, or a product of two rotations with singular values between 1 / sqrt(max_condition) and its inverse.

    >>> from hypothesis import find
    >>> find(invertible_matrices(2), lambda W: np.linalg.det(W) < 0) + 0.0
    array([[-1.,  0.],
           [ 0.,  1.]])
    """
    dim = as_count(dim, "dim", minimum=1)
    seed, half = draw(seeds()), 0.5 * np.log(max_condition)
    exponents = draw(st.lists(st.integers(-8, 8), min_size=dim, max_size=dim))
    W = np.diag(np.exp(half * np.array(exponents) / 8))
    if seed:                                                     # seed 0, to which it shrinks, does not rotate
        rng = as_rng(seed)
        W = random_rotation(dim, rng) @ W @ random_rotation(dim, rng)
    if draw(st.booleans()):
        W[0] = -W[0]
    return W


def image_shapes(max_side=4, max_channels=3, even=False):
    """``(height, width, channels)``; with `even`, even sides, as a squeeze wants them.

    >>> from hypothesis import find
    >>> find(image_shapes(), lambda shape: True), find(image_shapes(even=True), lambda shape: True)
    ((1, 1, 1), (2, 2, 1))
    """
    side = st.integers(1, max_side // 2).map(lambda k: 2 * k) if even else st.integers(1, max_side)
    return st.tuples(side, side, st.integers(1, max_channels))


def flows(dim, also=()):
    """Flows on vectors of m numbers: one layer, or a composition of several, any of them read backwards, random
    parameters.

    Parameters
    ----------
    dim : int
        m.
    also : sequence of strategies
        Of further layers: one's own, among those of the package.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(flows(3), lambda flow: True)
    Permutation(perm=array([0, 1, 2]))
    """
    return chains(st.one_of(*single_layers(as_count(dim, "dim", minimum=1)), *also))


def image_flows(shape, also=()):
    """`flows` on images: convolutions, couplings of both partitions and what stands between a squeeze and its inverse,
    composed at random.

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, channels)``; a squeeze wants an even height and width, the channelwise partition two channels.
    also : sequence of strategies
        Of further layers on images of this shape.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(image_flows((2, 2, 1)), lambda flow: True)
    ActNorm(shape=(2, 2, 1))
    """
    return chains(st.one_of(*single_image_layers(as_image_shape(shape)), *also))


def chains(layer):
    """One flow of the strategy `layer`, or a composition of several, any of them read backwards."""
    turned = st.tuples(layer, st.booleans()).map(lambda pair: Inverse(pair[0]) if pair[1] else pair[0])
    # A chain is a layer, or a layer and a chain: shrinking keeps the first layer, or what comes after it.
    chain = st.deferred(lambda: st.one_of(turned.map(lambda one: [one]),
                                          st.tuples(turned, chain).map(lambda pair: [pair[0], *pair[1]])))
    return chain.map(lambda layers: layers[0] if len(layers) == 1 else Composition(layers))


def single_layers(dim):
    """Strategies for one layer, the simplest first: that is where a failure shrinks to."""
    widths, activations = st.lists(st.integers(1, 3), max_size=2).map(tuple), st.sampled_from(ACTIVATIONS)
    return (
        st.builds(Permutation, orders(dim)),
        st.builds(Standardize, numbers(eighths(), dim), numbers(st.integers(2, 16).map(lambda k: k / 8), dim)),
        with_theta(st.builds(Diagonal, st.just(dim), signs=signs(dim))),
        with_theta(st.builds(ActNorm, st.just((dim,)))),
        with_theta(st.builds(Triangular, st.just(dim), st.booleans(), signs=signs(dim))),
        *matrix_layers(dim),
        with_theta(st.builds(Coupling, st.just(dim), widths, activations, st.booleans())),
        with_theta(st.builds(GaussianAutoregressive, st.just(dim), widths, activations, orders(dim))),
    )


def single_image_layers(shape):
    """Strategies for one layer on images, the simplest first."""
    height, width, channels = shape
    kernels = st.sampled_from([1, 3])
    layers = [
        with_theta(st.builds(ActNorm, st.just(shape))),
        st.builds(Conv1x1, st.just(shape), linear=st.one_of(*matrix_layers(channels))),
        with_theta(st.builds(MaskedConv, st.just(shape), kernels, st.booleans())),
        with_theta(st.builds(EmergingConv, st.just(shape), kernels)),
        image_couplings(shape, "checkerboard"),
    ]
    if channels > 1:
        layers.append(image_couplings(shape, "channel"))
    if height % 2 == width % 2 == 0:
        layers.append(st.sampled_from(ORDERS).flatmap(lambda order: squeezed(shape, order)))
    return layers


def matrix_layers(dim):
    """Strategies for the linear flows of a given matrix W."""
    return [st.builds(cls, st.just(dim), invertible_matrices(dim)) for cls in (Dense, PLU, QR)]


@st.composite
def image_couplings(draw, shape, partition):
    """Coupling layers with one of the two small networks, of Glow's or RealNVP's kind."""
    width, activation = draw(st.integers(1, 3)), draw(st.sampled_from(ACTIVATIONS))
    net = draw(st.sampled_from([lambda *channels: glow_net(*channels, width, activation),
                                lambda *channels: residual_net(*channels, width, 1, activation)]))
    lone = partition == "checkerboard" and shape[:2] == (1, 1)   # it is black: unless swapped, nothing would move
    swaps = st.just(True) if lone else st.booleans()
    return draw(with_theta(st.builds(ImageCoupling, st.just(shape), st.just(net), st.just(partition), swaps)))


def squeezed(shape, order):
    """Flows that squeeze, do something to the smaller image with more channels, and undo the squeeze."""
    def between(flow):
        return Composition([Squeeze(shape, order), flow, Inverse(Squeeze(shape, order))])

    return image_flows(Squeeze(shape, order).z_shape).map(between)


def numbers(elements, dim):
    """Vectors ``(m,)`` of the strategy's numbers."""
    return st.lists(elements, min_size=dim, max_size=dim).map(np.array)


def signs(dim):
    """Vectors ``(m,)`` of 1 and -1."""
    return numbers(st.sampled_from([1, -1]), dim)


@st.composite
def with_theta(draw, layers):
    """The strategy's flows with parameters from `theta_for`."""
    flow = draw(layers)
    flow.theta = draw(theta_for(flow))
    return flow
