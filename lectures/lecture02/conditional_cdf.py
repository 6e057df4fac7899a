"""The map that makes uniform noise of any positive smooth density, one conditional distribution function at a time.

    u1 = F1(x1) = P(X1 <= x1),      u2 = F2(x2 | x1) = P(X2 <= x2 | X1 = x1),      log abs det J = log p(x)

With the answer to "is there such a map?" comes a flow without parameters: here in two dimensions, where one-dimensional
quadrature is all it takes. See `expressivity.md`, and `expressivity_figures.py` for the picture.
"""
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import ndtri

from nfnumpy.arrays import as_batch
from nfnumpy.distributions import StandardNormal


class ConditionalCDF:
    """u = f(x): data from a 2-D density to uniform noise on the unit square, and x = g(u) back.

    For one sample, autoregressive like the flows of the lecture::

        u1 = F1(x1) = integral_{-inf}^{x1} p1(t) dt,                     p1(x1) = integral p(x1, t) dt
        u2 = F2(x2 | x1) = integral_{-inf}^{x2} p(x1, t) dt / p1(x1)
        J = [[p1(x1), 0], [*, p(x1, x2) / p1(x1)]]                       triangular
        log abs det J = log p1(x1) + log p(x1, x2) / p1(x1) = log p(x)   the determinant is the density itself

    With a uniform base, of log-density 0, the change of variables gives log p(x) back: this flow *is* the density.

    Parameters
    ----------
    density : Density
        Two-dimensional, smooth and positive, with `log_prob`, normalised.
    box : ((left, right), (bottom, top))
        Holds all but a negligible share of the mass, which is squeezed into the edges of the square.
    knots : int
        Along each side. Between them the densities p1(t) and p(x1, t), functions of one variable, are cubic splines,
        integrated exactly; errors fall like the fourth power of the spacing in units of the narrowest detail.

    Raises
    ------
    ValueError
        If the box holds less than 0.999 of the mass (or more than 1.001: not normalised, or too few knots).

    References
    ----------
    Rosenblatt: Remarks on a Multivariate Transformation, 1952. Papamakarios et al.: Normalizing Flows for Probabilistic
    Modeling and Inference, 2021, section 2.2.

    Examples
    --------
    >>> from nfnumpy.energies import Banana
    >>> flow = ConditionalCDF(Banana(spread=1.0, width=0.5, curvature=1.0), box=((-6, 6), (-4, 39)), knots=601)
    >>> u, log_det = flow.forward([[1.0, 1.0], [-1.0, 1.5]])     # u1 = Phi(1), Phi(-1); u2 = Phi(0), Phi(1)
    >>> u.round(4)
    array([[0.8413, 0.5   ],
           [0.1587, 0.8413]])
    >>> flow.inverse(u)[0].round(4)
    array([[ 1. ,  1. ],
           [-1. ,  1.5]])
    """

    def __init__(self, density, box, knots=401):
        self.density = density
        self.t1, self.t2 = (np.linspace(low, high, knots) for low, high in box)
        columns = CubicSpline(self.t2, self._columns(self.t1)).antiderivative()
        p1 = columns(self.t2[-1])                                # p1 at the knots: each column integrated over x2
        self.F1 = CubicSpline(self.t1, p1).antiderivative()
        mass = float(self.F1(self.t1[-1]))
        if not abs(mass - 1) < 1e-3:
            raise ValueError(f"box: expected all of the density's mass in the box, got {mass:.6g} of it, {knots} knots")

    def forward(self, x):
        """``u, log_det`` of x ``(n, 2)``."""
        x = as_batch(x, (2,), np.float64, finite=True, real=True)
        F2, p1 = self._conditional(x[:, 0])
        u = np.stack([self.F1(x[:, 0]), at_own_point(F2, x[:, 1]) / p1], axis=1)
        return np.clip(u, 0, 1), self.density.log_prob(x)        # dF1/dx1 = p1, dF2/dx2 = p / p1: the product is p

    def inverse(self, u):
        """``x, log_det`` of u ``(n, 2)`` in the unit square: x1 first, then x2, each by bisection."""
        u = as_batch(u, (2,), np.float64, name="u", finite=True, real=True)
        x1 = bisect(self.F1, u[:, 0], self.t1[0], self.t1[-1])
        F2, p1 = self._conditional(x1)
        x2 = bisect(lambda t: at_own_point(F2, t) / p1, u[:, 1], self.t2[0], self.t2[-1])
        x = np.stack([x1, x2], axis=1)
        return x, -self.density.log_prob(x)

    def _columns(self, x1):
        """p(x1, t) at the knots t of x2, ``(knots, n)``."""
        grid = np.stack(np.meshgrid(x1, self.t2), axis=-1)
        return np.exp(self.density.log_prob(grid.reshape(-1, 2))).reshape(grid.shape[:2])

    def _conditional(self, x1):
        """The integral over t of p(x1, t), one spline for each x1, and its value at the top, p1(x1)."""
        F2 = CubicSpline(self.t2, self._columns(x1)).antiderivative()
        return F2, F2(self.t2[-1])


def to_normal(flow, x):
    """``z, log_det`` with z = Phi^-1(F(x)) standard normal: data to uniform to Gaussian.

    ::

        log abs det J = log p(x) - log N(z; 0, I)           dz/du = 1 / N(z), since dPhi/dz = N(z)

    u within 1e-15 of 0 or 1 counts as that far from it: z stays within 8.
    """
    u, log_det = flow.forward(x)
    z = ndtri(np.clip(u, 1e-15, 1 - 1e-15))
    return z, log_det - StandardNormal(2).log_prob(z)


def transport(source, target, x):
    """``y, log_det``: samples of one density to samples of another, through the uniform square.

    Both arguments are a `ConditionalCDF`.

    ::

        y = g_target(f_source(x)),       log abs det J = log p_source(x) - log p_target(y)
    """
    u, there = source.forward(x)
    y, back = target.inverse(u)
    return y, there + back


def at_own_point(spline, t):
    """Column i of a spline of n columns at t_i alone, ``(n,)``."""
    k = np.clip(np.searchsorted(spline.x, t, side="right") - 1, 0, len(spline.x) - 2)
    return np.polyval(spline.c[:, k, np.arange(len(t))], np.clip(t, spline.x[0], spline.x[-1]) - spline.x[k])


def bisect(increasing, values, low, high):
    """t in [low, high] with increasing(t_i) = values_i, each halved until float64 has no more digits."""
    low, high = np.full(len(values), low), np.full(len(values), high)
    for _ in range(60):
        middle = (low + high) / 2
        below = increasing(middle) < values
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2
