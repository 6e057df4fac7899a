"""The recap's discrete models: an autoregressive MLP and an autoregressive CNN on whole grey values.

    p(x | theta) = prod_j p(x_j | x_{1:j-1}, theta),     log p(x | theta) = sum_j log p(x_j | x_{1:j-1}, theta)

Each conditional is a categorical distribution over the grey values: these are probabilities, not densities, and their
logarithms are never positive.
"""
import math

import numpy as np

from nfnumpy.arrays import as_batch, as_count, as_rng
from nfnumpy.flows.conv1x1 import as_image_shape
from nfnumpy.flows.permutation import as_order
from nfnumpy.nets.by_degree import ByDegree
from nfnumpy.nets.causal import CausalCNN, raster_taps, sequence_taps
from nfnumpy.nets.made import MADE, join_params
from nfnumpy.parametrized import Parametrized

CHUNK = 256                                                      # samples that `log_prob` takes at once


class DiscreteAutoregressive(Parametrized):
    """What the two models share; a subclass gives `logits_vjp`, `conditionals`, `last_layer` and `biases_of`.

    ``p(x_j = k | x_{1:j-1}) = softmax(logits_j)_k``, with the logits_j a network's function of x_{1:j-1}.

    Parameters
    ----------
    shape : tuple of int
        Of one sample.
    grey_levels : int
        x_j is one of 0 .. grey_levels - 1; at least 2.
    order : array of int
        ``order[j]`` is the index of the pixel, in the flattened sample, that comes (j+1)-th.
    net : Parametrized
    """

    def __init__(self, shape, grey_levels, order, net):
        self.x_shape, self.grey_levels, self.info = shape, grey_levels, {}
        super().__init__(children={"net": net}, constants={"order": order})

    @property
    def dim(self):
        """m, the number of pixels."""
        return len(self.order)

    def log_prob(self, x):
        """log p(x | theta) of each sample, ``(n,)``, in nats; x ``(n, *x_shape)``, whole, or a ValueError."""
        x = self._as_grey(x)
        # In chunks, since a network keeps all its activations for a vjp that is not wanted here.
        return np.concatenate([self._log_prob_vjp(x[i:i + CHUNK])[0] for i in range(0, max(len(x), 1), CHUNK)])

    def log_prob_vjp(self, x):
        """``log_p, vjp`` with ``vjp(grad_log_p, out=None) -> None, grad_theta``.

        In the place of grad_x stands None: x is discrete, there is no derivative.
        """
        return self._log_prob_vjp(self._as_grey(x))

    def _log_prob_vjp(self, x):
        logits, net_vjp = self.logits_vjp(x)                     # x (n, m), logits (n, m, grey_levels)
        log_q = log_softmax(logits)
        log_p = np.take_along_axis(log_q, x[..., None], axis=-1)[..., 0].sum(axis=1)     # sum_j log p(x_j | x_{1:j-1})

        def vjp(grad_log_p, out=None):
            grad_log_p = np.broadcast_to(np.asarray(grad_log_p, log_p.dtype), log_p.shape)
            one_hot = x[..., None] == np.arange(self.grey_levels)
            grad_logits = one_hot - np.exp(log_q)                # dlog p / dlogit_jk = [x_j = k] - q_jk
            grad_logits *= grad_log_p[:, None, None]
            return None, net_vjp(grad_logits, out)

        return log_p, vjp

    def initialize(self, x):
        """Start a new model at the frequencies of the grey values in x: what the conditionals have in common.

        Only the biases of the last layer are set, and only while that layer is zero, as in a new model: a model that
        has learned something is left alone. `fit` calls this before its first step.
        """
        x, (W, b) = self._as_grey(x), self.last_layer
        if not (W.any() or b.any()):
            counts = (x[..., None] == np.arange(self.grey_levels)).sum(axis=0)           # (m, grey_levels)
            q = (counts + 1 / self.grey_levels) / (len(x) + 1)   # one more sample, spread evenly: no probability is 0
            b[...] = self.biases_of(np.log(q))

    def bits_per_dim(self, x):
        """-log2 p(x | theta) / m of each sample, ``(n,)``: what an optimal code spends on a pixel.

        A model that knows nothing needs log2(grey_levels); smaller is better.
        """
        return -self.log_prob(x) / (self.dim * math.log(2))

    def sample(self, n, rng=None):
        """n samples, x_1, then x_2 given x_1, and so on: int64 ``(n, *x_shape)``, for the arithmetic of one pass.

        Raises ValueError for n that is no whole number from 0 up.
        """
        x = np.zeros((as_count(n, "n"), *self.x_shape), np.int64)
        return self.complete(x, False, rng)

    def complete(self, x, known, rng=None):
        """x with its unknown pixels drawn from p(unknown | known): int64 ``(n, *x_shape)``.

        Parameters
        ----------
        x : array ``(n, *x_shape)``
            What stands in unknown pixels does not matter.
        known : array of bool
            Which pixels are given, broadcast against x. In the order of the model they must come before all others:
            each pixel is drawn given the *earlier* ones, so that a given pixel that comes later would be ignored, and
            the result would not be a sample from p(unknown | known).
        rng : None, int or Generator

        Raises
        ------
        ValueError
            For known pixels that come after an unknown one, a mask that does not fit, or invalid known pixels.

        Examples
        --------
        >>> model = AutoregressiveMLP(4, grey_levels=3, rng=0)
        >>> model.complete(np.array([[2, 1, 0, 0]]), known=np.array([True, True, False, False]), rng=0)[0, :2]
        array([2, 1])
        """
        x, known = self._given(x, known)
        noise = as_rng(rng).random(x.shape)
        conditionals, h = self.conditionals(len(x)), None        # None starts the generator
        for j in self.order:
            drawn = draw(conditionals.send(h), noise[:, j])      # x_j ~ p(x_j | x_{1:j-1})
            x[:, j] = np.where(known[:, j], x[:, j], drawn)
            h = self.scale(x[:, j])
        return x.reshape(-1, *self.x_shape)

    def complete_by_passes(self, x, known, rng=None):
        """`complete` as plainly as possible: m passes of the whole network, of which each is used at one pixel."""
        x, known = self._given(x, known)
        noise = as_rng(rng).random(x.shape)
        for j in self.order:
            logits, _ = self.logits_vjp(x)                       # those of x_j are complete: they see x_{1:j-1} only
            x[:, j] = np.where(known[:, j], x[:, j], draw(logits[:, j], noise[:, j]))
        return x.reshape(-1, *self.x_shape)

    def scale(self, x):
        """Grey values as the network's input: 0 .. grey_levels - 1 becomes -1 .. 1."""
        return x.astype(self.dtype) * (2 / (self.grey_levels - 1)) - 1

    def _as_grey(self, x):
        """x as whole numbers ``(n, m)``, or a ValueError."""
        values = as_batch(x, self.x_shape, np.float64, finite=True, real=True)
        wrong = (values != np.floor(values)) | (values < 0) | (values > self.grey_levels - 1)
        if wrong.any():
            first = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise ValueError(f"x: expected whole numbers 0..{self.grey_levels - 1}, got {int(wrong.sum())} "
                             f"others, the first {float(values[first])!r} at index {first}")
        return values.reshape(-1, self.dim).astype(np.int64)

    def _given(self, x, known):
        x, known = np.asarray(x), np.asarray(known)
        try:
            if known.dtype != bool:
                raise ValueError(f"an array of dtype {known.dtype}")
            known = np.broadcast_to(known, x.shape)
        except ValueError as error:
            raise ValueError(f"known: expected bool that broadcasts against x, {x.shape}, got {error}") from None
        x = self._as_grey(np.where(known, x, 0))
        known = known.reshape(x.shape)
        in_order = known[:, self.order]
        if (in_order[:, 1:] & ~in_order[:, :-1]).any():
            place = int(np.argmax((in_order[:, 1:] & ~in_order[:, :-1]).any(axis=0)))
            raise ValueError("known: expected the known pixels to come first in the order of the model, got pixel "
                             f"{self.order[place + 1]} known and pixel {self.order[place]}, which comes before it, "
                             "not: each pixel is drawn given the earlier ones only")
        return x, known


