"""One flow after another: the composition, and its inverse.

Lecture 2, slides "Composition of normalizing flows" and "Normalizing flows (NF)". About 20 minutes.

The steps are given, as a list of flows, f_1 first. A flow is an object with two functions:

    z, log_det = flow.forward(x)        x (n, m) to z (n, m); log_det (n,), in nats, log abs det of the Jacobian at x
    x, log_det = flow.inverse(z)        and back; this log_det is that of the inverse's own Jacobian

Try your functions with flows of your own, such as

    flow = types.SimpleNamespace(forward=lambda x: (2 * x, np.full(len(x), x.shape[1] * np.log(2))),
                                 inverse=lambda z: (z / 2, np.full(len(z), -z.shape[1] * np.log(2))))
"""
import types

import numpy as np


def composition_forward(x, flows):
    """The normalizing direction, and log abs det of its Jacobian.

        z = f_K o ... o f_1(x),      flows = [f_1, ..., f_K]

    Takes x (n, m) and a list of one flow or more. Returns z (n, m) and log_det (n,), in nats.
    """
    raise NotImplementedError


def composition_inverse(z, flows):
    """The sampling direction, and log abs det of *its* Jacobian.

        x = g_1 o ... o g_K(z),      g_k the inverse of f_k,      flows = [f_1, ..., f_K]

    Takes z (n, m) and the same list. Returns x (n, m) and log_det (n,), in nats.
    """
    raise NotImplementedError
