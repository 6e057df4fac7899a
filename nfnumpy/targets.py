"""Two-dimensional toy densities: each class is the data set, its true log-density and a reverse-KL target at once.

`log_prob` and `score` belong to exactly the density that `sample` draws from: closed forms, or one-dimensional
quadrature along a curve; the noise of most of them is that of ``noisy.py``.
"""
import math
import numbers

import numpy as np
from scipy.special import i0e, i1e

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.distributions import LOG_2PI, Density
from nfnumpy.noisy import FAR, Noisy, NoisyCurve, as_length, log_sum_exp


class Moons(NoisyCurve):
    """Two interleaved half circles of radius 1, the upper around (0, 0), the lower around (1, 0.5), plus noise.

        c(t) = (cos pi t, sin pi t)   or   (1 - cos pi t, 1/2 - sin pi t),   t uniform

    in the coordinates of scikit-learn's ``make_moons``, but with random instead of evenly spaced t.

    Arguments: `noise`, the standard deviation around the curve (ValueError unless from 0.001 to 1000).

    >>> moons = Moons(noise=0.1)
    >>> moons.sample(1000, rng=0).shape
    (1000, 2)
    >>> moons.log_prob([[0.0, 1.0], [0.0, -1.0]]).round(2)          # nats: on the upper moon, and far from both
    array([ -0.45, -32.97])
    """

    def __init__(self, noise=0.1):
        super().__init__(noise)

    @staticmethod
    def arcs(t):
        cos, sin = np.cos(math.pi * t), np.sin(math.pi * t)
        return np.stack([np.stack([cos, sin], axis=-1), np.stack([1 - cos, 0.5 - sin], axis=-1)])


class TwoSpirals(NoisyCurve):
    """Two spiral arms of one and a half turns, one the other rotated by half a turn, plus noise.

        c(t) = +-pi t (-cos 3 pi t, sin 3 pi t),   t = sqrt(u), u uniform

    The usual code (FFJORD's) adds a uniform shift of at most 1/6 to each arm as well; it is left out here.

    Arguments: `noise`, the standard deviation around the curve (ValueError unless from 0.001 to 1000).

    Source: W. Grathwohl et al., "FFJORD", ICLR 2019, their toy data.

    >>> TwoSpirals().sample(3, rng=0).shape
    (3, 2)
    >>> spirals = TwoSpirals()
    >>> bool(np.isclose(*spirals.log_prob([[1.0, 2.0], [-1.0, -2.0]])))     # nats; symmetric
    True
    """

    power = 2

    def __init__(self, noise=0.1):
        super().__init__(noise)

    @staticmethod
    def arcs(t):
        arm = (math.pi * t)[:, None] * np.stack([-np.cos(3 * math.pi * t), np.sin(3 * math.pi * t)], axis=-1)
        return np.stack([arm, -arm])


class SwissRoll(NoisyCurve):
    """One spiral, scikit-learn's Swiss roll seen from its end and divided by 5, plus noise.

        c(t) = a (cos a, sin a) / 5,   a = 3/2 pi (1 + 2 t),   t uniform

    Arguments: `noise`, the standard deviation around the curve (ValueError unless from 0.001 to 1000).

    Source: scikit-learn's ``make_swiss_roll`` with noise 1, as the 2-D benchmarks of flows use it.

    >>> bool(np.abs(SwissRoll().sample(1000, rng=0)).max() < 4)
    True
    """

    def __init__(self, noise=0.2):
        super().__init__(noise)

    @staticmethod
    def arcs(t):
        angle = 1.5 * math.pi * (1 + 2 * t)
        return (angle / 5 * np.stack([np.cos(angle), np.sin(angle)])).T[None]