class AutoregressiveMLP(DiscreteAutoregressive):
    """p(x) = prod_j p(x_j | x_{1:j-1}) with all conditionals from one masked multilayer perceptron (MADE).

    ::

        p(x_j = k | x_{1:j-1}, theta) = softmax(logits_j(x_{1:j-1}))_k,     k = 0 .. grey_levels - 1
        log p(x | theta) = sum_j log p(x_j | x_{1:j-1}, theta)              nats

    Parameters
    ----------
    dim : int
        m.
    grey_levels : int
        At least 2.
    hidden : tuple of int
        Widths of MADE's hidden layers.
    activation : {"relu", "tanh"}
    order : {"natural", "reversed", "random"} or sequence of int, optional
        ``order[j]`` is the index of the coordinate that comes (j+1)-th; default natural: 0, 1, ..., m - 1.
    rng : None, int or Generator
        For MADE's initial weights. A new model is uniform: its last layer starts at zero.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For dim < 1, grey_levels < 2, an unknown activation, or an order that is not a permutation.

    References
    ----------
    Lecture 2, "Likelihood as product of conditionals", "Sampling" and "Autoregressive MLP".
    Germain, Gregor, Murray, Larochelle: MADE: Masked Autoencoder for Distribution Estimation, 2015.

    Examples
    --------
    >>> model = AutoregressiveMLP(dim=3, grey_levels=2, rng=0)
    >>> model.log_prob([[0, 1, 1]])                              # a new model is uniform: -3 log 2
    array([-2.07944154])
    >>> model.sample(5, rng=0).shape
    (5, 3)
    """

    def __init__(self, dim, grey_levels, hidden=(256,), activation="relu", order=None, rng=None, dtype=np.float64):
        dim, grey_levels = as_count(dim, "dim", minimum=1), as_count(grey_levels, "grey_levels", minimum=2)
        rng = as_rng(rng)
        order = as_order(order, dim, rng)
        degrees = np.argsort(order) + 1                          # place of each coordinate in the order, from 1
        super().__init__((dim,), grey_levels, order, MADE(degrees, hidden, grey_levels, activation, rng, dtype))

    def logits_vjp(self, x):
        """``logits, vjp`` of x ``(n, m)``: logits ``(n, m, grey_levels)``, ``vjp(grad_logits, out) -> grad_theta``."""
        logits, net_vjp = self.net.vjp(self.scale(x))
        return logits, lambda grad_logits, out=None: net_vjp(grad_logits, out)[1]

    @property
    def last_layer(self):
        """W and b of MADE's last layer."""
        k = self.net.depth - 1
        return getattr(self.net, f"W{k}"), getattr(self.net, f"b{k}")

    def biases_of(self, logits):
        """The last b, where all else is zero, of given logits ``(m, grey_levels)``: each pixel has its own."""
        return join_params(logits[None])[0]

    def conditionals(self, n):
        """A generator that yields the logits of the first x, ``(n, grey_levels)``, is sent its value, scaled, ``(n,)``,
        yields those of the second, and so on.

        A hidden unit is computed once, when the last x that it sees becomes known: see `ByDegree`.
        """
        sweep = ByDegree(self.net, n, self.dtype)
        for d in range(self.dim):                                # d values are known: the logits of the next one follow
            h = yield sweep.params_after(d)
            sweep.set_input(d + 1, h)

    def config(self):
        return {"dim": self.dim, "grey_levels": self.grey_levels, "hidden": self.net.sizes[1:-1],
                "activation": self.net.activation.__name__, "order": self.order}


