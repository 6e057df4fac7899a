"""What stands between whole grey values and a density: the noise of dequantization, and bits per dimension.

Both checks take a function, the package's or a student's, in place of a flow.
"""
import itertools
import math

import numpy as np
from scipy.special import ndtri

from nfnumpy.arrays import as_rng
from nfnumpy.testing.common import require, show

NODES = 16                  # of Gauss and Legendre's quadrature, along each side of a unit cube
MOST_IMAGES = 1000          # that are looked at one by one


def check_dequantize(dequantize, shape=(2, 2, 1), grey_levels=4, n=500, rng=0, false_alarm=1e-6):
    """``dequantize(x, rng)`` is x + u with u uniform on [0, 1), drawn for each pixel, each image and each call.

    Parameters
    ----------
    dequantize : function
        Of whole numbers x ``(n, *shape)`` and a Generator: `nfnumpy.datasets.dequantize`, or a model's ``prepare``.
    shape : tuple of int
        Of one image, of at least two numbers.
    grey_levels : int
        K: x holds 0 .. K - 1.
    n : int
        Number of images.
    rng : None, int or Generator
    false_alarm : float
        The probability that a right function fails.

    Returns
    -------
    float
        The largest distance of the noise's empirical distribution function from that of the uniform distribution.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> check_dequantize(nf.datasets.dequantize) < 0.05
    True
    """
    rng, name = as_rng(rng), "check_dequantize"
    x = rng.integers(0, grey_levels, (n, *shape))
    given = x.copy()
    y = np.asarray(dequantize(given, rng))
    require(np.array_equal(given, x), name, "expected x to be left alone, got it overwritten")
    require(y.shape == x.shape and y.dtype.kind == "f", name,
            f"expected real numbers of the shape of x, {x.shape}, got {y.dtype} of shape {y.shape}")
    u = (y - x).reshape(n, -1)
    require(np.array_equal(np.floor(y), x), name,
            f"expected noise in [0, 1), so that floor gives x again, got noise from {u.min():.3g} to {u.max():.3g}."
            + _cause_of_range(u, grey_levels))
    require(not np.array_equal(dequantize(x.copy(), rng), y), name,
            "expected fresh noise from the next call with the same Generator, got the same again: does the function "
            "have a seed of its own?")
    for what, a, b in (("images of a batch", u[:-1], u[1:]), ("pixels of an image", u[:, :-1], u[:, 1:])):
        together = np.corrcoef(a.ravel(), b.ravel())[0, 1]       # of independent numbers: mean 0, variance 1 / a.size
        require(abs(together) <= -ndtri(false_alarm / 6) / math.sqrt(a.size), name,
                f"expected independent noise in neighbouring {what}, got a correlation of {together:.3g}: was it drawn "
                "once, and broadcast?")
    ordered = np.sort(u, axis=None)
    distance = np.abs(ordered - (np.arange(u.size) + 0.5) / u.size).max()
    # The inequality of Dvoretzky, Kiefer, Wolfowitz: P(distance > t) <= 2 exp(-2 N t^2).
    require(distance <= math.sqrt(math.log(6 / false_alarm) / (2 * u.size)) + 0.5 / u.size, name,
            "expected uniform noise, of mean 0.5 and standard deviation 0.289, got one of mean "
            f"{u.mean():.3g} and standard deviation {u.std():.3g}")
    return float(distance)


def _cause_of_range(u, grey_levels):
    if u.min() < 0 and u.max() <= 0.5:
        return " Is it centred? Noise in [-1/2, 1/2] leaves the cube from x to x + 1, and reaches below 0."
    if 1 < u.max() <= grey_levels:
        return " Was x divided by the number of grey levels before noise of width 1 was added?"
    return ""


