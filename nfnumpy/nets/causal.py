"""Causal convolutions: a stack of them sees, from each pixel, earlier pixels only."""
import numpy as np

from nfnumpy.arrays import as_count, as_rng
from nfnumpy.nets.activations import by_name
from nfnumpy.nets.cnn import Conv2d, padding
from nfnumpy.nets.pixels import square_taps
from nfnumpy.parametrized import Parametrized


def raster_taps(kernel_size, kind):
    """The taps of a square kernel that come before the centre in raster order; kind "B" has the centre as well.

    Pixels come row after row, each row from left to right, which is how Python compares pairs. Type A belongs where the
    input is the image itself, whose pixel (i, j) must not be seen from (i, j); type B everywhere above, where channels
    at (i, j) hold what earlier pixels say.

    >>> raster_taps(3, "A")
    [(-1, -1), (-1, 0), (-1, 1), (0, -1)]
    >>> raster_taps(3, "B")[-1]
    (0, 0)
    """
    sees_itself = _as_kind(kind) == "B"
    return [tap for tap in square_taps(kernel_size) if tap < (0, 0) or (sees_itself and tap == (0, 0))]


def sequence_taps(kernel_size, kind):
    """The taps of a one-dimensional causal convolution over a sequence, which is an image of one row.

    Type A sees the `kernel_size` elements before the present one, type B the present one in place of the oldest.

    >>> sequence_taps(3, "A"), sequence_taps(3, "B")
    ([(0, -3), (0, -2), (0, -1)], [(0, -2), (0, -1), (0, 0)])
    """
    last = 0 if _as_kind(kind) == "B" else -1
    return [(0, dx) for dx in range(last - as_count(kernel_size, "kernel_size", minimum=1) + 1, last + 1)]


def _as_kind(kind):
    if kind not in ("A", "B"):
        raise ValueError(f"kind: expected A or B, got {kind!r}")
    return kind


