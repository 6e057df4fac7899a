"""MADE: a multilayer perceptron whose outputs see only earlier inputs."""
import numpy as np

from nfnumpy.arrays import as_count, sum_rows
from nfnumpy.nets.masked import MaskedProducts
from nfnumpy.nets.mlp import MLP, as_widths


def hidden_degrees(width, lowest, dim, narrowest=None):
    """Degrees of the `width` units of a hidden layer: ``lowest .. dim - 1``, spread evenly, in ascending order.

    A unit of degree d may see the inputs of degree up to d. With at least as many units as degrees every degree occurs,
    in every layer, so that input i reaches output j > i through units of degree i: no permitted path is lost (random
    degrees, as in the paper, can lose some). A network whose `narrowest` hidden layer has fewer units than there are
    degrees uses that layer's degrees in all layers: others would lead nowhere. Degree 0, the units that see a context and
    nothing else, is always among them: without it x_1's parameters would not see the context. Sorted degrees make the
    masks block triangular.

    >>> hidden_degrees(6, 1, 4)
    array([1, 1, 2, 2, 3, 3])
    >>> hidden_degrees(6, 1, 4, narrowest=2)
    array([1, 1, 1, 3, 3, 3])
    >>> hidden_degrees(2, 0, 6), hidden_degrees(2, 1, 7)
    (array([0, 3]), array([2, 5]))
    """
    n_degrees = max(dim - lowest, 1)
    n_used = min(narrowest or width, n_degrees)
    used = min(lowest, dim - 1) + _spread(n_used, n_degrees, first=lowest == 0)
    return used[_spread(width, n_used)]


def _spread(count, size, first=False):
    """`count` numbers of 0 .. size - 1, as evenly as possible, ascending; with `first`, 0 among them."""
    return ((2 * np.arange(count) + (not first)) * size) // (2 * count)


def made_masks(degrees, hidden, outputs):
    """One 0/1 mask a layer, ``(units above, units below)``, from the degrees of inputs and hidden units.

    Parameters
    ----------
    degrees : array of int, ``(n_in,)``
        A permutation of 1..m for the inputs that have an output, and 0 for inputs that every output may see.
    hidden : list of array of int
        The degrees of each hidden layer's units.
    outputs : int
        Number of outputs for each input of degree 1..m. Output p of that input k stands in row ``p * m + k``.

    Notes
    -----
    Between layers a unit sees the units of no higher degree (<=); at the output it is strict (<): x_j's parameters see
    x_1 .. x_{j-1} and never x_j itself.

    >>> made_masks(np.array([1, 2]), [np.array([1, 1])], 1)
    [array([[1., 0.],
           [1., 0.]]), array([[0., 0.],
           [1., 1.]])]
    """
    below, masks = degrees, []
    for above in hidden:
        masks.append(below[None, :] <= above[:, None])
        below = above
    masks.append(below[None, :] < np.tile(degrees[degrees > 0], outputs)[:, None])
    return [mask.astype(np.float64) for mask in masks]