class Circles(Noisy):
    """Two concentric circles, equally probable, plus noise: at distance r from the origin, with kappa = r R / noise^2,

        p(x) = mean over R of  exp(-(r^2 + R^2) / (2 noise^2)) I_0(kappa) / (2 pi noise^2)
        E[c | x, R] = R I_1(kappa) / I_0(kappa) x / r

    with the modified Bessel functions I_0 and I_1: the centre's angle given x is von Mises distributed.

    Arguments: `noise`, the standard deviation around the circles; `radius` of the outer one and `factor`, the inner
    radius divided by the outer one, as in scikit-learn's ``make_circles`` (each from 0.001 to 1000, ValueError
    otherwise).

    >>> circles = Circles(noise=0.08)
    >>> circles.log_prob([[1.0, 0.0], [0.0, -1.0], [0.5, 0.0]]).round(2)         # nats
    array([-0.92, -0.92, -0.23])
    >>> circles.sample(1000, rng=0).shape
    (1000, 2)
    """

    arguments = ("noise", "radius", "factor")

    def __init__(self, noise=0.08, radius=1.0, factor=0.5):
        self.noise = as_length(noise, "noise")
        self.radius, self.factor = as_length(radius, "radius"), as_length(factor, "factor")
        self.radii = np.array([self.radius, self.radius * self.factor])

    def _draw_centres(self, n, rng):
        angle = 2 * math.pi * rng.random(n)
        return self.radii[rng.integers(2, size=n), None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def _posterior(self, x):
        r = np.hypot(x[:, 0], x[:, 1])
        kappa = np.outer(r, self.radii / self.noise ** 2)                            # (n, 2)
        i_0 = i0e(kappa)                                                             # exp(-kappa) I_0(kappa)
        log_sum, weights = log_sum_exp(np.log(i_0 / 2) + kappa - 0.5 * (self.radii / self.noise) ** 2)
        length = (weights * self.radii * i1e(kappa) / i_0).sum(axis=1)
        direction = x / np.where(r > 0, r, 1.0)[:, None]
        return log_sum, length[:, None] * direction


class EightGaussians(Noisy):
    """A mixture of eight equal Gaussians around a circle, at the angles k pi / 4.

        p(x) = 1/8 sum_k N(x; radius (cos k pi / 4, sin k pi / 4), noise^2 I)

    Arguments: `noise`, the standard deviation of each, and `radius`; the defaults are the usual 0.5 and 4, both
    divided by sqrt 2 (each from 0.001 to 1000, ValueError otherwise).

    >>> target = EightGaussians()
    >>> target.log_prob([[8 ** 0.5, 0.0], [0.0, 0.0]]).round(3)                  # nats
    array([ -1.838, -31.758])
    >>> bool(abs(target.score([[0.0, 0.0]])).max() < 1e-12)                      # by symmetry
    True
    """

    arguments = ("noise", "radius")

    def __init__(self, noise=math.sqrt(1 / 8), radius=math.sqrt(8)):
        self.noise = as_length(noise, "noise")
        self.radius = as_length(radius, "radius")
        angle = np.arange(8) * math.pi / 4
        self.centres = self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        self.weights = np.full(8, 1 / 8)

    def _draw_centres(self, n, rng):
        return self.centres[rng.integers(8, size=n)]


class Pinwheel(Density):
    """Long Gaussian blades around the origin, twisted by an angle proportional to the distance from it.

    With v a draw from a blade, N((radius, 0), diag(radial_std^2, tangential_std^2)) turned by 2 pi k / blades, and the
    plane written as complex numbers,

        x = v exp(i twist |v|),     v = x exp(-i twist |x|),     |det J| = 1

    since each circle is turned rigidly and the shear between circles keeps areas: a small normalizing flow with a
    closed-form density. The popular code twists by -0.25 exp(first coordinate) instead, which has no closed form; the
    defaults give nearly its picture: about the same twist at the middle of a blade, clockwise, everything times 2.

        score(x) = exp(i twist |x|) s - twist <i v, s> x / |x|,     s = score of the blades at v,  <.,.> real product

    Arguments: `radius`, `radial_std`, `tangential_std`, `blades`, and `twist` in radians per unit of length
    (ValueError unless the first three are from 0.001 to 1000, `blades` is a whole number from 1 up, and `twist` from
    -1000 to 1000).

    Source of the picture: M. J. Johnson et al., "Composing graphical models with neural networks", NeurIPS 2016.

    >>> pinwheel = Pinwheel(blades=3)
    >>> x = pinwheel.sample(4, rng=0)
    >>> turned = x @ np.array([[-0.5, 0.75 ** 0.5], [-0.75 ** 0.5, -0.5]])       # by a third of a turn
    >>> np.allclose(pinwheel.log_prob(x), pinwheel.log_prob(turned))
    True
    """

    shape = (2,)
    arguments = ("radius", "radial_std", "tangential_std", "blades", "twist")

    def __init__(self, radius=2.0, radial_std=0.6, tangential_std=0.2, blades=5, twist=-0.35):
        self.radius, self.radial_std = as_length(radius, "radius"), as_length(radial_std, "radial_std")
        self.tangential_std = as_length(tangential_std, "tangential_std")
        self.blades = as_count(blades, "blades", minimum=1)
        if isinstance(twist, bool) or not isinstance(twist, numbers.Real) or not abs(twist) <= 1e3:
            raise ValueError(f"twist: expected a number from -1000 to 1000, got {twist!r}")
        self.twist = float(twist)

    def sample(self, n, rng=None):
        n, rng = as_count(n, "n"), as_rng(rng)
        noise = rng.standard_normal((n, 2))
        blade = self.radius + self.radial_std * noise[:, 0] + 1j * self.tangential_std * noise[:, 1]
        v = blade * np.exp(2j * math.pi / self.blades * rng.integers(self.blades, size=n))
        return to_plane(v * np.exp(1j * self.twist * np.abs(v)))

    def _blades(self, x):
        """The untwisted points v ``(n,)`` of complex points x ``(n,)``, their log-density, and its score ``(n,)``."""
        v = x * np.exp(-1j * self.twist * np.abs(x))
        turn = np.exp(2j * math.pi / self.blades * np.arange(self.blades))
        y = v[:, None] * turn.conj()                                                 # (n, blades), each in its frame
        radial, tangential = (y.real - self.radius) / self.radial_std, y.imag / self.tangential_std
        log_sum, weights = log_sum_exp(-0.5 * (radial ** 2 + tangential ** 2))
        log_p = log_sum - LOG_2PI - math.log(self.radial_std * self.tangential_std * self.blades)
        score = -(weights * turn * (radial / self.radial_std + 1j * tangential / self.tangential_std)).sum(axis=1)
        return v, log_p, score

    def _log_prob(self, x):
        return self._blades(to_complex(np.clip(x, -FAR, FAR)))[1]

    def _score(self, x):
        x = to_complex(np.clip(x, -FAR, FAR))
        v, _, score = self._blades(x)
        r = np.abs(x)
        direction = x / np.where(r > 0, r, 1.0)
        # dv/dangle = -i v, and the angle twist |x| has the gradient twist x / |x|
        slope = (np.conj(1j * v) * score).real
        return to_plane(np.exp(1j * self.twist * r) * score - self.twist * slope * direction)


class Checkerboard(Density):
    """Uniform on the eight dark squares of a 4 by 4 board on [-4, 4)^2, each of side 2.

        p(x) = 1/32 where floor(x_1 / 2) + floor(x_2 / 2) is even, 0 elsewhere

    `log_prob` is -inf outside. `score` is 0 everywhere: right inside the squares, but nothing there points towards
    them, so that this density is a data set and a truth, not a target for the reverse KL (which is infinite).

    >>> board = Checkerboard()
    >>> board.log_prob([[1.0, 1.0], [1.0, -1.0]]).round(3)                       # nats
    array([-3.466,   -inf])
    >>> bool(np.isfinite(board.log_prob(board.sample(1000, rng=0))).all())
    True
    """

    shape = (2,)

    def sample(self, n, rng=None):
        n, rng = as_count(n, "n"), as_rng(rng)
        column = rng.integers(4, size=n)
        row = 2 * rng.integers(2, size=n) + column % 2                               # of the same parity
        return 2 * (np.stack([column, row], axis=1) + rng.random((n, 2))) - 4

    def _log_prob(self, x):
        dark = (np.floor(x / 2).sum(axis=1) % 2 == 0) & (x >= -4).all(axis=1) & (x < 4).all(axis=1)
        return np.where(dark, -math.log(32), -np.inf)

    def _score(self, x):
        return np.zeros_like(x)


TOY = {"moons": Moons, "circles": Circles, "eight_gaussians": EightGaussians, "pinwheel": Pinwheel,
       "checkerboard": Checkerboard, "two_spirals": TwoSpirals, "swiss_roll": SwissRoll}


def to_complex(x):
    """Points ``(n, 2)`` as complex numbers ``(n,)``."""
    return x[:, 0] + 1j * x[:, 1]


def to_plane(z):
    """Complex numbers ``(n,)`` as points ``(n, 2)``."""
    return np.stack([z.real, z.imag], axis=-1)
