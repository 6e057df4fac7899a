"""What layers with conditional structure share: a conditioner, a transformer, and perhaps a context c, for p(x | c)."""
import numpy as np

from nfnumpy.arrays import as_batch, as_count
from nfnumpy.flow import Flow
from nfnumpy.flows.named_transformers import as_transformer
from nfnumpy.flows.transformers import Affine
from nfnumpy.parametrized import walk


class ConditionalFlow(Flow):
    """A conditioner times a transformer: the conditioner sees some coordinates, and perhaps a context; the transformer
    moves others.

    With a context c the flow is z = f(x; c), one row of c for each sample. For every c it is one as always, in x::

        log p(x | c, theta) = log p(f(x; c)) + log abs det J_f(x; c),      J_f[a, b] = dz_a / dx_b

    The parameters of every coordinate may depend on all of c, in addition to what they depend on anyway. No value of c
    is transformed, and c has no gradient: it is data.

    Parameters
    ----------
    shape : tuple of int
        Of one sample.
    build_net : function
        ``build_net(k, n_params)`` gives the conditioner, for a context of k values and the transformer's number of
        parameters.
    transformer : str or Transformer, optional
        See `nfnumpy.flows.named_transformers.as_transformer`; affine by default.
    context : int
        k, the number of context values; 0 is a flow without any.
    c : array ``(n, k)`` or ``(1, k)``, optional
        The context that the flow is bound to from the start, see `given`.
    constants, dtype
        See `nfnumpy.parametrized.Parametrized`.

    Raises
    ------
    ValueError
        For an unknown transformer, a context that is no whole number, or c that is not finite or of other columns.

    Notes
    -----
    `given` binds a batch of contexts and returns a flow with the same theta. The row i of every batch that this one
    takes belongs to row i of c; a c of one row serves batches of any length. A flow that is not bound has a c of no
    rows, and refuses samples with a ValueError.

    References
    ----------
    Papamakarios, Nalisnick, Rezende, Mohamed, Lakshminarayanan: Normalizing Flows for Probabilistic Modeling and
    Inference, 2021, sections 3.1 and 5.1.2.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> flow = nf.GaussianAutoregressive(dim=2, context=1, rng=0)
    >>> x = np.ones((3, 2))
    >>> flow.given([[0.0], [0.5], [1.0]]).forward(x)[0].shape, flow.given([[0.5]]).forward(x)[0].shape
    ((3, 2), (3, 2))
    >>> flow.forward(x)
    Traceback (most recent call last):
        ...
    ValueError: c: expected a context for 3 samples, of shape (3, 1) or (1, 1), got none; write given(c)
    """

    transformer = Affine()

    def __init__(self, shape, build_net, transformer=None, context=0, c=None, constants=None, dtype=np.float64):
        if transformer is not None:
            self.transformer = as_transformer(transformer)
        context = as_count(context, "context")
        c = np.zeros((0, context)) if c is None else as_context(c, context, dtype)
        self.whole_batches = context > 0                         # a row belongs to a row of c
        super().__init__(shape, children={"net": build_net(context, self.transformer.n_params)},
                         constants={**(constants or {}), "c": c}, dtype=dtype)

    @property
    def context(self):
        """k, the number of context values."""
        return self.c.shape[1]

    def given(self, c):
        """This flow bound to the rows of c ``(n, k)``, or to one row ``(1, k)`` for all samples: on the same theta."""
        return self.sharing(c=as_context(c, self.context, self.dtype)) if self.context else self

    def beside_context(self, h):
        """What the conditioner sees, [c, h]: values in front of a vector, constant channels in front of an image's."""
        if not self.context:
            return h
        n, k = len(h), self.context
        if len(self.c) not in (1, n):
            came = f"{len(self.c)} rows" if len(self.c) else "none; write given(c)"
            samples = "1 sample" if n == 1 else f"{n} samples"
            raise ValueError(f"c: expected a context for {samples}, of shape ({n}, {k}) or (1, {k}), got {came}")
        c = self.c.reshape(len(self.c), *[1] * (h.ndim - 2), k)
        return np.concatenate([np.broadcast_to(c, (*h.shape[:-1], k)), h], axis=-1, dtype=h.dtype)

    def config(self):
        own = {"transformer": self.transformer} if "transformer" in self.__dict__ else {}
        return {**own, **({"context": self.context, "c": self.c} if self.context else {})}


def as_context(c, context, dtype=np.float64):
    """A copy of c as finite real numbers ``(n, context)``, or a ValueError: the flow stays bound to what c was then."""
    if not context:
        raise ValueError("c: expected none for a flow without a context, got one; build it with context=k")
    if np.ndim(c) == 1 and np.shape(c) != (context,):
        raise ValueError(f"c: expected contexts of shape (n, {context}), got an array of shape {np.shape(c)}; of labels "
                         f"write nf.one_hot(labels, {context})")
    c = as_batch(c, (context,), np.float64, "c", finite=True, real=True)
    with np.errstate(over="ignore"):                             # what float32 cannot hold is refused as infinite
        c = c.astype(np.empty(0, dtype).real.dtype)
    return as_batch(c, (context,), c.dtype, "c", finite=True)


def context_rows(flow):
    """How many rows of contexts the flow's parts are bound to, a set: 0 stands for a part that takes one and has none.

    >>> import nfnumpy as nf
    >>> flow = nf.maf(dim=2, steps=2, context=1, rng=0).flow
    >>> context_rows(flow), context_rows(flow.given([[1.0], [2.0]])), context_rows(nf.Coupling(2))
    ({0}, {2}, set())
    """
    return {len(part.c) for part in walk(flow) if isinstance(part, ConditionalFlow) and part.context}


def one_hot(labels, n_classes):
    """Labels 0 .. K - 1 as contexts: ``(n, K)``, a row of zeros with a one at the label's place.

    Raises ValueError for labels that are not whole numbers from 0 to K - 1.

    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    n_classes, labels = as_count(n_classes, "n_classes", minimum=1), np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels: expected whole numbers of shape (n,), got an array of dtype {labels.dtype} and "
                         f"shape {labels.shape}; np.unique(labels, return_inverse=True)[1] numbers others")
    if labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
        raise ValueError(f"labels: expected whole numbers from 0 to {n_classes - 1}, got {labels.min()} to "
                         f"{labels.max()}")
    return np.eye(n_classes)[labels]
