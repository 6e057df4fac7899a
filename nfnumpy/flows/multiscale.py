"""The multi-scale architecture of RealNVP and Glow: parts of an image leave for the base density on the way."""
import math

import numpy as np

from nfnumpy.flow import Flow, as_flows


class MultiScale(Flow):
    """h_l = f_l(h_{l-1}); after every level but the last, half of the channels become noise and the rest goes on.

    Formulas
    --------
    f:             h[0] = x
                   for l in range(1, L): h[l], z[l] = halves(f[l](h[l - 1]))
                   z[L] = f[L](h[L - 1])
    g:             h[L - 1] = g[L](z[L])
                   for l in reversed(range(1, L)): h[l - 1] = g[l](join(h[l], z[l]))
                   x = h[0]
    log abs det:   log_det = sum(log_det_f[l](h[l - 1]) for l in range(1, L + 1))
    adjoint of f:  grad_h[L - 1], grad_theta[L] = adjoint_f[L](grad_z[L], grad_log_det)
                   for l in reversed(range(1, L)):
                       grad_h[l - 1], grad_theta[l] = adjoint_f[l](join(grad_h[l], grad_z[l]), grad_log_det)
                   grad_x = grad_h[0]
    adjoint of g:  grad_h[0] = grad_x
                   for l in range(1, L):
                       both, grad_theta[l] = adjoint_g[l](grad_h[l - 1], grad_log_det)
                       grad_h[l], grad_z[l] = halves(both)
                   grad_z[L], grad_theta[L] = adjoint_g[L](grad_h[L - 1], grad_log_det)

    where L is the number of levels, halves are the first and the last half of the channels, join puts them together,
    and adjoint_f[l] and adjoint_g[l] are the adjoints of level l. z is z[1], ..., z[L], flattened to one vector.
    Leaving does not change volume. Later levels work on fewer numbers and see more of the image, since each begins with
    a `Squeeze`.

    Parameters
    ----------
    levels : list of Flow
        On images; level l + 1 takes half of the channels that level l gives.

    Raises
    ------
    TypeError
        For something else than a list of flows on images.
    ValueError
        For an empty list, or levels whose shapes do not meet.

    References
    ----------
    Dinh, Sohl-Dickstein, Bengio: Density estimation using Real NVP, 2017, section 3.6. Kingma, Dhariwal: Glow, 2018,
    figure 2.

    Examples
    --------
    >>> from nfnumpy.flows.squeeze import Squeeze
    >>> flow = MultiScale([Squeeze((4, 4, 1)), Squeeze((2, 2, 2))])
    >>> z, log_det = flow.forward(np.arange(16.0).reshape(1, 4, 4, 1))
    >>> [piece.shape for piece in flow.pieces(z)]
    [(1, 2, 2, 2), (1, 1, 1, 8)]
    """

    def __init__(self, levels):
        levels = as_flows(levels, "levels")
        shapes = [(k, shape) for k, level in enumerate(levels) for shape in (level.x_shape, level.z_shape)]
        for k, shape in shapes[:-1]:                             # what the last level gives may be flat
            if len(shape) != 3:
                raise TypeError("levels: expected flows on images (height, width, channels), got a "
                                f"{type(levels[k]).__name__} with samples of shape {shape} at index {k}")
        for k, (first, second) in enumerate(zip(levels, levels[1:])):
            height, width, channels = first.z_shape
            if second.x_shape != (height, width, channels - channels // 2):
                raise ValueError(f"levels: expected level {k + 1} to take half of the channels of {first.z_shape}, "
                                 f"got one that takes {second.x_shape}")
        super().__init__(levels[0].x_shape, (math.prod(levels[0].x_shape),),
                         children={str(k): level for k, level in enumerate(levels)}, dtype=levels[0].dtype)
        leaving = [(*level.z_shape[:2], level.z_shape[2] // 2) for level in levels[:-1]]
        self.piece_shapes = [*leaving, levels[-1].z_shape]       # of z_1, ..., z_L
        ends = np.cumsum([0, *map(math.prod, self.piece_shapes)]).tolist()
        self._slices = [slice(a, b) for a, b in zip(ends, ends[1:])]

    @property
    def levels(self):
        """The flows f_1, ..., f_L."""
        return [self.__dict__[name] for name in self._children]

    @property
    def passes(self):
        """Passes of the conditioners, summed over the levels: (forward, inverse)."""
        return tuple(map(sum, zip(*(level.passes for level in self.levels))))

    def pieces(self, z):
        """``[z_1, ..., z_L]`` of flat z ``(n, m)``, each in its shape ``(n, height, width, channels)``: views."""
        return [z[:, part].reshape(len(z), *shape) for part, shape in zip(self._slices, self.piece_shapes)]

    def join(self, pieces):
        """`pieces` backwards: ``(n, m)``."""
        return np.concatenate([piece.reshape(len(piece), math.prod(piece.shape[1:])) for piece in pieces], axis=1)

    def _divide(self, h):
        staying = h.shape[-1] - h.shape[-1] // 2
        return h[..., :staying], h[..., staying:]

    def forward(self, x):
        """``z, log_det``."""
        return self._forward([level.forward for level in self.levels], self.as_x(x))[0]

    def forward_vjp(self, x):
        """``(z, log_det), vjp``."""
        (z, log_det), vjps = self._forward([_with_vjp(level.forward_vjp) for level in self.levels], self.as_x(x))

        def vjp(grad_z, grad_log_det, out=None):
            grad_theta, parts = self.gradient(out)
            *leaving, grad_h = self.pieces(grad_z)
            for k, name in reversed(list(enumerate(self._children))):
                if k < len(leaving):                             # [h_l, z_l] = f_l: both gradients, side by side
                    grad_h = np.concatenate([grad_h, leaving[k]], axis=-1)
                grad_h, _ = vjps[k](grad_h, grad_log_det, out=parts[name])
            return grad_h, grad_theta

        return (z, log_det), vjp

    def inverse(self, z):
        """``x, log_det``: level by level, the last one first."""
        return self._inverse([level.inverse for level in self.levels], self.as_z(z))[0]

    def inverse_vjp(self, z):
        """``(x, log_det), vjp``."""
        (x, log_det), vjps = self._inverse([_with_vjp(level.inverse_vjp) for level in self.levels], self.as_z(z))

        def vjp(grad_x, grad_log_det, out=None):
            grad_theta, parts = self.gradient(out)
            grad_h, grad_pieces = grad_x, []
            for k, name in enumerate(self._children):
                grad_h, _ = vjps[k](grad_h, grad_log_det, out=parts[name])
                if k < len(vjps) - 1:
                    grad_h, grad_piece = self._divide(grad_h)
                    grad_pieces.append(grad_piece)
            return self.join([*grad_pieces, grad_h]), grad_theta

        return (x, log_det), vjp

    def _forward(self, steps, h):
        total, pieces, vjps = 0.0, [], []
        for k, step in enumerate(steps):
            h, log_det, *vjp = step(h)
            total, vjps = total + log_det, vjps + vjp
            if k < len(steps) - 1:
                h, piece = self._divide(h)
                pieces.append(piece)
        return (self.join([*pieces, h]), total), vjps

    def _inverse(self, steps, z):
        total, vjps = 0.0, []
        *leaving, h = self.pieces(z)
        for k, step in reversed(list(enumerate(steps))):
            if k < len(leaving):
                h = np.concatenate([h, leaving[k]], axis=-1)
            h, log_det, *vjp = step(h)
            total, vjps = total + log_det, vjp + vjps
        return (h, total), vjps

    def initialize(self, x):
        """Initialise each level on what the levels before it, already initialised, pass on."""
        h, pieces = self.as_x(x), []
        for k, level in enumerate(self.levels):
            h = level.initialize(h)
            if k < len(self.levels) - 1:
                h, piece = self._divide(h)
                pieces.append(piece)
        return self.join([*pieces, h])

    def config(self):
        return {"levels": self.levels}


def _with_vjp(step):
    def flat(h):
        (out, log_det), vjp = step(h)
        return out, log_det, vjp

    return flat