class CausalCNN(Parametrized):
    """A stack of causal convolutions: the outputs at pixel j are functions of the earlier pixels x_{1:j-1} only.

    ::

        h_1 = A * x                              type A: the pixel itself is left out
        h_k = h_{k-1} + B_k * phi(h_{k-1})       k = 2 .. depth, type B, each added to what is there (residual)
        out = C phi(h_depth)                     a 1x1 convolution

    Parameters
    ----------
    size : tuple of int
        ``(height, width)`` of the images, ``(1, m)`` for sequences.
    outputs : int
        Numbers for each pixel.
    width, depth : int
        Channels of the h_k, and the number of causal convolutions.
    taps : pair of list of (dy, dx)
        Of type A and of type B: `raster_taps` or `sequence_taps`.
    activation : {"relu", "tanh"}
        phi.
    rng : None, int or Generator
        For the weights of A and B_k; the last layer C starts at zero.
    dtype : numpy dtype

    Raises
    ------
    ValueError
        For sizes below 1, an unknown activation, or taps that are not causal.

    Notes
    -----
    Why the stack is causal: A sees strictly earlier pixels, B_k the pixel itself and earlier ones, C the pixel itself;
    a path from an input to an output is one tap of each layer or less, and passes A exactly once.

    The blind spot. Each B_k and A with reach r = (kernel_size - 1) / 2 moves to the right by at most r, and only
    together with a row up. However deep the stack, from pixel (i, j) the pixel (i - a, j + b) with b > r a is out of
    reach although it comes earlier: a wedge to the right above. Two stacks, one for the rows above and one for the row
    so far, remove it (van den Oord et al. 2016 b). A causal convolution over the *sequence* of pixels has none.

    References
    ----------
    Lecture 2, "Autoregressive CNN". van den Oord, Kalchbrenner, Kavukcuoglu: Pixel Recurrent Neural Networks, 2016.
    van den Oord et al.: Conditional Image Generation with PixelCNN Decoders, 2016 (b).

    Examples
    --------
    >>> net = CausalCNN((1, 4), 2, width=3, depth=2, taps=(sequence_taps(2, "A"), sequence_taps(2, "B")), rng=0)
    >>> out, vjp = net.vjp(np.zeros((5, 1, 4, 1)))
    >>> out.shape, net.receptive_field(0, 3)
    ((5, 1, 4, 2), array([[ True,  True,  True, False]]))
    """

    def __init__(self, size, outputs, width, depth, taps, activation="relu", rng=None, dtype=np.float64):
        rng = as_rng(rng)
        self.size = tuple(as_count(length, "size", minimum=1) for length in size)
        self.depth, self.activation = as_count(depth, "depth", minimum=1), by_name(activation)
        taps_a, taps_b = ([tuple(tap) for tap in kind] for kind in taps)
        if max(taps_a, default=(0, 0)) >= (0, 0) or max(taps_b, default=(0, 0)) > (0, 0):
            raise ValueError("taps: expected offsets before (0, 0) in type A, and none after it in type B, "
                             f"got {taps!r}")
        width = as_count(width, "width", minimum=1)
        # Residual branches add up: with variance 1 / depth each, h_depth is about as large as h_1.
        convs = [Conv2d(1, width, taps_a, 1.0, rng, dtype)]
        convs += [Conv2d(width, width, taps_b, 2.0 / depth, rng, dtype) for _ in range(1, depth)]
        super().__init__(children={**{f"conv{k}": conv for k, conv in enumerate(convs)},
                                   "last": Conv2d(width, outputs, 1, 0.0, rng, dtype)}, dtype=dtype)

    @property
    def convs(self):
        """The causal convolutions, type A first."""
        return [getattr(self, f"conv{k}") for k in range(self.depth)]

    def vjp(self, x):
        """``out, vjp`` with ``vjp(grad_out, out=None) -> grad_x, grad_theta``; x ``(n, height, width, 1)``."""
        h, first_vjp = self.conv0.vjp(x)                         # h_1 = A * x
        vjps = []
        for k in range(1, self.depth):
            a, activation_vjp = self.activation(h)
            branch, conv_vjp = self.convs[k].vjp(a)
            h = h + branch                                       # h_k = h_{k-1} + B_k * phi(h_{k-1})
            vjps.append((f"conv{k}", activation_vjp, conv_vjp))
        a, last_activation_vjp = self.activation(h)
        out, last_vjp = self.last.vjp(a)                         # out = C phi(h_depth)

        def vjp(grad_out, out=None):
            grad_theta, parts = self.gradient(out)
            grad_a, _ = last_vjp(grad_out, parts["last"])        # dL/dphi = C^T dL/dout
            grad_h = last_activation_vjp(grad_a)
            for name, activation_vjp, conv_vjp in reversed(vjps):
                grad_a, _ = conv_vjp(grad_h, parts[name])        # through B_k
                grad_h = grad_h + activation_vjp(grad_a)         # dL/dh_{k-1} = dL/dh_k + phi' B_k^T dL/dh_k
            grad_x, _ = first_vjp(grad_h, parts["conv0"])        # dL/dx = A^T dL/dh_1
            return grad_x, grad_theta

        return out, vjp

    def conditionals(self, n):
        """A generator that yields the outputs at the first pixel, ``(n, outputs)``, is sent its value, ``(n,)``, yields
        the outputs at the second pixel, and so on: each activation is computed once, all of them in one network pass.
        """
        convs = self.convs
        memory = [padding(n, *self.size, conv.W.shape[1], conv.taps, self.dtype) for conv in convs]
        for i in range(self.size[0]):
            for j in range(self.size[1]):
                h = convs[0].at(memory[0][0], i, j)              # needs earlier pixels, which have been sent
                for conv, (padded, inside) in zip(convs[1:], memory[1:]):
                    inside[:, i, j], _ = self.activation(h)      # kept for the later pixels that look at this one
                    h = h + conv.at(padded, i, j)
                memory[0][1][:, i, j, 0] = yield self.activation(h)[0] @ self.last.W[0] + self.last.b

    def receptive_field(self, i, j):
        """Which pixels the outputs at pixel (i, j) can see: bool ``(height, width)``, by following the taps down."""
        seen = np.zeros(self.size, bool)
        seen[i, j] = True
        for k, conv in reversed(list(enumerate(self.convs))):
            above, seen = seen, seen & (k > 0)                   # type A has no residual beside it
            for row, column in np.argwhere(above):
                for dy, dx in conv.taps:
                    if 0 <= row + dy < self.size[0] and 0 <= column + dx < self.size[1]:
                        seen[row + dy, column + dx] = True
        return seen

    def config(self):
        return {"size": self.size, "outputs": len(self.last.b), "width": len(self.conv0.b), "depth": self.depth,
                "taps": (self.conv0.taps, self.convs[-1].taps if self.depth > 1 else []),
                "activation": self.activation.__name__}
