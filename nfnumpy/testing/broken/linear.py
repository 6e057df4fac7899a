"""Bugs of the linear flows on vectors: diagonal, triangular, dense, PLU, QR."""
import numpy as np

from nfnumpy.flows import PLU, QR, Dense, Diagonal, Triangular
from nfnumpy.flows.linear_map import solve_triangular
from nfnumpy.testing.broken.exhibit import exhibit, rows

SKEW = np.array([[1.0, 2.0, 0.5], [-1.0, 1.0, 1.0], [0.5, 0.0, 2.0]])                 # not symmetric, determinant 6.5


def diagonal(rng):
    """A diagonal matrix of both signs."""
    return Diagonal(3, W=np.diag([2.0, -0.5, 3.0]))


@exhibit("diagonal", lambda rng: Diagonal(64, W=np.exp(-12) * np.eye(64)), "check_log_det", "It is infinite",
         lambda flow, rng: (rows(flow, rng, 2),))
class LogOfTheProduct(Diagonal):
    """log of the product of the diagonal: right on paper, and zero in floating point once there are dimensions
    enough.
    """

    @property
    def log_abs_det(self):
        with np.errstate(divide="ignore"):
            return np.log(np.abs(np.prod(self.diagonal)))


@exhibit("diagonal", diagonal, "check_log_det", "check_log_det: forward")
class ForgetsExp(Diagonal):
    """W[j, j] = log_diagonal_j: the exponential was left out where x is multiplied, and kept where log_det is taken."""

    @property
    def diagonal(self):
        return self.signs * self.log_diagonal


@exhibit("diagonal", diagonal, "check_vjp", "a mean over the batch where a sum is meant?")
class MeanOverTheBatch(Diagonal):
    """The gradient is averaged over the rows: the loss already divides by n, so that steps get n times too short."""

    def multiply(self, x):
        (y, log_abs_det), right = super().multiply(x)

        def vjp(grad_y, grad_log_abs_det, grad):
            grad_x = right(grad_y, grad_log_abs_det, grad)
            grad["log_diagonal"] /= len(x)
            return grad_x

        return (y, log_abs_det), vjp


def lower(rng):
    """A lower triangular matrix."""
    return Triangular(3, W=np.tril(SKEW))


@exhibit("triangular", lower, "check_invertible", "inverse(forward(.))")
class OtherTriangle(Triangular):
    """Substitution with lower=False reads the half of W that is zero: it solves with the diagonal alone."""

    def solve(self, y):
        (_, log_abs_det), vjp = super().solve(y)
        return (solve_triangular(self.W, y, not self.lower), log_abs_det), vjp


@exhibit("triangular", lower, "check_vjp", "off_diagonal")
class GradientTransposed(Triangular):
    """grad_W = x^T grad_y for grad_y^T x: the same shape, the other triangle."""

    def _write(self, grad, grad_W, W, grad_log_abs_det):
        super()._write(grad, grad_W.T, W, grad_log_abs_det)


@exhibit("triangular", lower, "check_vjp", "log_diagonal")
class ChainEndsAtW(Triangular):
    """The gradient of W[j, j] is handed out as that of log_diagonal_j: the factor of the exponential is missing."""

    def _write(self, grad, grad_W, W, grad_log_abs_det):
        super()._write(grad, grad_W, W, grad_log_abs_det)
        grad["log_diagonal"][...] = np.diagonal(grad_W) + grad_log_abs_det


@exhibit("triangular", lower, "check_log_det", "It is the logarithm of the Jacobian's trace, not of its determinant")
class Trace(Triangular):
    """The sum of the diagonal is the trace. The determinant is its product."""

    @property
    def log_abs_det(self):
        return np.log(np.abs(np.trace(self.W)))


def dense(rng):
    """The matrix `SKEW`."""
    return Dense(3, W=SKEW)


@exhibit("dense", dense, "check_vjp", "The gradient is wrong for W")
class InverseNotTransposed(Dense):
    """d log abs det W / dW = W^-T; here it is W^-1, which is the same for symmetric matrices."""

    def multiply(self, x):
        outputs, right = super().multiply(x)

        def vjp(grad_y, grad_log_abs_det, grad):
            grad_x = right(grad_y, 0.0, grad)
            grad["W"] += grad_log_abs_det * np.linalg.inv(self.W)
            return grad_x

        return outputs, vjp


def stretched(rng):
    """W of condition number 1000: rounding errors grow by it, in a good inverse."""
    return Dense(2, W=[[1.0, 0.999], [0.999, 1.0]])


@exhibit("dense", stretched, "check_extremes", "in float32: expected x again",
         lambda flow, rng: (rows(flow, rng),), moved=False)
