"""The PLU linear flow: W as the product of a permutation and two triangular matrices."""
import numpy as np
import scipy.linalg

from nfnumpy.arrays import as_rng
from nfnumpy.flows.linear_map import (LinearMap, as_invertible, as_signs, beside_diagonal, random_rotation,
                                      solve_triangular, triangle)
from nfnumpy.flows.permutation import as_permutation


class PLU(LinearMap):
    """z = P L U x + b: decomposed once, at the beginning; then L and U are fitted and P stays.

    ::

        P   a permutation, fixed: (P x)_k = x[perm[k]]
        L   lower triangular with ones on the diagonal
        U   upper triangular with diagonal signs_j exp(log_diagonal_j); the signs are fixed

    Formulas
    --------
    f:             u = U @ x
                   l = L @ u
                   z = P @ l + b
    g:             l = P.T @ (z - b)
                   u = solve(L, l)
                   x = solve(U, u)
    log abs det:   log_det = sum(log_diagonal)
    adjoint of f:  grad_l = P.T @ grad_z
                   grad_u = L.T @ grad_l
                   grad_x = U.T @ grad_u
                   grad_b = grad_z
                   grad_below = strictly_lower(outer(grad_l, u))
                   grad_above = strictly_upper(outer(grad_u, x))
                   grad_log_diagonal = grad_u * x * diag(U) + grad_log_det
    adjoint of g:  grad_u = solve(U.T, grad_x)
                   grad_l = solve(L.T, grad_u)
                   grad_z = P @ grad_l
                   grad_b = -grad_z
                   grad_below = -strictly_lower(outer(grad_l, u))
                   grad_above = -strictly_upper(outer(grad_u, x))
                   grad_log_diagonal = -grad_u * x * diag(U) - grad_log_det

    log abs det W = log abs (det P det L det U) costs O(m), the inverse two substitutions, O(m^2) a sample.

    The slide asks for positive diagonals of both L and U, one of which is redundant (L D^-1 D U); here L's is 1. A
    *positive* diagonal of U reaches only those W whose P^T W has positive leading minors, which most rotations have
    not: the signs that the decomposition finds are kept.

    Parameters
    ----------
    dim : int
        m.
    W : array ``(m, m)``, optional
        What is decomposed, with partial pivoting; invertible. Default: a random rotation.
    perm, signs : ``(m,)``, optional
        The constants, in place of a W: the flow starts at W = P diag(signs).
    rng : None, int or Generator
        For the rotation.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For a W that is not square, not finite, or singular (its numerical rank is named), or no valid perm or signs.

    Notes
    -----
    Parameters: `log_diagonal` ``(m,)``, and row by row the entries of L `below` and of U `above` their diagonals, each
    ``(m (m - 1) / 2,)``. The zeros and ones are not parameters, so that no update can make them anything else.

    Forward. Name the stages of one sample u = U x, l = L u, y = P l. Going back through them::

        (P l)_k = l[perm[k]]        grad_l = P^T grad_y             the inverse permutation
        dl = dL u + L du            grad_L = grad_l u^T,  strictly lower entries;       grad_u = L^T grad_l
        du = dU x + U dx            grad_U = grad_u x^T,  strictly upper entries;       grad_x = U^T grad_u
        U_jj = signs_j exp(log_diagonal_j):   d U_jj / d log_diagonal_j = U_jj, so that
        grad_log_diagonal_j = grad_U_jj U_jj + grad_log_det

    Inverse. The stages are l = P^T y, then L u = l and U x = u. The systems' differentials are U dx = du - dU x and
    L du = dl - dL u; with grad_x given::

        grad_u = U^-T grad_x        grad_U = - grad_u x^T,  and for its diagonal as above,
        grad_l = L^-T grad_u        grad_L = - grad_l u^T,  strictly lower entries
        grad_y = P grad_l           grad_log_diagonal_j = grad_U_jj U_jj - grad_log_det

    Domain: exp(log_diagonal) neither overflows nor vanishes (up to about 700 in float64 and 87 in float32).

    References
    ----------
    Lecture 2, "Linear normalizing flows", LU-decomposition. Kingma, Dhariwal: Glow: Generative Flow with Invertible 1x1
    Convolutions, 2018, section 3.2.

    Examples
    --------
    >>> flow = PLU(2, W=[[0.0, 2.0], [1.0, 3.0]])
    >>> flow.perm, flow.L, flow.U
    (array([1, 0]), array([[1., 0.], [0., 1.]]), array([[1., 3.], [0., 2.]]))
    >>> flow.W
    array([[0., 2.],
           [1., 3.]])
    """

    def __init__(self, dim, W=None, perm=None, signs=None, rng=None, dtype=np.float64):
        if W is None and perm is None and signs is None:
            W = random_rotation(dim, as_rng(rng))
        if W is None:
            signs = as_signs(signs, dim)
            perm = as_permutation(np.arange(dim) if perm is None else perm, "perm")
            if len(perm) != dim:
                raise ValueError(f"perm: expected a permutation of 0..{dim - 1}, got {len(perm)} numbers")
            L, U = np.eye(dim), np.diag(signs)
        elif perm is None and signs is None:
            P, L, U = scipy.linalg.lu(as_invertible(W, dim))
            perm = P.argmax(axis=1)                              # P[k, perm[k]] = 1
        else:
            raise ValueError("W: expected either W or its constants perm and signs, got both")
        diagonal = np.diagonal(U)
        super().__init__(dim, {"below": L[beside_diagonal(dim, lower=True)],
                               "above": U[beside_diagonal(dim, lower=False)],
                               "log_diagonal": np.log(np.abs(diagonal))},
                         {"perm": perm, "inverse_perm": np.argsort(perm), "signs": np.sign(diagonal)}, dtype)

    @property
    def L(self):
        """The unit-lower triangular factor, ``(m, m)``."""
        return triangle(self.below, np.ones_like(self.log_diagonal), lower=True)

    @property
    def U(self):
        """The upper triangular factor, ``(m, m)``."""
        return triangle(self.above, self.signs * np.exp(self.log_diagonal), lower=False)

    @property
    def W(self):
        """P L U, ``(m, m)``."""
        return (self.L @ self.U)[self.perm]

    @property
    def log_abs_det(self):
        """log abs det W = sum_j log_diagonal_j."""
        return self.log_diagonal.sum()

    def multiply(self, x):
        """``(W x, log abs det W), vjp``."""
        L, U = self.L, self.U
        u = x @ U.T                                              # u = U x
        l = u @ L.T                                              # l = L u
        y = l[:, self.perm]                                      # y = P l

        def vjp(grad_y, grad_log_abs_det, grad):
            grad_l = grad_y[:, self.inverse_perm]                # P^T grad_y
            grad_u = grad_l @ L                                  # L^T grad_l
            self._write(grad, grad_l.T @ u, grad_u.T @ x, U, grad_log_abs_det)
            return grad_u @ U                                    # U^T grad_u

        return (y, self.log_abs_det), vjp

    def solve(self, y):
        """``(W^-1 y, log abs det W), vjp``."""
        L, U = self.L, self.U
        l = y[:, self.inverse_perm]                              # l = P^T y
        u = solve_triangular(L, l, lower=True, unit_diagonal=True)  # L u = l
        x = solve_triangular(U, u, lower=False)                  # U x = u

        def vjp(grad_x, grad_log_abs_det, grad):
            grad_u = solve_triangular(U, grad_x, lower=False, transpose=True)  # U^-T grad_x
            grad_l = solve_triangular(L, grad_u, lower=True, transpose=True, unit_diagonal=True)  # L^-T grad_u
            self._write(grad, -grad_l.T @ u, -grad_u.T @ x, U, grad_log_abs_det)
            return grad_l[:, self.perm]                          # P grad_l

        return (x, self.log_abs_det), vjp

    def _write(self, grad, grad_L, grad_U, U, grad_log_abs_det):
        """Gradients of the entries of L and U that are parameters; the diagonal's by the chain rule through exp."""
        grad["below"][...] = grad_L[beside_diagonal(len(U), lower=True)]
        grad["above"][...] = grad_U[beside_diagonal(len(U), lower=False)]
        # dU_jj/dlog_diagonal_j = U_jj, dlog_abs_det/dlog_diagonal_j = 1
        grad["log_diagonal"][...] = np.diagonal(grad_U) * np.diagonal(U) + grad_log_abs_det

    def config(self):
        return {"dim": len(self.b), "perm": self.perm, "signs": self.signs}
