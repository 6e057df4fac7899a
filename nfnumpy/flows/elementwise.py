"""Flows that move each coordinate by itself: the second of the three Jacobian structures on the slides."""
import numpy as np

from nfnumpy.arrays import as_array, as_batch
from nfnumpy.flow import Flow
from nfnumpy.flows.linear_map import LinearMap, as_matrix, as_signs


class Standardize(Flow):
    """z = (x - mean) / scale with fixed mean and scale: data to mean 0 and variance 1, without parameters.

    Formulas
    --------
    f:             z = (x - mean) / scale
    g:             x = scale * z + mean
    log abs det:   log_det = -sum(log(scale))
    adjoint of f:  grad_x = grad_z / scale
    adjoint of g:  grad_z = scale * grad_x

    In front of a trained flow it keeps densities in the units of the user's data.

    Parameters
    ----------
    mean, scale : array ``(m,)``
        Finite; scale positive.
    dtype : numpy dtype
        Of outputs; in a composition it follows the other flows.

    Raises
    ------
    ValueError
        For shapes that differ, or a scale that is not positive and finite.

    Notes
    -----
    In float32 a number x has seven digits, and so has every sample x = g(z), whose dtype is theta's. Where the mean is
    10^k times the scale, k of them are the mean's, and z keeps 7 - k::

        abs error of z <= eps (abs x + abs mean + 3 abs(x - mean)) / scale               eps = 2^-24

    A float64 difference inside would not help: x was rounded before. Take float64, or subtract the mean beforehand.

    Examples
    --------
    >>> flow = Standardize([1.0], [2.0])
    >>> flow.forward(np.array([[5.0]]))
    (array([[2.]]), array([-0.69314718]))
    """

    jacobian = "diagonal"

    def __init__(self, mean, scale, dtype=np.float64):
        mean = as_batch(mean, (), np.float64, "mean", finite=True, real=True)
        scale = as_batch(scale, (), np.float64, "scale", finite=True, real=True)
        if mean.shape != scale.shape:
            raise ValueError(f"scale: expected one number for each of the means, shape (m,), got shapes {mean.shape} and "
                             f"{scale.shape}")
        if not (scale > 0).all():
            raise ValueError(f"scale: expected positive numbers, got {scale}")
        super().__init__(mean.shape, constants={"mean": mean, "scale": scale}, dtype=dtype)

    @classmethod
    def of(cls, x, dtype=np.float64):
        """The flow that gives the rows of x mean 0 and variance 1; a constant column is a ValueError.

        >>> Standardize.of(np.array([[0.0], [2.0]]))
        Standardize(mean=array([1.]), scale=array([1.]))
        """
        x = as_array(x)
        x = as_batch(x, x.shape[1:] if x.ndim == 2 else ("m",), np.float64, finite=True, real=True)
        constant = np.flatnonzero((x == x[:1]).all(axis=0))
        if len(x) < 2 or constant.size:
            first = f", the first at index {constant[0]}" if constant.size else ""
            raise ValueError(f"x: expected at least two rows and columns that vary, got {len(x)} rows and "
                             f"{constant.size} constant columns{first}")
        return cls(x.mean(axis=0), x.std(axis=0), dtype)

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        x = self.as_x(x)

        def vjp(grad_z, grad_log_det, out=None):
            return grad_z / self.scale, self.gradient(out)[0]    # dz/dx = 1 / scale

        return ((x - self.mean) / self.scale, np.full(len(x), -np.log(self.scale).sum(), x.dtype)), vjp

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``."""
        z = self.as_z(z)

        def vjp(grad_x, grad_log_det, out=None):
            return grad_x * self.scale, self.gradient(out)[0]    # dx/dz = scale

        return (z * self.scale + self.mean, np.full(len(z), np.log(self.scale).sum(), z.dtype)), vjp

    def config(self):
        return {"mean": self.mean, "scale": self.scale}


class Diagonal(LinearMap):
    """z_j = W[j, j] x_j + b_j: a linear flow whose W is diagonal, W[j, j] = signs_j exp(log_diagonal_j).

    Formulas
    --------
    where:         w = signs * exp(log_diagonal)
    f:             z = w * x + b
    g:             x = (z - b) / w
    log abs det:   log_det = sum(log_diagonal)
    adjoint of f:  grad_x = w * grad_z
                   grad_b = grad_z
                   grad_log_diagonal = grad_z * w * x + grad_log_det
    adjoint of g:  grad_z = grad_x / w
                   grad_b = -grad_z
                   grad_log_diagonal = -grad_x * x - grad_log_det

    Everything is O(m). With a standard-normal base the coordinates of x are independent Gaussians.

    Parameters
    ----------
    dim : int
        m.
    W : array ``(m, m)``, optional
        Where to start: diagonal, no zero on the diagonal. Default: the diagonal matrix of the `signs`.
    signs : sequence of 1 and -1, ``(m,)``, optional
        Frozen; of the diagonal, where no W is given. Default all 1.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For a W that is not square, not finite, not diagonal, or singular (its rank is named).

    Notes
    -----
    Domain: exp(log_diagonal) neither overflows nor vanishes (up to about 700 in float64 and 87 in float32).

    References
    ----------
    Lecture 2, "Jacobian structure", case 2, and "Linear normalizing flows".

    Examples
    --------
    >>> z, log_det = Diagonal(2, W=[[2.0, 0.0], [0.0, -1.0]]).forward(np.array([[3.0, 4.0]]))
    >>> z, log_det
    (array([[ 6., -4.]]), array([0.69314718]))
    """

    jacobian = "diagonal"

    def __init__(self, dim, W=None, signs=None, dtype=np.float64):
        signs = as_signs(signs, dim)
        W = np.diag(signs) if W is None else as_matrix(W, dim)
        diagonal = np.diagonal(W)
        if np.count_nonzero(W) > np.count_nonzero(diagonal):
            beside = np.count_nonzero(W) - np.count_nonzero(diagonal)
            raise ValueError(f"W: expected a diagonal matrix, got {beside} entries beside the diagonal that are "
                             "not zero")
        if not diagonal.all():
            raise ValueError(f"W: expected no zero on the diagonal, got a singular matrix of numerical rank "
                             f"{np.count_nonzero(diagonal)}")
        super().__init__(dim, {"log_diagonal": np.log(np.abs(diagonal))}, {"signs": np.sign(diagonal)}, dtype)

    @property
    def W(self):
        """The matrix, ``(m, m)``."""
        return np.diag(self.diagonal)

    @property
    def diagonal(self):
        """Its diagonal, ``(m,)``."""
        return self.signs * np.exp(self.log_diagonal)

    @property
    def log_abs_det(self):
        """log abs det W = sum_j log_diagonal_j."""
        return self.log_diagonal.sum()

    def multiply(self, x):
        """``(W x, log abs det W), vjp``."""
        diagonal = self.diagonal
        y = diagonal * x                                         # y_j = W_jj x_j

        def vjp(grad_y, grad_log_abs_det, grad):
            grad["log_diagonal"][...] = (grad_y * y).sum(axis=0) + grad_log_abs_det  # dy_j/dlog_diagonal_j = y_j
            return grad_y * diagonal                             # dy_j/dx_j = W_jj

        return (y, self.log_abs_det), vjp

    def solve(self, y):
        """``(W^-1 y, log abs det W), vjp``."""
        diagonal = self.diagonal
        x = y / diagonal                                         # x_j = y_j / W_jj

        def vjp(grad_x, grad_log_abs_det, grad):
            grad["log_diagonal"][...] = grad_log_abs_det - (grad_x * x).sum(axis=0)  # dx_j/dlog_diagonal_j = -x_j
            return grad_x / diagonal                             # dx_j/dy_j = 1 / W_jj

        return (x, self.log_abs_det), vjp

    def config(self):
        return {"dim": len(self.b), "signs": self.signs}