class NormalEquations(Dense):
    """x = (W^T W)^-1 W^T y squares the condition number: float64 has the digits to hide it, float32 has not.

    The report is chaiyujin/glow-pytorch issue 7: the inverse of a dense W in float32 loses the reconstruction that
    float64 keeps.
    """

    def solve(self, y):
        (_, log_abs_det), vjp = super().solve(y)
        return (np.linalg.solve(self.W.T @ self.W, self.W.T @ y.T).T, log_abs_det), vjp


@exhibit("dense", lambda rng: Dense(3, W=SKEW[[1, 0, 2]]), "check_log_det", "the logarithm of a negative number")
class NoAbsoluteValue(Dense):
    """log det W is not a number for half of all matrices; every test with a rotation passes."""

    def multiply(self, x):
        (y, _), vjp = super().multiply(x)
        with np.errstate(invalid="ignore"):
            return (y, np.log(np.linalg.det(self.W))), vjp


@exhibit("dense", dense, "check_vjp", "through log_det")
class LogDetOnce(Dense):
    """Every row has the same log_det, and so its gradient is added once, for one row: it belongs to each of them."""

    def forward_vjp(self, x):
        outputs, vjp = super().forward_vjp(x)
        return outputs, lambda grad_z, grad_log_det, out=None: vjp(grad_z, np.asarray(grad_log_det) / len(x), out)


def plu(rng):
    """The rows of `SKEW` in another order, so that P is not the identity."""
    return PLU(3, W=SKEW[[2, 0, 1]])


@exhibit("PLU", plu, "check_log_det", "check_log_det: forward")
class RawDiagonal(PLU):
    """U's diagonal is the parameter itself; log_det still sums it, as if it were a logarithm."""

    @property
    def U(self):
        U = super().U
        np.fill_diagonal(U, self.signs * self.log_diagonal)
        return U


@exhibit("PLU", plu, "check_invertible", "inverse(forward(.))")
class PermutesTwice(PLU):
    """P where P^T is meant, in the inverse alone. With P the identity, or one swap, nobody notices."""

    def solve(self, y):
        return super().solve(y[:, self.perm][:, self.perm])


@exhibit("PLU", plu, "check_vjp", "The gradient is wrong for log_diagonal")
class NoChainThroughExp(PLU):
    """The gradient of U's diagonal is not multiplied by dU_jj / dlog_diagonal_j = U_jj."""

    def _write(self, grad, grad_L, grad_U, U, grad_log_abs_det):
        super()._write(grad, grad_L, grad_U, U, grad_log_abs_det)
        grad["log_diagonal"][...] = np.diagonal(grad_U) + grad_log_abs_det


@exhibit("PLU", plu, "check_vjp", "The gradient is wrong for below")
class GradientOfLBelowU(PLU):
    """grad_L is taken with x for u = U x: L stands behind U, and sees what U makes of x."""

    def multiply(self, x):
        outputs, right = super().multiply(x)

        def vjp(grad_y, grad_log_abs_det, grad):
            grad_x = right(grad_y, grad_log_abs_det, grad)
            grad_L = grad_y[:, self.inverse_perm].T @ x          # should be ... @ (U x)
            grad["below"][...] = grad_L[np.tri(len(grad_L), k=-1, dtype=bool)]
            return grad_x

        return outputs, vjp


def qr(rng):
    """The matrix `SKEW`, as Q times R."""
    return QR(3, W=SKEW)


@exhibit("QR", qr, "check_invertible", "inverse(forward(.))")
class ReflectsInOrder(QR):
    """The inverse must take the reflections in the opposite order; each is its own inverse, their product is not."""

    def solve(self, y):
        reversed_v = self.V.copy()
        self.V[...] = reversed_v[::-1]
        try:
            return super().solve(y)
        finally:
            self.V[...] = reversed_v


@exhibit("QR", qr, "check_invertible", "inverse(forward(.))")
class NotNormalized(QR):
    """H = I - 2 v v^T needs v of length 1, which the first gradient step takes from it; v^T v is what was left out."""

    def _reflect(self, V, h):
        for v in V:
            h = h - np.outer(h @ v * 2, v)
        return h

    def multiply(self, x):
        (_, log_abs_det), vjp = super().multiply(x)
        return (self._reflect(self.V[::-1], x @ self.T.T), log_abs_det), vjp

    def solve(self, y):
        (_, log_abs_det), vjp = super().solve(y)
        return (solve_triangular(self.T, self._reflect(self.V, y), lower=False), log_abs_det), vjp


@exhibit("QR", qr, "check_vjp", "The gradient is wrong for V")
class LengthPulls(QR):
    """The gradient of a reflection without the part that comes from v^T v: as if the length of v mattered."""

    def multiply(self, x):
        outputs, right = super().multiply(x)

        def vjp(grad_y, grad_log_abs_det, grad):
            grad_x = right(grad_y, grad_log_abs_det, grad)
            grad["V"] += self.V * np.sum(grad_y * outputs[0])
            return grad_x

        return outputs, vjp