def check_bits(bits, model, n=300, rng=0, false_alarm=1e-6):
    """``bits(model, images, rng)`` is the bound in bits per dimension, every term of it computed a second time.

    ::

        b(x) = E_u[- log p(x + u)] / (D ln 2)                    u uniform on [0, 1)^D

    For every image that there is, the expectation is taken by Gauss and Legendre's quadrature over its cube, without
    noise, and compared with the mean of n values of `bits`, with the noise that it draws.

    Parameters
    ----------
    bits : function
        `nfnumpy.bits_per_dim`, or one with its arguments and its result ``(n,)``.
    model : GreyImageFlow, or anything with `log_prob` in grey-level units, `x_shape` and `grey_levels`
        Of few enough images to try them all, such as two pixels of three grey levels.
    n : int
        Draws of the noise for each image.
    rng : None, int or Generator
    false_alarm : float
        The probability that a right function fails.

    Returns
    -------
    float
        The largest difference of a mean over n draws from the bound.

    Raises
    ------
    AssertionError
        If a mean is further from the bound than its standard error explains.
    ValueError
        For a model of more than a thousand images, or of more than two numbers in one.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> model = nf.realnvp_image((2, 2, 1), 1, blocks=1, width=3, grey_levels=2, rng=0)
    >>> check_bits(nf.bits_per_dim, model)
    Traceback (most recent call last):
        ...
    ValueError: model: expected images of at most 2 numbers, all of which can be tried, got 4 of 2 grey levels
    """
    dim, K, name = math.prod(model.x_shape), model.grey_levels, "check_bits"
    if dim > 2 or K ** dim > MOST_IMAGES:
        raise ValueError("model: expected images of at most 2 numbers, all of which can be tried, "
                         f"got {dim} of {K} grey levels")
    images = np.array(list(itertools.product(range(K), repeat=dim))).reshape(-1, *model.x_shape)
    drawn = np.asarray(bits(model, np.repeat(images, n, axis=0), as_rng(rng)))
    require(drawn.shape == (len(images) * n,), name,
            f"expected a number for each image, shape {(len(images) * n,)}, got shape {drawn.shape}")
    drawn = drawn.reshape(len(images), n)
    nodes, weights = _cube(dim)
    log_p = model.log_prob((images.reshape(-1, 1, dim) + nodes).reshape(-1, *model.x_shape)).reshape(len(images), -1)
    expected, got = -log_p @ weights / (dim * math.log(2)), drawn.mean(axis=1)
    limit = -ndtri(false_alarm / (2 * len(images))) * drawn.std(axis=1, ddof=1) / math.sqrt(n) + 1e-6
    worst = int(np.argmax(np.abs(got - expected) / limit))
    require(abs(got - expected)[worst] <= limit[worst], name,
            f"image {show(images[worst].ravel())}: expected {expected[worst]:.6g} bits per dimension, by quadrature "
            f"over its cube from x to x + 1, got {got[worst]:.6g}, the mean of {n} draws."
            + _cause_of_bits(got, expected, limit, -model.log_prob(images) / (dim * math.log(2)), dim, K))
    return float(np.abs(got - expected).max())


def _cube(dim):
    """Nodes ``(k, dim)`` and weights ``(k,)`` of the mean over the unit cube."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    grid = np.stack(np.meshgrid(*[(nodes + 1) / 2] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    return grid, math.prod(np.meshgrid(*[weights / 2] * dim, indexing="ij")).reshape(-1)


def _cause_of_bits(got, expected, limit, corners, dim, K):
    for cause, other in (
            ("Those are nats: is it divided by ln 2?", expected * math.log(2)),
            (f"Those are the bits of a whole image: is it divided by its {dim} dimensions?", expected * dim),
            ("That is log2(grey_levels) too few: on [0, 1] a density is grey_levels^D times that on grey-level units.",
             expected - math.log2(K)),
            ("That is log2(grey_levels) too many: is the density one on grey-level units already?",
             expected + math.log2(K)),
            ("Is it log2(grey_levels - 1)? A pixel has one value more than its largest.",
             expected + math.log2((K - 1) / K)),
            ("That is the density at the whole numbers themselves: was noise added?", corners),
            ("The size is right and the sign is wrong.", -expected)):
        if (np.abs(got - other) <= 2 * limit).all():
            return f" {cause}"
    return ""
