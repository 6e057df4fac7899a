"""The Gaussian autoregressive flow and RealNVP on one screen: density, sampling and gradient, in plain NumPy.

Nothing is imported from the package; tests/test_lectures.py checks that both give the same numbers as it does. Weights are
a list of (W, b), one pair a layer; a network's outputs are first all mu, then all raw log sigma.
"""
import numpy as np

BOUND = 5.0                                            # log sigma = BOUND tanh(raw / BOUND) stays within +-BOUND


def network(h, weights):
    """out = W_K tanh(... tanh(W_1 h + b_1) ...) + b_K, with every h on the way."""
    kept = []
    for k, (W, b) in enumerate(weights):
        kept.append(h)
        h = h @ W.T + b                                # a = W h + b, a row a sample
        h = np.tanh(h) if k < len(weights) - 1 else h
    return h, kept


def network_gradient(grad, kept, weights):
    """Backwards through the network: dL/dh of its input, and dL/dW, dL/db of every layer."""
    grads = []
    for k in reversed(range(len(weights))):
        W, _ = weights[k]
        grads.insert(0, (grad.T @ kept[k], grad.sum(axis=0)))       # dL/dW = sum_i dL/da_i h_i^T,  dL/db = sum_i dL/da_i
        grad = grad @ W                                             # dL/dh = W^T dL/da
        grad = grad * (1 - kept[k] ** 2) if k else grad             # dL/da = (1 - tanh(a)^2) dL/dh, below the first layer
    return grad, grads


def mu_and_log_sigma(out):
    mu, raw = np.split(out, 2, axis=1)
    return mu, BOUND * np.tanh(raw / BOUND)


def log_normal(z):
    return -0.5 * (z ** 2).sum(axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi)


# Both flows move x_j (or x_2) by z = (x - mu) / sigma. For the loss -mean log p, with log p = log N(z) - sum log sigma:
#     dL/dz = z / n,    dL/dx = dL/dz / sigma,    dL/dmu = -dL/dz / sigma,    dL/dlog_sigma = -dL/dz z + 1/n

def affine_gradient(z, log_sigma):
    n = len(z)
    grad_x = z / n * np.exp(-log_sigma)
    grad_raw = (-z * z / n + 1 / n) * (1 - (log_sigma / BOUND) ** 2)                # dlog_sigma/draw
    return grad_x, np.concatenate([-grad_x, grad_raw], axis=1)


# ------------------------------------------------------------------ the Gaussian autoregressive flow: mu_j(x_{1:j-1}) by MADE

def masks(m, widths):
    """Who may see whom: inputs have degrees 1..m, hidden units 1..m-1 spread evenly, x_j's mu and sigma see degrees < j."""
    below, result = np.arange(1, m + 1), []
    for width in widths:
        above = min(1, m - 1) + (2 * np.arange(width) + 1) * max(m - 1, 1) // (2 * width)
        result.append(below <= above[:, None])
        below = above
    return result + [below < np.tile(np.arange(1, m + 1), 2)[:, None]]


def masked(weights):
    m, widths = weights[0][0].shape[1], [len(b) for _, b in weights[:-1]]
    return [(W * mask, b) for (W, b), mask in zip(weights, masks(m, widths))]


def ar_log_prob(x, weights):
    """log p(x) = log N(z) - sum_j log sigma_j with z_j = (x_j - mu_j(x_{1:j-1})) / sigma_j(x_{1:j-1}): one pass."""
    mu, log_sigma = mu_and_log_sigma(network(x, masked(weights))[0])
    return log_normal((x - mu) * np.exp(-log_sigma)) - log_sigma.sum(axis=1)


def ar_sample(z, weights):
    """x_j = sigma_j(x_{1:j-1}) z_j + mu_j(x_{1:j-1}), one coordinate after another: m passes."""
    x = np.zeros_like(z)
    for j in range(z.shape[1]):
        mu, log_sigma = mu_and_log_sigma(network(x, masked(weights))[0])
        x[:, j] = np.exp(log_sigma[:, j]) * z[:, j] + mu[:, j]
    return x


def ar_gradient(x, weights):
    """The gradient of -mean log p(x) with respect to every W and b."""
    out, kept = network(x, masked(weights))
    mu, log_sigma = mu_and_log_sigma(out)
    _, grad_out = affine_gradient((x - mu) * np.exp(-log_sigma), log_sigma)
    _, grads = network_gradient(grad_out, kept, masked(weights))
    return masked(grads)                                                            # masked weights have gradient 0


# ------------------------------------------------------------------ RealNVP's coupling layer: mu(x_1), sigma(x_1)

def coupling_log_prob(x, weights):
    """z_1 = x_1, z_2 = (x_2 - mu(x_1)) / sigma(x_1): one pass."""
    x1, x2 = np.split(x, [x.shape[1] // 2], axis=1)
    mu, log_sigma = mu_and_log_sigma(network(x1, weights)[0])
    return log_normal(np.concatenate([x1, (x2 - mu) * np.exp(-log_sigma)], axis=1)) - log_sigma.sum(axis=1)


def coupling_sample(z, weights):
    """x_1 = z_1, x_2 = sigma(z_1) z_2 + mu(z_1): one pass."""
    z1, z2 = np.split(z, [z.shape[1] // 2], axis=1)
    mu, log_sigma = mu_and_log_sigma(network(z1, weights)[0])
    return np.concatenate([z1, np.exp(log_sigma) * z2 + mu], axis=1)


def coupling_gradient(x, weights):
    """The gradient of -mean log p(x) with respect to every W and b."""
    x1, x2 = np.split(x, [x.shape[1] // 2], axis=1)
    out, kept = network(x1, weights)
    mu, log_sigma = mu_and_log_sigma(out)
    _, grad_out = affine_gradient((x2 - mu) * np.exp(-log_sigma), log_sigma)
    return network_gradient(grad_out, kept, weights)[1]
