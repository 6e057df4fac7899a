"""The multilayer perceptron and its backward pass."""
import math

import numpy as np

from nfnumpy.arrays import as_count, as_rng, sum_rows
from nfnumpy.nets.activations import by_name
from nfnumpy.parametrized import Parametrized


class MLP(Parametrized):
    """A multilayer perceptron out = W_K phi(... phi(W_0 h + b_0) ...) + b_K, with K hidden layers.

    Formulas
    --------
    forward:       for k in range(K):
                       a[k] = W[k] @ h[k] + b[k]
                       h[k + 1] = phi(a[k])
                   out = W[K] @ h[K] + b[K]
    adjoint:       grad_a[K] = grad_out
                   for k in reversed(range(K)):
                       grad_a[k] = phi_slope(a[k]) * (W[k + 1].T @ grad_a[k + 1])
                   for k in range(K + 1):
                       grad_W[k] = outer(grad_a[k], h[k])
                       grad_b[k] = grad_a[k]
                   grad_h = W[0].T @ grad_a[0]

    where h[0] is the input, and phi_slope the derivative of phi.

    Parameters
    ----------
    n_in, n_out : int
        Numbers of inputs and outputs; either may be 0.
    hidden : tuple of int
        Widths of the hidden layers; ``()`` is a linear map.
    activation : {"relu", "tanh"}
        phi.
    rng : None, int or Generator
        Hidden weights are drawn from N(0, gain / fan_in), gain 2 for ReLU and 1 for tanh, so that activations keep their
        size from layer to layer. Biases and the last layer start at zero: a flow whose conditioner is new is the
        identity, and training starts from the base density.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For a negative size, a hidden width of 0, or an unknown activation.

    Examples
    --------
    >>> net = MLP(2, (3,), 1, rng=0)
    >>> out, vjp = net.vjp(np.ones((5, 2)))
    >>> grad_h, grad_theta = vjp(np.ones((5, 1)))
    >>> out.shape, grad_h.shape, grad_theta.shape == net.theta.shape
    ((5, 1), (5, 2), True)
    """

    def __init__(self, n_in, hidden, n_out, activation="relu", rng=None, dtype=np.float64, masks=None):
        rng = as_rng(rng)
        self.activation = by_name(activation)
        self.sizes = (as_count(n_in, "n_in"), *as_widths(hidden), as_count(n_out, "n_out"))
        self.depth = len(self.sizes) - 1
        parameters = {}
        for k, (below, above) in enumerate(zip(self.sizes, self.sizes[1:])):
            # What reaches a unit counts, not the width of the layer below: a masked unit has fewer inputs.
            fan_in = np.full((above, 1), below) if masks is None else masks[k].sum(axis=1, keepdims=True)
            gain = 0.0 if k == self.depth - 1 else 2.0 if activation == "relu" else 1.0
            parameters[f"W{k}"] = rng.standard_normal((above, below)) * np.sqrt(gain / np.maximum(fan_in, 1))
            parameters[f"b{k}"] = np.zeros(above)
        constants = {} if masks is None else {f"mask{k}": mask for k, mask in enumerate(masks)}
        super().__init__(parameters, constants=constants, dtype=dtype)

    def affine(self, k, h):
        """a = W_k h + b_k, a row a sample, and its vjp, which writes into the arrays `grad` by name."""
        W, b = getattr(self, f"W{k}"), getattr(self, f"b{k}")

        def vjp(grad_a, grad):
            np.matmul(grad_a.T, h, out=grad[f"W{k}"])            # dL/dW = sum over samples of dL/da h^T
            grad[f"b{k}"][...] = sum_rows(grad_a)                # dL/db = sum over samples of dL/da
            return grad_a @ W                                    # dL/dh = W^T dL/da

        a = h @ W.T if h.shape[1] != 1 else h * W.T              # @ takes four times as long for an h of one column
        a += b
        return a, vjp

    def vjp(self, h):
        """``out, vjp`` with ``vjp(grad_out, out=None) -> grad_h, grad_theta``; h ``(n, n_in)``, out ``(n, n_out)``."""
        vjps = []
        for k in range(self.depth):
            h, affine_vjp = self.affine(k, h)                    # a_k = W_k h_{k-1} + b_k
            vjps.append(affine_vjp)
            if k < self.depth - 1:
                h, activation_vjp = self.activation(h, out=h)    # h_k = phi(a_k)
                vjps.append(activation_vjp)

        def vjp(grad_h, out=None):
            grad_theta, grad = self.gradient(out)
            for k in reversed(range(self.depth)):
                if k < self.depth - 1:
                    grad_h = vjps[2 * k + 1](grad_h)             # dL/da_k = phi'(a_k) dL/dh_k
                grad_h = vjps[2 * k](grad_h, grad)               # dL/dh_{k-1} = W_k^T dL/da_k
            return grad_h, grad_theta

        return h, vjp


def as_widths(hidden):
    """Hidden widths as a tuple of whole numbers from 1 up, or a ValueError.

    >>> as_widths([64, 64])
    (64, 64)
    """
    try:
        widths = tuple(hidden)
    except TypeError:
        raise ValueError(f"hidden: expected a tuple of widths such as (64, 64), got {hidden!r}") from None
    return tuple(as_count(width, "hidden", minimum=1) for width in widths)
