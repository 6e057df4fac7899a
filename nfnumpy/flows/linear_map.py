"""What all linear flows share: the bias, the batch, and the linear algebra under them."""
import numpy as np
import scipy.linalg

from nfnumpy.arrays import as_count
from nfnumpy.flow import Flow


class LinearMap(Flow):
    """z = W x + b with an invertible W: the linear flow of the lecture, for any parametrization of W.

    Formulas
    --------
    f:             z = W @ x + b
    g:             x = solve(W, z - b)
    log abs det:   log_det = log(abs(det(W)))
    adjoint of f:  grad_x = W.T @ grad_z
                   grad_b = grad_z
                   grad_W = outer(grad_z, x) + grad_log_det * inv(W).T
    adjoint of g:  grad_z = solve(W.T, grad_x)
                   grad_b = -grad_z
                   grad_W = -outer(grad_z, x) - grad_log_det * inv(W).T

    A batch has one sample a row, so that ``z = x @ W.T + b``. The slide writes J_f = W^T; with the slide's own
    definition of the Jacobian, J[a, b] = dz_a / dx_b, it is W, and J_g = W^-1.

    A subclass has the matrix itself as ``W``, for readers and tests, its `log_abs_det`, and two methods that form no
    more of it than they need. Neither knows of the bias, and both give log abs det W as well::

        (y, log_abs_det), vjp = self.multiply(x)            y = W x
        (x, log_abs_det), vjp = self.solve(y)               x = W^-1 y
        grad_input = vjp(grad_output, grad_log_abs_det, grad)

    where the vjp writes the gradients of the parameters into the arrays `grad`, by name.

    Parameters
    ----------
    dim : int
        m.
    parameters, constants, dtype
        Those of W; the bias b, zero at first, is added here.

    Notes
    -----
    The adjoints, in terms of W alone; those of a decomposed W continue by the chain rule. Forward, with grad_z given::

        dz = dW x + W dx + db       so  grad_x = W^T grad_z,  grad_W = sum_i grad_z_i x_i^T,  grad_b = sum_i grad_z_i
        d log abs det W = tr(W^-1 dW)   so  grad_W += (sum_i grad_log_det_i) W^-T

    Every sample has the same log-determinant, hence the sum over the batch. Inverse, with grad_x given: differentiate
    W x = z - b, which gives W dx = dz - db - dW x, and let v_i = W^-T grad_x_i::

        grad_z = v,     grad_b = - sum_i v_i,       grad_W = - sum_i v_i x_i^T - (sum_i grad_log_det_i) W^-T

    References
    ----------
    Lecture 2, "Linear normalizing flows".
    """

    def __init__(self, dim, parameters, constants=None, dtype=np.float64):
        super().__init__((dim,), parameters={**parameters, "b": np.zeros(dim)}, constants=constants, dtype=dtype)

    def multiply(self, x):
        """``(W x, log abs det W), vjp`` with ``vjp(grad_y, grad_log_abs_det, grad) -> grad_x``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement multiply")

    def solve(self, y):
        """``(W^-1 y, log abs det W), vjp`` with ``vjp(grad_x, grad_log_abs_det, grad) -> grad_y``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement solve")

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        x = self.as_x(x)
        (y, log_abs_det), multiply_vjp = self.multiply(x)
        z = y + self.b                                           # z = W x + b
        log_det = np.full(len(x), log_abs_det, z.dtype)          # log abs det J_f = log abs det W, for each sample

        def vjp(grad_z, grad_log_det, out=None):
            grad_theta, grad = self.gradient(out)
            grad_x = multiply_vjp(grad_z, sum_batch(grad_log_det, z), grad)
            grad["b"][...] = grad_z.sum(axis=0)                  # dz/db = I
            return grad_x, grad_theta

        return (z, log_det), vjp

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``."""
        z = self.as_z(z)
        (x, log_abs_det), solve_vjp = self.solve(z - self.b)     # x = W^-1 (z - b)
        log_det = np.full(len(z), -log_abs_det, x.dtype)         # log abs det J_g = - log abs det W

        def vjp(grad_x, grad_log_det, out=None):
            grad_theta, grad = self.gradient(out)
            grad_z = solve_vjp(grad_x, -sum_batch(grad_log_det, x), grad)
            grad["b"][...] = -grad_z.sum(axis=0)                 # z and b enter as z - b
            return grad_z, grad_theta

        return (x, log_det), vjp

    def config(self):
        return {"dim": self.x_shape[0]}


def sum_batch(grad_log_det, like):
    """The sum of grad_log_det over the rows of `like`, whether it is one number a row or one for all of them.

    >>> float(sum_batch(2.0, np.zeros((3, 5)))), float(sum_batch(np.array([1.0, 2.0, 3.0]), np.zeros((3, 5))))
    (6.0, 6.0)
    """
    return np.broadcast_to(np.asarray(grad_log_det, like.dtype), len(like)).sum()


def solve_triangular(T, y, lower, transpose=False, unit_diagonal=False):
    """T^-1 y for each row y of a batch, or T^-T y: substitution, O(m^2) a row. A transpose never conjugates.

    >>> solve_triangular(np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([[2.0, 4.0]]), lower=True)
    array([[1., 3.]])
    """
    x = scipy.linalg.solve_triangular(T, y.T, trans=int(transpose), lower=lower, unit_diagonal=unit_diagonal,
                                      check_finite=False).T
    return finite_solution(x, y)


def finite_solution(x, y):
    """x of W x = y, or a ValueError where y is finite and x is not: LAPACK overflows without NumPy's warning."""
    if not np.isfinite(x).all() and np.isfinite(y).all():
        raise ValueError(f"theta: expected matrices whose inverse does not overflow {x.dtype}, got one that is singular to "
                         "working precision")
    return x


