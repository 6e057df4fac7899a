"""The permutation: the first of the three Jacobian structures on the slides."""
import numpy as np

from nfnumpy.arrays import as_array, as_rng
from nfnumpy.flow import Flow


class Permutation(Flow):
    """z = P x with ``z[:, k] = x[:, perm[k]]``: a fixed reordering of the coordinates.

    Formulas
    --------
    f:             z = x[perm]
    g:             x[perm] = z
    log abs det:   log_det = 0
    adjoint of f:  grad_x[perm] = grad_z
    adjoint of g:  grad_z = grad_x[perm]

    J_f = P, and abs det P = 1. The adjoint of a permutation is its inverse, P^T = P^-1.

    Parameters
    ----------
    perm : sequence of int, ``(m,)``
        A permutation of 0..m-1.
    dtype : numpy dtype
        Of outputs; in a composition it follows the other flows.

    Raises
    ------
    ValueError
        If `perm` is not a permutation.

    References
    ----------
    Lecture 2, "Jacobian structure", case 1.

    Examples
    --------
    >>> Permutation([2, 0, 1]).forward(np.array([[10.0, 20.0, 30.0]]))
    (array([[30., 10., 20.]]), array([0.]))
    """

    jacobian = "permutation"

    def __init__(self, perm, dtype=np.float64):
        perm = as_permutation(perm, "perm")
        super().__init__((len(perm),), constants={"perm": perm, "inverse_perm": np.argsort(perm)}, dtype=dtype)

    @classmethod
    def reversing(cls, dim, dtype=np.float64):
        """The order turned round, as between the layers of a masked autoregressive flow.

        >>> Permutation.reversing(3)
        Permutation(perm=array([2, 1, 0]))
        """
        return cls(np.arange(dim)[::-1], dtype)

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        return self._gather(self.as_x(x), self.perm, self.inverse_perm)

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``."""
        return self._gather(self.as_z(z), self.inverse_perm, self.perm)

    def _gather(self, values, perm, back):
        def vjp(grad, grad_log_det, out=None):
            return grad.take(back, axis=1), self.gradient(out)[0]    # dL/dx = P^T dL/dz

        z = values.take(perm, axis=1)                            # values[:, perm] would put columns together in memory
        return (z, np.zeros(len(values), values.dtype)), vjp

    def config(self):
        return {"perm": self.perm}


def as_permutation(order, name):
    """`order` as an array that holds each of 0..m-1 once, or a ValueError.

    >>> as_permutation([1, 0], "order")
    array([1, 0])
    """
    array = as_array(order, name)
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu" or (np.sort(array) != np.arange(len(array))).any():
        raise ValueError(f"{name}: expected a permutation of 0..m-1, each number once, got {array.tolist()}")
    return array.astype(np.intp)


def as_order(order, dim, rng=None):
    """The order in which an autoregressive model takes its coordinates, ``(dim,)``: ``order[j]`` comes (j+1)-th.

    `order` is None or "natural" (0, 1, ...), "reversed", "random" (drawn from `rng`), or a permutation of 0..dim-1.
    Anything else is a ValueError.

    >>> as_order("reversed", 3)
    array([2, 1, 0])
    """
    if order is None or isinstance(order, str):
        orders = {None: np.arange, "natural": np.arange, "reversed": lambda dim: np.arange(dim)[::-1].copy(),
                  "random": lambda dim: as_rng(rng).permutation(dim)}
        if order not in orders:
            raise ValueError(f"order: expected natural, reversed, random or a permutation of 0..{dim - 1}, got {order!r}")
        return orders[order](dim)
    order = as_permutation(order, "order")
    if len(order) != dim:
        raise ValueError(f"order: expected a permutation of 0..{dim - 1}, got {len(order)} numbers")
    return order
