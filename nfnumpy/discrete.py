"""What autoregressive models of whole grey values share: probabilities, gradients, samples in order, completion."""
import math

import numpy as np

from nfnumpy.arrays import as_batch, as_count, as_rng
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
        >>> import nfnumpy as nf
        >>> model = nf.AutoregressiveMLP(4, grey_levels=3, rng=0)
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
