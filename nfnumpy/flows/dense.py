"""The dense linear flow: every entry of W is a parameter."""
import warnings

import numpy as np
import scipy.linalg

from nfnumpy.arrays import as_rng
from nfnumpy.flows.linear_map import LinearMap, as_invertible, finite_solution, random_rotation


class Dense(LinearMap):
    """z = W x + b with all of W free: it reaches every invertible matrix, and pays O(m^3) for the log-determinant.

    The formulas are those of `LinearMap`; the decomposition P^T W = L U gives the determinant and the inverse::

        log abs det W = sum_k log abs u_k                          u: the diagonal of U, O(m^3)
        d log abs det W / dW = W^-T                                O(m^3)
        x = W^-1 (z - b)                                           two triangular solves with L and U

    Parameters
    ----------
    dim : int
        m.
    W : array ``(m, m)``, optional
        Where to start; invertible. Default: a random rotation.
    rng : None, int or Generator
        For the rotation.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For a W that is not square, not finite, or singular (its numerical rank is named); at run time, where theta
        holds an exactly singular W.

    Notes
    -----
    The gradient of the log-determinant: with W = (w_ab), Laplace's expansion along row a reads
    det W = sum_b w_ab C_ab with cofactors C_ab that do not contain w_ab, and Cramer's rule W^-1 = C^T / det W. So::

        d det W / d w_ab = C_ab = det W (W^-1)_ba        d log abs det W / d w_ab = (W^-1)_ba,      that is W^-T

    The other adjoints are those of `LinearMap`, with nothing left to continue. W^-T is the only inverse that is formed,
    and only in a vjp, where it is the gradient.

    Domain: W invertible. The singular matrices are a set of volume zero, and the likelihood is 0 on them; training in
    float64 meets ill-conditioned W long before a singular one.

    References
    ----------
    Lecture 2, "Linear normalizing flows".

    Examples
    --------
    >>> flow = Dense(2, W=[[1.0, 2.0], [3.0, 4.0]])
    >>> z, log_det = flow.forward(np.array([[1.0, 1.0]]))
    >>> z, bool(np.isclose(log_det[0], np.log(2)))               # det W = -2
    (array([[3., 7.]]), True)
    """

    def __init__(self, dim, W=None, rng=None, dtype=np.float64):
        W = random_rotation(dim, as_rng(rng)) if W is None else as_invertible(W, dim)
        super().__init__(dim, {"W": W}, dtype=dtype)

    @property
    def log_abs_det(self):
        """log abs det W, by LU."""
        return _log_abs_det(_lu(self.W))

    def multiply(self, x):
        """``(W x, log abs det W), vjp``."""
        W, lu = self.W, _lu(self.W)

        def vjp(grad_y, grad_log_abs_det, grad):
            np.matmul(grad_y.T, x, out=grad["W"])                # dL/dW = sum over samples of dL/dy x^T
            grad["W"] += grad_log_abs_det * _inverse_transposed(lu)  # d log abs det W / dW = W^-T
            return grad_y @ W                                    # dL/dx = W^T dL/dy

        return (x @ W.T, _log_abs_det(lu)), vjp

    def solve(self, y):
        """``(W^-1 y, log abs det W), vjp``."""
        lu = _lu(self.W)
        x = _lu_solve(lu, y)

        def vjp(grad_x, grad_log_abs_det, grad):
            grad_y = _lu_solve(lu, grad_x, transpose=True)       # dL/dy = W^-T dL/dx
            np.matmul(-grad_y.T, x, out=grad["W"])               # dL/dW = - sum over samples of dL/dy x^T
            grad["W"] += grad_log_abs_det * _inverse_transposed(lu)  # d log abs det W / dW = W^-T
            return grad_y

        return (x, _log_abs_det(lu)), vjp


def _lu(W):
    """L, U and the row swaps with L U = P^T W; a ValueError where a pivot is zero."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)          # SciPy warns of a zero pivot, which is refused below
        lu, swaps = scipy.linalg.lu_factor(W, check_finite=False)
    if (np.diagonal(lu) == 0).any():
        rank = np.linalg.matrix_rank(W)
        raise ValueError(f"W: expected an invertible matrix in theta, got one of numerical rank {rank}")
    return lu, swaps


def _log_abs_det(lu):
    """sum_k log abs u_k. The sign is taken off u_k by hand, since abs of a complex number has no complex derivative."""
    u = np.diagonal(lu[0])
    return np.log(np.where(u.real < 0, -u, u)).sum()


def _lu_solve(lu, y, transpose=False):
    """W^-1 y for each row y of a batch, or W^-T y; a transpose never conjugates."""
    return finite_solution(scipy.linalg.lu_solve(lu, y.T, trans=int(transpose), check_finite=False).T, y)


def _inverse_transposed(lu):
    """W^-T: row k is W^-1 e_k, column k of the inverse."""
    return _lu_solve(lu, np.eye(len(lu[0]), dtype=lu[0].dtype))
