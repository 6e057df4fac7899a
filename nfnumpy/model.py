"""A normalizing flow as a density model."""
import contextlib
import copy
import math
import numbers

import numpy as np

from nfnumpy.arrays import as_batch, as_count, as_number, as_rng
from nfnumpy.composition import Composition
from nfnumpy.describe import as_html, text
from nfnumpy.distributions import StandardNormal
from nfnumpy.flows import Standardize
from nfnumpy.rows import RowsInThreads, worth_it
from nfnumpy.threads import sharing_out
from nfnumpy.workspace import keep_freed_memory

# Multiplications of a matrix product that one thread does in some 20 microseconds. Two are hardly faster, and much slower as
# soon as something else runs on one of their processors: each product waits for the slower of them.
SMALL = 2 ** 20


class NormalizingFlow:
    """A density on data: log p(x | theta) = log p(f(x)) + log abs det J_f(x).

    Parameters
    ----------
    flow : Flow
        z = f(x), theta included.
    base : density, optional
        p(z), with `sample`, `log_prob` and `score`; standard normal by default.
    info : dict, optional
        Plain values that travel with a saved model: column names, where the data came from.

    References
    ----------
    Lecture 2, "Fitting normalizing flows" and "Normalizing flows (NF)".

    Examples
    --------
    >>> import nfnumpy as nf
    >>> model = nf.NormalizingFlow(nf.Standardize(mean=[1.0], scale=[2.0]))
    >>> model.log_prob([[1.0]])                                  # log N(1; 1, 2^2)
    array([-1.61208571])
    >>> print(model)                                             # the same as a table in a notebook
    NormalizingFlow, base density StandardNormal(shape=(1,))
    layer        x -> z  parameters  Jacobian  passes of f  passes of g
    -------------------------------------------------------------------
    Standardize  1 -> 1           0  diagonal            0            0
    """

    def __init__(self, flow, base=None, info=None):
        self.flow = flow
        self.base = StandardNormal(flow.z_shape) if base is None else base
        if tuple(self.base.shape) != flow.z_shape:
            raise ValueError(f"base: expected a density on samples of shape {flow.z_shape}, got "
                             f"{tuple(self.base.shape)}")
        self.info = dict(info or {})
        keep_freed_memory()

    @property
    def theta(self):
        """The flow's parameters, ``(n_params,)``: writing into it changes the model, assigning copies in place."""
        return self.flow.theta

    @theta.setter
    def theta(self, values):
        self.flow.theta = values

    @property
    def x_shape(self):
        """Shape of one sample."""
        return self.flow.x_shape

    def log_prob(self, x):
        """log p(x | theta) of each row, ``(n,)``, in nats; x ``(n, *x_shape)``, real and finite, or a ValueError."""
        x = self._as_data(x)
        with self._in_threads(len(x)) as flow:
            z, log_det = flow.forward(x)
        return self.base.log_prob(z) + log_det

    def log_prob_vjp(self, x):
        """``log_p, vjp`` with ``vjp(grad_log_p, out=None) -> grad_x, grad_theta``."""
        x = self._as_data(x)
        with self._in_threads(len(x)) as flow:
            (z, log_det), flow_vjp = flow.forward_vjp(x)
        log_p = self.base.log_prob(z) + log_det                  # log p(z) + log abs det J_f

        def vjp(grad_log_p, out=None):
            grad_log_p = np.broadcast_to(np.asarray(grad_log_p, log_p.dtype), log_p.shape)
            grad_z = (self.base.score(z).T * grad_log_p).T       # d log p(z) / dz = score(z)
            with self._in_threads(len(x)):
                return flow_vjp(grad_z, grad_log_p, out)         # d log p / d log_det = 1

        return log_p, vjp

    def sample(self, n, rng=None, temperature=1.0):
        """n samples x = g(z) with z from the base density, scaled by `temperature`: ``(n, *x_shape)``.

        Raises ValueError for n that is no whole number from 0 up, or a temperature that is negative or not finite, and
        TypeError for one that is no number.
        """
        if not isinstance(temperature, numbers.Real):
            raise TypeError(f"temperature: expected a number, got {temperature!r}")
        temperature = as_number(temperature, "temperature")
        n = as_count(n, "n")
        z = self.base.sample(n, as_rng(rng)).astype(self.flow.dtype, copy=False)
        with self._in_threads(n, direction=1) as flow:
            return flow.inverse(z * temperature)[0]

    def given(self, c):
        """The model p(x | c) of a batch of contexts: the same theta, row i of x belonging to row i of c ``(n, k)``.

        A c of one row serves any number of rows. ValueError for another shape, and for a model that takes no context.

        >>> import nfnumpy as nf
        >>> model = nf.maf(dim=2, context=3, rng=0)                  # p(x | c) with c one of three classes, say
        >>> model.given(nf.one_hot([0, 2], 3)).log_prob([[1.0, 2.0], [3.0, 4.0]]).shape
        (2,)
        >>> model.given(nf.one_hot([2], 3)).sample(5, rng=0).shape   # five samples of the class 2
        (5, 2)
        """
        flow = self.flow.given(c)
        if flow is self.flow:
            raise ValueError("c: expected no context, since the model takes none; build it with context=k")
        other = object.__new__(type(self))
        other.__dict__.update({**self.__dict__, "flow": flow})
        return other

    def initialize(self, x):
        """Data-dependent initialisation on a batch of training rows; `fit` calls it before the first step."""
        self.flow.initialize(self._as_data(x))

    def prepare(self, x, rng):
        """What training rows need before `log_prob`: nothing here; noise, where they are whole grey values."""
        return x

    def standardized(self, x):
        """This flow behind a `Standardize` that fits the rows of x: the model in the units of x. The flow moves there.

        >>> import nfnumpy as nf
        >>> nf.maf(dim=2, rng=0).standardized(np.array([[0.0, 1.0], [2.0, 5.0]])).flow.flows[0]
        Standardize(mean=array([1., 3.]), scale=array([1., 2.]))
        """
        return NormalizingFlow(Composition([Standardize.of(x), self.flow]), self.base, self.info)

    def astype(self, dtype):
        """A copy of the model with another dtype."""
        other = copy.deepcopy(self)
        other.flow = self.flow.astype(dtype)
        return other

    def __copy__(self):
        return copy.deepcopy(self)                               # a shallow copy would share theta

    def config(self):
        """Keyword arguments that rebuild the model up to `theta`."""
        return {"flow": self.flow, "base": self.base}

    @contextlib.contextmanager
    def _in_threads(self, n, direction=0):
        """The flow to call for n rows in a direction: 0, its forward, or 1, its inverse. Inside, threads are for parts of the
        flow that share out their work, if it has some; for nothing, if products are small; for rows, if there are many;
        else for products.
        """
        flow = self.flow
        if getattr(flow, "shares_out", False) or n * getattr(flow, "largest", math.inf) <= SMALL:
            with sharing_out():
                yield flow
        elif worth_it(flow, n, direction):
            with sharing_out():
                yield RowsInThreads(flow)
        else:
            yield flow

    def _as_data(self, x):
        return as_batch(x, self.flow.x_shape, self.flow.dtype, finite=True, real=True)

    def __repr__(self):
        return f"NormalizingFlow({self.flow!r}, {self.base!r})"

    def __str__(self):
        return text(self)

    def _repr_html_(self):
        return as_html(self)
