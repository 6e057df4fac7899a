"""The maximum-likelihood loss of a flow, and its gradient.

Lecture 2, slide "Fitting normalizing flows". About 30 minutes.

The flow comes with its vjp (vector-Jacobian product), as a function:

    (z, log_det), vjp = flow_vjp(x)                     z = f(x), (n, m); log_det (n,), in nats
    grad_x, grad_theta = vjp(grad_z, grad_log_det)      (n, m) and (n_params,)

where grad_z (n, m) and grad_log_det (n,) are the gradients of a scalar loss with respect to z and log_det, and what
comes back are those with respect to x and to the flow's parameters theta. The base density is standard normal.

Try your function with a flow of your own, such as z = exp(theta) x:

    def flow_vjp(x):
        def vjp(grad_z, grad_log_det):
            return grad_z * np.exp(theta), (grad_z * z).sum(axis=0) + grad_log_det.sum()
        z = np.exp(theta) * x
        return (z, np.full(len(x), theta.sum())), vjp
"""
import numpy as np


def negative_log_likelihood_loss(x, flow_vjp):
    """The negative log-likelihood, a mean over samples, in nats, and its gradient.

        loss = -(1/n) sum_i log p(x_i),      log p(x) = log p(f(x)) + log abs det J_f

    Takes x (n, m) and flow_vjp. Returns loss, one number, and d loss / d theta, (n_params,).
    """
    raise NotImplementedError
