"""A large batch in threads: some of its rows each, through the whole flow.

BLAS has its threads for products, one at a time; what NumPy does in between has a single one, and each product waits for the
slower thread. Rows do not see each other, so that a thread can take some of them from one end of the flow to the other.
This is for large batches: NumPy's calls take turns in the interpreter, and small ones would wait for each other.
"""
import numpy as np

from nfnumpy.threads import share_out, usual_threads

PART = 2 ** 16      # numbers at least, rows times units of the widest layer, that a thread has


def worth_it(flow, n, direction):
    """Whether n rows are enough to deal them out, in a direction: 0, forward, or 1, inverse.

    Not in the slower of the two directions, whose steps are many and small, nor for flows of `whole_batches`.
    """
    threads = usual_threads()
    return (threads > 1 and n * getattr(flow, "widest", 0) >= threads * PART and not flow.whole_batches
            and flow.passes[direction] == min(flow.passes))


class RowsInThreads:
    """`forward`, `inverse` and `forward_vjp` of `flow`, with rows dealt out to the threads: the same up to rounding.

    What the flow refuses it refuses here too, in the same words: after an error it is asked again, with the whole batch.

    Parameters
    ----------
    flow : Flow
        Of rows that do not see each other, and belong to no rows of something else: not one of `whole_batches`.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> (z, log_det), vjp = RowsInThreads(nf.Permutation([1, 0])).forward_vjp(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> z
    array([[2., 1.],
           [4., 3.]])
    """

    def __init__(self, flow):
        self.flow = flow

    def forward(self, x):
        """``z, log_det``."""
        try:
            return joined(in_threads(self.flow.forward, cut(x, usual_threads())))
        except Exception:
            return self.flow.forward(x)

    def inverse(self, z):
        """``x, log_det``."""
        try:
            return joined(in_threads(self.flow.inverse, cut(z, usual_threads())))
        except Exception:
            return self.flow.inverse(z)

    def forward_vjp(self, x):
        """``(z, log_det), vjp``: each part has a vjp of its own, and a gradient of theta, which is a sum over samples."""
        try:
            outputs, vjps = zip(*in_threads(self.flow.forward_vjp, cut(x, usual_threads())))
        except Exception:
            return self.flow.forward_vjp(x)

        def vjp(grad_z, grad_log_det, out=None):
            grad_log_det = np.broadcast_to(np.asarray(grad_log_det, grad_z.dtype), len(grad_z))
            grads = zip(vjps, cut(grad_z, len(vjps)), cut(grad_log_det, len(vjps)), [out] + [None] * (len(vjps) - 1))
            grad_x, (grad_theta, *others) = zip(*in_threads(lambda part: part[0](*part[1:]), list(grads)))
            for other in others:
                grad_theta += other
            return np.concatenate(grad_x), grad_theta

        return joined(outputs), vjp


def cut(values, count):
    """The rows of an array in `count` parts, or fewer if there are not as many rows: views.

    >>> cut(np.arange(5), 2)
    [array([0, 1, 2]), array([3, 4])]
    """
    return np.array_split(values, max(min(count, len(values)), 1))


def in_threads(call, parts):
    """``[call(part) for part in parts]``, dealt out to the threads.

    >>> in_threads(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    results = {}

    def work(share):
        for k in share:
            results[k] = call(parts[k])

    share_out(work, range(len(parts)))
    return [results[k] for k in range(len(parts))]


def joined(outputs):
    """``[(z, log_det), ...]`` of the parts as ``z, log_det`` of them all."""
    return tuple(np.concatenate(column) for column in zip(*outputs))
