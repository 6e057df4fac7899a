"""The reverse KL divergence of a flow and a target, estimated from samples of the flow, and its gradient.

Lecture 2, slide "Recap of previous lecture", the box "Reverse KL". About 40 minutes.

The model is a flow with a standard normal base density p(z), z (n, m). Its sampling direction x = g(z) comes with its
vjp (vector-Jacobian product), as a function:

    (x, log_det), vjp = inverse_vjp(z)                  x (n, m); log_det (n,), in nats, log abs det of g's Jacobian
    grad_z, grad_theta = vjp(grad_x, grad_log_det)      (n, m) and (n_params,)

where grad_x (n, m) and grad_log_det (n,) are the gradients of a scalar loss with respect to x and log_det, and what
comes back are those with respect to z and to the flow's parameters theta. The target pi is known by two functions:

    log_pi(x), (n,), in nats          score(x), (n, m), its gradient with respect to x

Try your function with a flow of your own, such as x = exp(theta) z:

    def inverse_vjp(z):
        def vjp(grad_x, grad_log_det):
            return grad_x * np.exp(theta), (grad_x * x).sum(axis=0) + grad_log_det.sum()
        x = np.exp(theta) * z
        return (x, np.full(len(z), theta.sum())), vjp
"""
import numpy as np


def reverse_kl_estimate(z, inverse_vjp, log_pi, score):
    """A Monte-Carlo estimate of KL(p, pi), in nats, and its gradient.

        KL(p, pi) = integral of p(x) log (p(x) / pi(x)) dx,      x = g(z)

    Takes z (n, m), draws of the base density, which are all of the noise there is; inverse_vjp; log_pi; and score.
    Returns the estimate, one number, a mean over the n samples, and its derivative with respect to theta, (n_params,),
    at these z.
    """
    raise NotImplementedError
