"""Which outputs move when which inputs do: the structure of the Jacobian, the one thing a round trip says nothing
about.
"""
import numpy as np

from nfnumpy.arrays import as_rng
from nfnumpy.testing.common import require
from nfnumpy.testing.derivatives import jacobian

ROWS = 32   # an entry may vanish by chance in one row (a ReLU), not in all


def check_dependence(flow, pattern, may=None, x=None, rng=0):
    """Output a of the flow moves with input b where ``pattern[a, b]``, and nowhere else: both halves count.

    An output that sees what it must not is a leak. An output that is cut off from what it should see is as wrong: the
    flow is valid, and cannot learn what it was built for.

    Parameters
    ----------
    flow : Flow, or a function of a batch
        With random parameters: at an untouched initialisation nothing depends on anything. A function is, for example,
        what a conditioner computes: ``lambda h: net.vjp(h)[0][..., 0]``.
    pattern : array of bool ``(outputs, inputs)``
        Of z = f(x), samples flattened: which entries of the Jacobian must differ from zero somewhere; see
        `autoregressive_pattern` and `coupling_pattern`.
    may : array of bool ``(outputs, inputs)``, optional
        Entries that may go either way.
    x : array ``(n, *x_shape)``, optional
        Where to look; standard normal by default.
    rng : None, int or Generator

    Returns
    -------
    float
        The largest entry among those that must be zero.

    Raises
    ------
    AssertionError
        With the worst such entry, or the first that is missing.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> flow = nf.testing.randomize(nf.GaussianAutoregressive(3, (8,), "tanh", rng=0), rng=0)
    >>> check_dependence(flow, autoregressive_pattern([0, 1, 2]))
    0.0
    >>> check_dependence(flow, autoregressive_pattern([2, 1, 0]))
    Traceback (most recent call last):
        ...
    AssertionError: check_dependence: Jacobian entry ... but must be 0: output ... sees input 0, which comes later in
    the order
    """
    pattern = np.asarray(pattern, bool)
    shape, function = getattr(flow, "x_shape", pattern.shape[1:]), getattr(flow, "forward", None)
    x = as_rng(rng).standard_normal((ROWS, *shape)) if x is None else np.asarray(x, np.float64)
    J = jacobian((lambda v: function(v)[0]) if function else flow, x)
    if pattern.shape != J.shape[1:]:
        raise ValueError(f"pattern: expected shape {J.shape[1:]}, (outputs, inputs), got {pattern.shape}")
    may = np.zeros_like(pattern) if may is None else np.asarray(may, bool)
    where = np.abs(J).argmax(axis=0)[None]
    largest = np.take_along_axis(J, where, axis=0)[0]            # of each entry over all rows, with its sign
    leaks = np.abs(largest) * ~(pattern | may)
    a, b = np.unravel_index(leaks.argmax(), leaks.shape)
    require(leaks[a, b] <= 1e-7 * (1 + np.abs(J).max()), "check_dependence",
            f"Jacobian entry ({a}, {b}) is {largest[a, b]:.6g} but must be 0: " + (
                f"an output sees its own input {b}" if a == b else f"output {a} sees input {b}"
                + (", which comes later in the order" if pattern.T[a:a + 1, b:b + 1].any() else "")))
    cut = np.argwhere(pattern & (np.abs(largest) <= 1e-9))
    if len(cut):
        a, b = cut[0]
        require(False, "check_dependence",
                f"Jacobian entry ({a}, {b}) is 0 in all {len(x)} rows but must not be: "
                f"output {a} is cut off from input {b}"
                + (f", as {len(cut) - 1} more pairs are" if len(cut) > 1 else "")
                + (". Nothing depends on anything else: is the conditioner connected?"
                   if not (largest * ~np.eye(*largest.shape, dtype=bool)).any() else ": which mask has lost the path?"))
    return float(leaks.max())


def autoregressive_pattern(order):
    """z_j depends on x_j and on those before it in the `order`: ``pattern[a, b]``, as `check_dependence` takes it.

    >>> autoregressive_pattern([1, 0]).astype(int)
    array([[1, 1],
           [0, 1]])
    """
    place = np.argsort(order)
    return place[None, :] <= place[:, None]


def coupling_pattern(dim, swap=False):
    """z_1 is x_1; each z_2 depends on all of x_1 and on its own x_2; with `swap` the other way round.

    >>> coupling_pattern(3).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [1, 0, 1]])
    """
    first = np.arange(dim) < dim // 2
    conditioning = ~first if swap and dim > 1 else first
    return np.eye(dim, dtype=bool) | (conditioning[None, :] & ~conditioning[:, None])


def convolution_pattern(shape, kernel_size, both=False):
    """What a masked convolution sees: from each pixel the quadrant up and to the left, and at the pixel itself the
    channels up to its own; with `both`, what an emerging one sees, the whole square around it.

    >>> convolution_pattern((1, 3, 1), 3).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [0, 1, 1]])
    """
    height, width, channels = shape
    reach = (kernel_size - 1) // 2
    i, j, c = (axis.ravel() for axis in np.meshgrid(*map(np.arange, shape), indexing="ij"))
    down, right = i[:, None] - i[None, :], j[:, None] - j[None, :]   # how much later the output's pixel is
    if both:
        return (np.abs(down) <= reach) & (np.abs(right) <= reach)
    itself = (down == 0) & (right == 0)
    return (down >= 0) & (right >= 0) & (down <= reach) & (right <= reach) & (~itself | (c[None, :] <= c[:, None]))