def triangle(off_diagonal, diagonal, lower):
    """The triangular matrix with this `diagonal` and, row by row, these entries beside it: what theta stores of one.

    >>> triangle(np.array([7.0, 8.0, 9.0]), np.ones(3), lower=False)
    array([[1., 7., 8.],
           [0., 1., 9.],
           [0., 0., 1.]])
    """
    T = np.zeros((len(diagonal), len(diagonal)), off_diagonal.dtype)
    T[beside_diagonal(len(diagonal), lower)] = off_diagonal
    np.fill_diagonal(T, diagonal)
    return T


def beside_diagonal(dim, lower):
    """The entries strictly below the diagonal, or above it, as a mask.

    >>> beside_diagonal(2, lower=True)
    array([[False, False],
           [ True, False]])
    """
    below = np.tri(dim, k=-1, dtype=bool)
    return below if lower else below.T


def random_rotation(dim, rng):
    """A rotation, uniform over all of them: Q Q^T = I, det Q = 1.

    The Q of a Gaussian matrix is uniform over the orthogonal matrices once R's diagonal is made positive (Mezzadri
    2007); negating a row gives the other determinant.

    >>> Q = random_rotation(3, np.random.default_rng(0))
    >>> bool(np.allclose(Q @ Q.T, np.eye(3))), round(float(np.linalg.det(Q)), 12)
    (True, 1.0)
    """
    Q, R = np.linalg.qr(rng.standard_normal((as_count(dim, "dim", minimum=1), dim)))
    Q = Q * np.where(np.diagonal(R) < 0, -1.0, 1.0)
    if np.linalg.det(Q) < 0:
        Q[0] = -Q[0]
    return Q


def as_matrix(W, dim, name="W"):
    """`W` as a real, finite ``(dim, dim)`` array of float64, or a ValueError.

    >>> as_matrix([[1, 2, 3]], 3)
    Traceback (most recent call last):
        ...
    ValueError: W: expected a square matrix of shape (3, 3), got shape (1, 3)
    """
    dim, W = as_count(dim, "dim", minimum=1), np.asarray(W)
    if W.shape != (dim, dim):
        raise ValueError(f"{name}: expected a square matrix of shape {(dim, dim)}, got shape {W.shape}")
    if W.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected real numbers, got an array of dtype {W.dtype}")
    if not np.isfinite(W).all():
        bad = int((~np.isfinite(W)).sum())
        raise ValueError(f"{name}: expected finite numbers, got {bad} that are NaN or infinite")
    return W.astype(np.float64)


def as_invertible(W, dim, name="W"):
    """`as_matrix` that also refuses a numerically singular matrix, and names its rank.

    >>> as_invertible(np.ones((2, 2)), 2)
    Traceback (most recent call last):
        ...
    ValueError: W: expected an invertible matrix of shape (2, 2), got one of numerical rank 1
    """
    W = as_matrix(W, dim, name)
    rank = int(np.linalg.matrix_rank(W))
    if rank < len(W):
        raise ValueError(f"{name}: expected an invertible matrix of shape {W.shape}, got one of numerical rank {rank}")
    return W


def as_signs(signs, dim, name="signs"):
    """`signs` as ``(dim,)`` floats that are 1 or -1, all 1 where it is None, or a ValueError.

    >>> as_signs([1, -1], 2)
    array([ 1., -1.])
    """
    signs = np.ones(as_count(dim, "dim", minimum=1)) if signs is None else np.asarray(signs)
    if signs.shape != (dim,) or signs.dtype.kind not in "if" or (np.abs(signs) != 1).any():
        raise ValueError(f"{name}: expected {dim} numbers that are 1 or -1, got {signs.tolist()}")
    return signs.astype(np.float64)