class MADE(MLP):
    """A masked autoregressive network (Germain et al. 2015): for each x_j, some parameters that depend on earlier x only.

    Formulas
    --------
    where:         M = [mask[k] * W[k] for k in range(K + 1)]
    forward:       for k in range(K):
                       a[k] = M[k] @ h[k] + b[k]
                       h[k + 1] = phi(a[k])
                   out = M[K] @ h[K] + b[K]
    adjoint:       grad_a[K] = grad_out
                   for k in reversed(range(K)):
                       grad_a[k] = phi_slope(a[k]) * (M[k + 1].T @ grad_a[k + 1])
                   for k in range(K + 1):
                       grad_W[k] = mask[k] * outer(grad_a[k], h[k])
                       grad_b[k] = grad_a[k]
                   grad_h = M[0].T @ grad_a[0]

    where h[0] is the input, K the number of hidden layers, and phi_slope the derivative of the activation phi.

    Parameters
    ----------
    degrees : sequence of int, ``(n_in,)``
        ``degrees[k]`` is the place of input k in the order, 1 for the first; 0 marks an input that every output may see
        (a context). The other degrees are a permutation of 1..m.
    hidden : tuple of int
        Hidden widths; any, also ``()`` (linear) and below m - 1, where some permitted inputs do not reach their outputs.
    outputs : int
        Number of parameters for each x_j.
    activation, rng, dtype
        See `MLP`.

    Raises
    ------
    ValueError
        For degrees that are no such permutation.

    Notes
    -----
    The weights in use are ``mask * W``, at every call: masking once, at initialisation, is undone by the first update.
    `vjp` returns out ``(n, m, outputs)``.

    References
    ----------
    Germain, Gregor, Murray, Larochelle: MADE: Masked Autoencoder for Distribution Estimation, 2015.
    Lecture 2, "Autoregressive MLP" and "Gaussian autoregressive NF".

    Examples
    --------
    >>> net = MADE([1, 2, 3], hidden=(8,), outputs=2, rng=0)
    >>> out, vjp = net.vjp(np.zeros((5, 3)))
    >>> out.shape
    (5, 3, 2)
    """

    def __init__(self, degrees, hidden, outputs=1, activation="relu", rng=None, dtype=np.float64):
        degrees = np.array(degrees)
        if degrees.ndim != 1 or degrees.dtype.kind not in "iu" or not (degrees > 0).any() or (
                np.sort(degrees[degrees != 0]) != np.arange(1, (degrees != 0).sum() + 1)).any():
            raise ValueError(f"degrees: expected a permutation of 1..m, and any number of zeros, got {degrees.tolist()}")
        self.degrees, self.outputs = degrees, as_count(outputs, "outputs", minimum=1)
        self.dim = int(degrees.max())
        widths = as_widths(hidden)
        self.hidden_degrees = [hidden_degrees(width, int(degrees.min()), self.dim, min(widths)) for width in widths]
        masks = made_masks(degrees, self.hidden_degrees, outputs)
        self.products = [MaskedProducts(mask) for mask in masks]
        super().__init__(len(degrees), hidden, self.dim * outputs, activation, rng, dtype, masks)

    def weight(self, k):
        """The weights in use, (mask * W)_k."""
        return getattr(self, f"mask{k}") * getattr(self, f"W{k}")

    def affine(self, k, h):
        """a = (mask * W)_k h + b_k, and its vjp; see `MaskedProducts`."""
        W, b, mask, products = self.weight(k), getattr(self, f"b{k}"), getattr(self, f"mask{k}"), self.products[k]
        a = products.apply(h, W)
        a += b

        def vjp(grad_a, grad):
            products.pull_weight(grad_a, h, mask, grad[f"W{k}"])  # a depends on mask * W: dL/dW = mask * dL/da h^T
            grad[f"b{k}"][...] = sum_rows(grad_a)
            return products.pull_input(grad_a, W)                # dL/dh = (mask * W)^T dL/da

        return a, vjp

    def vjp(self, h):
        """``params, vjp``: params ``(n, m, outputs)``, ``vjp(grad_params, out=None) -> grad_h, grad_theta``."""
        out, mlp_vjp = super().vjp(h)

        def vjp(grad_params, out=None):
            return mlp_vjp(join_params(grad_params), out)

        return split_params(out, self.outputs), vjp


def split_params(out, n):
    """A network's output ``(..., n * size)`` as parameters ``(..., size, n)``: a view, without a copy.

    All first parameters come first, then all second ones, so that ``params[..., 0]`` is contiguous along a sample.

    >>> split_params(np.array([[1, 2, 30, 40]]), 2)[..., 1]
    array([[30, 40]])
    """
    return out.reshape(*out.shape[:-1], n, out.shape[-1] // n).swapaxes(-1, -2)


def join_params(params):
    """The flat form of parameters: `split_params` backwards, a view again if the memory is laid out like its result.

    >>> out = np.arange(8.0).reshape(2, 4)
    >>> np.shares_memory(join_params(split_params(out, 2)), out)
    True
    """
    *batch, size, n = params.shape
    return params.swapaxes(-1, -2).reshape(*batch, n * size)