class AutoregressiveCNN(DiscreteAutoregressive):
    """p(x) = prod_j p(x_j | x_{1:j-1}) over the pixels in raster order, all conditionals from causal convolutions.

    ::

        p(x_j = k | x_{1:j-1}, theta) = softmax(logits_j)_k,     logits = CausalCNN(x)
        log p(x | theta) = sum_j log p(x_j | x_{1:j-1}, theta)   nats

    Parameters
    ----------
    shape : tuple of int
        ``(height, width, 1)``.
    grey_levels : int
        At least 2.
    width, depth : int
        Channels, and the number of causal convolutions.
    kind : {"2d", "1d"}
        "2d": masked square kernels, type A first, type B then; the stack has a blind spot (see `CausalCNN`). "1d": a
        convolution over the sequence of pixels, row after row, as on the slide; it has none, but needs depth, since the
        pixel above is a whole row back.
    kernel_size : int
        Odd for "2d".
    activation : {"relu", "tanh"}
    rng : None, int or Generator
        For the initial weights. A new model is uniform: its last layer starts at zero.
    dtype : numpy dtype
        float64 or float32.

    Raises
    ------
    ValueError
        For another shape or kind, grey_levels < 2, a size below 1, or an even kernel for "2d".

    References
    ----------
    Lecture 2, "Likelihood as product of conditionals" and "Autoregressive CNN".
    van den Oord, Kalchbrenner, Kavukcuoglu: Pixel Recurrent Neural Networks, 2016.

    Examples
    --------
    >>> model = AutoregressiveCNN((8, 8, 1), grey_levels=17, rng=0)
    >>> model.bits_per_dim(np.zeros((1, 8, 8, 1))).round(4)      # a new model is uniform: log2(17)
    array([4.0875])
    """

    def __init__(self, shape, grey_levels, width=32, depth=4, kind="2d", kernel_size=5, activation="relu", rng=None,
                 dtype=np.float64):
        shape, grey_levels = as_image_shape(shape), as_count(grey_levels, "grey_levels", minimum=2)
        if shape[2] != 1:
            raise ValueError(f"shape: expected (height, width, 1), one grey value a pixel, got {shape}")
        if kind not in ("2d", "1d"):
            raise ValueError(f"kind: expected one of 2d, 1d, got {kind!r}")
        self.kind, self.kernel_size = kind, as_count(kernel_size, "kernel_size", minimum=1)
        taps = raster_taps if kind == "2d" else sequence_taps
        size = shape[:2] if kind == "2d" else (1, shape[0] * shape[1])
        net = CausalCNN(size, grey_levels, width, depth, (taps(kernel_size, "A"), taps(kernel_size, "B")), activation,
                        rng, dtype)
        super().__init__(shape, grey_levels, np.arange(shape[0] * shape[1]), net)

    def logits_vjp(self, x):
        """``logits, vjp`` of x ``(n, m)``: logits ``(n, m, grey_levels)``, ``vjp(grad_logits, out) -> grad_theta``."""
        images = self.scale(x).reshape(len(x), *self.net.size, 1)
        logits, net_vjp = self.net.vjp(images)

        def vjp(grad_logits, out=None):
            return net_vjp(grad_logits.reshape(logits.shape), out)[1]

        return logits.reshape(len(x), self.dim, self.grey_levels), vjp

    @property
    def last_layer(self):
        """W and b of the 1x1 convolution."""
        return self.net.last.W, self.net.last.b

    def biases_of(self, logits):
        """The last b, where all else is zero, of given logits ``(m, grey_levels)``: one for all pixels, of the mean."""
        return np.log(np.exp(logits).mean(axis=0))

    def conditionals(self, n):
        """See `CausalCNN.conditionals`."""
        return self.net.conditionals(n)

    def config(self):
        return {"shape": self.x_shape, "grey_levels": self.grey_levels, "width": len(self.net.conv0.b),
                "depth": self.net.depth, "kind": self.kind, "kernel_size": self.kernel_size,
                "activation": self.net.activation.__name__}


def log_softmax(logits):
    """log q_k = logit_k - log sum_l exp(logit_l) along the last axis; without the largest, so that exp is at most 1.

    >>> log_softmax(np.array([1000.0, 1000.0])).round(4)
    array([-0.6931, -0.6931])
    """
    logits = logits - logits.real.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def draw(logits, noise):
    """Inverse-CDF sampling: the k with F(k - 1) <= noise < F(k), F the cumulated softmax; noise uniform on [0, 1).

    >>> draw(np.log([[0.25, 0.25, 0.5]] * 3), np.array([0.1, 0.3, 0.9]))
    array([0, 1, 2])
    """
    cumulated = np.exp(log_softmax(logits.astype(np.float64))).cumsum(axis=-1)
    return (cumulated[..., :-1] <= noise[..., None]).sum(axis=-1)    # without the last, which rounding may put below 1
