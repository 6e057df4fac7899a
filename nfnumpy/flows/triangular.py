"""The triangular linear flow: the third of the three Jacobian structures on the slides, in its simplest form."""
import numpy as np

from nfnumpy.distributions import Gaussian
from nfnumpy.flows.linear_map import LinearMap, as_matrix, as_signs, beside_diagonal, solve_triangular, triangle


class Triangular(LinearMap):
    """z = W x + b with a triangular W: z_j depends on x_{1:j} only (or, upper, on x_{j:m}).

    Formulas
    --------
    where:         W = triangle(off_diagonal, signs * exp(log_diagonal))
    f:             z = W @ x + b
    g:             x = solve(W, z - b)
    log abs det:   log_det = sum(log_diagonal)
    adjoint of f:  grad_x = W.T @ grad_z
                   grad_b = grad_z
                   grad_W = outer(grad_z, x)
                   grad_off_diagonal = beside_diagonal(grad_W)
                   grad_log_diagonal = diag(grad_W) * diag(W) + grad_log_det
    adjoint of g:  grad_z = solve(W.T, grad_x)
                   grad_b = -grad_z
                   grad_W = -outer(grad_z, x)
                   grad_off_diagonal = beside_diagonal(grad_W)
                   grad_log_diagonal = diag(grad_W) * diag(W) - grad_log_det

    The log-determinant is O(m), the inverse, by substitution, O(m^2) a sample. The signs are frozen, all 1 unless a
    given W says otherwise.

    Parameters
    ----------
    dim : int
        m.
    lower : bool
        Lower triangular, or else upper.
    W : array ``(m, m)``, optional
        Where to start: triangular, no zero on the diagonal. Default: the diagonal matrix of the `signs`.
    signs : sequence of 1 and -1, ``(m,)``, optional
        Of the diagonal, where no W is given; default all 1.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For a W that is not square, not finite, not triangular, or singular (its numerical rank is named).

    Notes
    -----
    Only the entries that can differ from zero are parameters: `log_diagonal` ``(m,)``, and `off_diagonal`
    ``(m (m - 1) / 2,)``, row by row. The gradient of the zeros is thrown away, and `LinearMap` has the other adjoints;
    of W^-T, the gradient of log abs det W, only the diagonal 1 / W[j, j] falls on entries that are not zero, and times
    ``d W[j, j] / d log_diagonal_j = W[j, j]`` it is 1.

    Domain: exp(log_diagonal) neither overflows nor vanishes (up to about 700 in float64 and 87 in float32).

    References
    ----------
    Lecture 2, "Jacobian structure", case 3, and "Linear normalizing flows".

    Examples
    --------
    >>> flow = Triangular(2, W=[[2.0, 0.0], [3.0, -1.0]])
    >>> z, log_det = flow.forward(np.array([[1.0, 1.0]]))
    >>> z, bool(np.isclose(log_det[0], np.log(2)))
    (array([[2., 2.]]), True)
    """

    jacobian = "triangular"

    def __init__(self, dim, lower=True, W=None, signs=None, dtype=np.float64):
        signs = as_signs(signs, dim)
        W, self.lower = np.diag(signs) if W is None else as_matrix(W, dim), bool(lower)
        wrong_side = np.count_nonzero(W[beside_diagonal(dim, not lower)])
        if wrong_side:
            raise ValueError(f"W: expected {'a lower' if lower else 'an upper'} triangular matrix, got {wrong_side} "
                             "entries on the other side of the diagonal that are not zero")
        diagonal = np.diagonal(W)
        if not diagonal.all():
            raise ValueError(f"W: expected no zero on the diagonal, got {np.count_nonzero(diagonal == 0)}: a singular "
                             f"matrix of numerical rank {np.linalg.matrix_rank(W)}")
        super().__init__(dim, {"log_diagonal": np.log(np.abs(diagonal)),
                               "off_diagonal": W[beside_diagonal(dim, lower)]}, {"signs": np.sign(diagonal)}, dtype)

    @classmethod
    def whitening(cls, x, dtype=np.float64):
        """The Gaussian fit of the rows of x in closed form: z has mean 0 and covariance I.

        ::

            W = L^-1,   b = - L^-1 mean,    where the covariance is L L^T with L lower triangular (Cholesky)

        With a standard-normal base log p(x) is the log-density of N(mean, covariance), the Gaussian of maximum
        likelihood (the covariance divides by n). Fewer than m + 1 rows, or columns that depend on each other linearly,
        are a ValueError.

        >>> flow = Triangular.whitening(np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]]))
        >>> flow.W, flow.b
        (array([[1. , 0. ], [0. , 0.5]]), array([-1., -1.]))
        """
        gaussian = Gaussian.fit(x)
        W = solve_triangular(gaussian.cholesky, np.eye(gaussian.dim), lower=True).T  # L^-1: here it is the parameter
        flow = cls(gaussian.dim, W=np.tril(W), dtype=dtype)
        flow.b = -W @ gaussian.mean
        return flow

    @property
    def W(self):
        """The matrix, ``(m, m)``."""
        return triangle(self.off_diagonal, self.signs * np.exp(self.log_diagonal), self.lower)

    @property
    def log_abs_det(self):
        """log abs det W = sum_j log_diagonal_j."""
        return self.log_diagonal.sum()

    def multiply(self, x):
        """``(W x, log abs det W), vjp``."""
        W = self.W

        def vjp(grad_y, grad_log_abs_det, grad):
            self._write(grad, grad_y.T @ x, W, grad_log_abs_det)  # dL/dW = sum over samples of dL/dy x^T
            return grad_y @ W                                    # dL/dx = W^T dL/dy

        return (x @ W.T, self.log_abs_det), vjp

    def solve(self, y):
        """``(W^-1 y, log abs det W), vjp``."""
        W = self.W
        x = solve_triangular(W, y, self.lower)

        def vjp(grad_x, grad_log_abs_det, grad):
            grad_y = solve_triangular(W, grad_x, self.lower, transpose=True)  # dL/dy = W^-T dL/dx
            self._write(grad, -grad_y.T @ x, W, grad_log_abs_det)  # dL/dW = - sum over samples of dL/dy x^T
            return grad_y

        return (x, self.log_abs_det), vjp

    def _write(self, grad, grad_W, W, grad_log_abs_det):
        grad["off_diagonal"][...] = grad_W[beside_diagonal(len(W), self.lower)]
        # dW_jj/dlog_diagonal_j = W_jj, dlog_abs_det/dlog_diagonal_j = 1
        grad["log_diagonal"][...] = np.diagonal(grad_W) * np.diagonal(W) + grad_log_abs_det

    def config(self):
        return {"dim": len(self.b), "lower": self.lower, "signs": self.signs}
