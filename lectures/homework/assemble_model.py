"""A flow and a base density make a model: log p(x), and samples.

Lecture 2, slides "Fitting normalizing flows" and "Normalizing flows (NF)". About 15 minutes.

The flow is given, as an object with two functions:

    z, log_det = flow.forward(x)        x (n, m) to z (n, m); log_det (n,), in nats, log abs det of the Jacobian at x
    x, log_det = flow.inverse(z)        and back; this log_det is that of the inverse's own Jacobian

The base density is standard normal, p(z) = N(z; 0, I).
"""
import numpy as np


def assemble_model_log_prob(x, flow):
    """log p(x) of each row, in nats.

        log p(x) = log p(f(x)) + log abs det J_f

    Takes x (n, m) and the flow. Returns log p(x), (n,).
    """
    raise NotImplementedError


def assemble_model_sample(noise, flow):
    """Samples of the model.

    Takes noise (n, m), whose entries are independent draws of N(0, 1), and the flow. Returns samples x (n, m), one of
    each row of the noise; all chance is in the noise.
    """
    raise NotImplementedError
