"""Losses and divergences between a model and its data, in nats, each with its gradient with respect to theta."""
import numpy as np

from nfnumpy.arrays import as_count, as_rng


def negative_log_likelihood(model, x):
    """The maximum-likelihood loss and its gradient.

    ::

        loss = -(1/n) sum_i log p(x_i | theta),      gradient = d loss / d theta

    It is a Monte-Carlo estimate of the forward KL(pi, p) up to the entropy of pi, which does not depend on theta.

    Parameters
    ----------
    model : NormalizingFlow, or anything with `log_prob_vjp`
    x : array ``(n, *x_shape)``, n at least 1

    Returns
    -------
    loss : float
        In nats.
    gradient : array ``(n_params,)``

    Raises
    ------
    ValueError
        For an empty batch, or x that the model refuses.

    References
    ----------
    Lecture 2, "Fitting normalizing flows", and the recap's "Maximum likelihood estimation".

    Examples
    --------
    >>> import nfnumpy as nf
    >>> loss, gradient = nf.negative_log_likelihood(nf.maf(dim=2, rng=0), np.zeros((5, 2)))
    >>> round(loss, 4), gradient.shape == nf.maf(dim=2, rng=0).theta.shape            # log(2 pi) nats
    (1.8379, True)
    """
    log_p, vjp = model.log_prob_vjp(x)
    n = len(log_p)
    if n == 0:
        raise ValueError("x: expected at least one row, got an empty batch")
    _, gradient = vjp(np.full(n, -1 / n, log_p.dtype))           # d loss / d log p(x_i) = -1/n
    return -float(log_p.mean()), gradient


def forward_kl(model, x, target):
    """A Monte-Carlo estimate of KL(pi, p) from data x drawn from the target pi, and its gradient.

    ::

        KL(pi, p) = E_pi [log pi(x) - log p(x | theta)]
        value = (1/n) sum_i log pi(x_i) - log p(x_i | theta),      gradient = that of the negative log-likelihood

    pi does not depend on theta: maximising the likelihood and minimising this estimate are the same, bit for bit.

    Parameters
    ----------
    model : NormalizingFlow, or anything with `log_prob_vjp`
    x : array ``(n, *x_shape)``
        Samples of the target.
    target : density
        With `log_prob`, in nats; if it is not normalised, the value is off by its log Z.

    Returns
    -------
    value : float
        In nats. An estimate: it can be negative, the divergence cannot.
    gradient : array ``(n_params,)``

    Raises
    ------
    ValueError
        For an empty batch, or x that model or target refuse.

    References
    ----------
    Lecture 2, recap "Forward KL" and "Maximum likelihood estimation".

    Examples
    --------
    >>> import nfnumpy as nf
    >>> target = nf.StandardNormal(2)
    >>> forward_kl(nf.maf(dim=2, rng=0), target.sample(5, rng=0), target)[0]          # a new flow is the identity
    0.0
    """
    loss, gradient = negative_log_likelihood(model, x)
    return float(np.mean(target.log_prob(x), dtype=np.float64)) + loss, gradient


def reverse_kl(model, target, n, rng):
    """A Monte-Carlo estimate of KL(p, pi) from n samples of the model, and its gradient.

    ::

        KL(p, pi) = E_p [log p(x | theta) - log pi(x)],            x = g(z),  z from the base density
        log p(g(z)) = log p(z) - log abs det J_g(z)
        value = (1/n) sum_i log p(z_i) - log abs det J_g(z_i) - log pi(g(z_i))

    The noise z does not depend on theta, and so neither does log p(z): the gradient runs through x, whose pull is
    ``-score(x) / n`` with score = d log pi / dx, and through the log-determinant, whose pull is -1/n.

    Parameters
    ----------
    model : NormalizingFlow
    target : density
        With `log_prob`, in nats, and `score`. If it is not normalised, the value is KL(p, pi) - log Z; the gradient is
        the same.
    n : int
        Number of samples, at least 1.
    rng : Generator, or an int
        Without a default: in a loop, pass one Generator, so that every step draws fresh noise; a seed repeats one
        batch.

    Returns
    -------
    value : float
        In nats.
    gradient : array ``(n_params,)``

    Raises
    ------
    ValueError
        For n below 1 or something else than an rng.

    References
    ----------
    Lecture 2, recap "Reverse KL". Rezende, Mohamed: Variational Inference with Normalizing Flows, 2015.

    Examples
    --------
    >>> import nfnumpy as nf
    >>> value, gradient = reverse_kl(nf.iaf(dim=2, rng=0), nf.StandardNormal(2), n=100, rng=np.random.default_rng(0))
    >>> value, gradient.shape == nf.iaf(dim=2, rng=0).theta.shape                     # a new flow is the identity
    (0.0, True)
    """
    n = as_count(n, "n", minimum=1)
    z = model.base.sample(n, as_rng(rng)).astype(model.theta.dtype, copy=False)
    (x, log_det), vjp = model.flow.inverse_vjp(z)
    value = model.base.log_prob(z) - log_det - target.log_prob(x)
    grad_x = -np.asarray(target.score(x), x.dtype) / n           # a target of float64 must not promote the gradient
    _, gradient = vjp(grad_x, np.full(n, -1 / n, log_det.dtype))     # d value / dx, d value / d log_det
    return float(np.mean(value, dtype=np.float64)), gradient
