"""Checks of `gaussian_ar`: the reference is the library's flow; the network that students get is its MADE."""
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Variant, Wrong
from nfnumpy.homework.properties import (Call, equals, leaves_inputs_alone, log_det_of_jacobian, rows_apart, sees_only,
                                         shapes, undoes)

READ = 'slide "Gaussian autoregressive NF", the box "'
REVERSED = 3                                                     # the variant with another order


def cases(rng, variant):
    """Two coordinates and whole numbers first, with mu_2 = x_1 and log sigma_2 near x_1; then drawn ones."""
    for x in ([[1, 2]], [[0, 1], [-1, 1]], [[2, 1], [-1, 0], [1, -2]]):
        yield case(np.array(x, float), flow_of(2, variant, by_hand=True), variant, show=True)
    for n, m in ((1, 3), (3, 1), (4, 4), (12, 5)):
        yield case(rng.standard_normal((n, m)), flow_of(m, variant, rng), variant)


def flow_of(m, variant, rng=None, by_hand=False):
    """The library's flow, with random parameters, or with a linear network of whole numbers, for two coordinates."""
    order = "reversed" if variant == REVERSED else "natural"
    flow = nf.GaussianAutoregressive(m, () if by_hand else (8,), "tanh", order, rng)
    if by_hand:
        flow.net.W0[...], flow.net.b0[...] = 1, [1, 0, 0, 0]     # masked: mu and r of the later one see the earlier one
        return flow
    return nf.testing.randomize(flow, rng)


def case(x, flow, variant, show=False):
    grad_z, grad_log_det = (1 + np.arange(x.size) % 3).reshape(x.shape) - 2.0, 1.0 + np.arange(len(x)) % 2
    def network(x):
        return shown(*flow.conditionals(x), variant)[0]

    by_hand = {"x": x, "network(x)": network(x), "network(x), at the right x": network(x), "z": flow.forward(x)[0],
               "grad_z": grad_z, "grad_log_det": grad_log_det}
    return Case(by_hand if show else None, x=x, z=by_hand["z"], flow=flow, grad_z=grad_z, grad_log_det=grad_log_det,
                network=network, network_vjp=lambda x: network_vjp(flow, x, variant))


def shown(mu, log_sigma, variant):
    """The network's two outputs in the variant's convention, and the map of gradients back to mu and log sigma."""
    if variant == 1:                                             # z = exp(a) x + b: a = -log sigma, b = -mu / sigma
        a, inv_sigma = -log_sigma, np.exp(-log_sigma)
        return (-mu * inv_sigma, a), lambda b, a: (-b * inv_sigma, -a + b * mu * inv_sigma)
    if variant == 2:                                             # log precision = -2 log sigma
        return (mu, -2 * log_sigma), lambda mu, log_precision: (mu, -2 * log_precision)
    if variant == 4:                                             # sigma = log(1 + exp(r)), r = log(exp(sigma) - 1)
        sigma = np.exp(log_sigma)
        r = np.log(np.expm1(sigma))
        return (mu, r), lambda mu, r: (mu, r * sigma / -np.expm1(-sigma))
    return (mu, log_sigma), lambda mu, log_sigma: (mu, log_sigma)


def network_vjp(flow, x, variant):
    params, net_vjp = flow.net.vjp(x)
    mu, log_sigma = flow.transformer.mu_and_log_sigma(params)
    outputs, to_mu_and_log_sigma = shown(mu, log_sigma, variant)

    def pull(*grads):
        grad_mu, grad_log_sigma = to_mu_and_log_sigma(*grads)
        slope = 1 - (log_sigma / flow.transformer.bound) ** 2    # dlog_sigma/dr of the soft bound
        return net_vjp(np.stack([grad_mu, grad_log_sigma * slope], axis=-1))

    return outputs, pull


def reference(case, variant):
    """The library's flow at the case's parameters."""
    return SimpleNamespace(gaussian_ar_forward=lambda x, network: case.flow.forward(x),
                           gaussian_ar_inverse=lambda z, network: case.flow.inverse(z),
                           gaussian_ar_vjp=lambda x, network_vjp: case.flow.forward_vjp(x))


FORWARD = Call(lambda answers, case, x: answers.gaussian_ar_forward(x, case.network), ["z", "log_det"],
               shows=["x", "network(x)"])
INVERSE = Call(lambda answers, case, z: answers.gaussian_ar_inverse(z, case.network), ["x", "log_det"], argument="z",
               shows=["z", "network(x), at the right x"])
VALUES = Call(lambda answers, case, x: answers.gaussian_ar_vjp(x, case.network_vjp)[0], ["z", "log_det"],
              shows=["x", "network(x)"])


def gradients(weight_z, weight_log_det):
    """The vjp at the case's gradients, or with one of them zero: along one path only."""
    def call(answers, case, x):
        _, vjp = answers.gaussian_ar_vjp(x, case.network_vjp)
        return vjp(weight_z * case.grad_z[:len(x)], weight_log_det * case.grad_log_det[:len(x)])
    return Call(call, ["grad_x", "grad_theta"], shows=[
        "x", "network(x)", *["grad_z"] * weight_z, *["grad_log_det"] * weight_log_det])


def lower(case):
    """Output a may move with input b only if b does not come after a in the order."""
    place = np.argsort(case.flow.order)
    return place[None, :] <= place[:, None]


def suspects_of_z(case, expected):
    mu, log_sigma = case.flow.conditionals(case.x)
    return [((case.x - mu) * np.exp(log_sigma), "Larger sigma, larger z: which of the two directions multiplies?"),
            ((case.x - mu) * np.exp(-2 * log_sigma), "Is it the variance or the standard deviation that divides?"),
            ((case.x - mu) / log_sigma, "What does the network give, sigma or its logarithm?"),
            (case.x, "z is x: is anything computed?")]


def suspects_of_x(case, expected):
    mu, log_sigma = case.flow.conditionals(case.z)
    return [(np.exp(log_sigma) * case.z + mu, "The network was shown z: what does it depend on, on the slide?"),
            (case.z, "x is z: is anything computed?")]


def suspects_of_grad_x(case, expected):
    (_, log_sigma), z = case.flow.conditionals(case.x), case.flow.forward(case.x)[0]
    direct = case.grad_z * np.exp(-log_sigma)
    pull = network_vjp(case.flow, case.x, 0)[1]
    through, _ = pull(-direct, -case.grad_z * z - case.grad_log_det[:, None])
    return [(direct, "x reaches z on two ways: which one is missing?"),
            (through, "x reaches z on two ways: which one is missing?")]


def suspects_of_grad_theta(case, expected):
    (_, log_sigma), z = case.flow.conditionals(case.x), case.flow.forward(case.x)[0]
    grad_mu, pull = -case.grad_z * np.exp(-log_sigma), network_vjp(case.flow, case.x, 0)[1]
    minus_mu = pull(-grad_mu, -case.grad_z * z - case.grad_log_det[:, None])[1]
    return [(minus_mu, "The part through mu has the wrong sign: does z grow or shrink with mu?"),
            (expected["grad_theta"] / len(case.x), "Off by the number of samples: is it a sum over rows, or a mean?")]


ANSWER = '''
import numpy as np


def gaussian_ar_forward(x, network):
    mu, log_sigma = network(x)
    z = (x - mu) * np.exp(-log_sigma)
    return z, -log_sigma.sum(axis=1)


def gaussian_ar_inverse(z, network):
    x = np.zeros_like(z)
    for j in range(z.shape[1]):
        mu, log_sigma = network(x)
        x[:, j] = np.exp(log_sigma[:, j]) * z[:, j] + mu[:, j]
    mu, log_sigma = network(x)
    return x, log_sigma.sum(axis=1)


def gaussian_ar_vjp(x, network_vjp):
    (mu, log_sigma), pull = network_vjp(x)
    z = (x - mu) * np.exp(-log_sigma)

    def vjp(grad_z, grad_log_det):
        direct = grad_z * np.exp(-log_sigma)
        grad_log_sigma = -grad_z * z - grad_log_det[:, None]
        through, grad_theta = pull(-direct, grad_log_sigma)
        return direct + through, grad_theta

    return (z, -log_sigma.sum(axis=1)), vjp
'''

ROW_BY_ROW = '''
import numpy


def gaussian_ar_forward(x, network):
    z, log_det = [], []
    for row in x:
        mu, log_sigma = network(row[None])
        z.append([(row[j] - mu[0, j]) / numpy.exp(log_sigma[0, j]) for j in range(len(row))])
        log_det.append(sum(-s for s in log_sigma[0]))
    return z, log_det


def gaussian_ar_inverse(z, network):
    x = 0 * z
    for _ in range(z.shape[1]):
        mu, log_sigma = network(x)
        x = numpy.exp(log_sigma) * z + mu
    return x, [-s for s in gaussian_ar_forward(x, network)[1]]


def gaussian_ar_vjp(x, network_vjp):
    (mu, log_sigma), pull = network_vjp(x)
    sigma = numpy.exp(log_sigma)
    residual = x - mu

    def vjp(grad_z, grad_log_det):
        grad_mu = -grad_z / sigma
        grad_sigma = -grad_z * residual / sigma ** 2 - grad_log_det.reshape(-1, 1) / sigma
        through, grad_theta = pull(grad_mu, grad_sigma * sigma)
        return through - grad_mu, grad_theta

    return (residual / sigma, numpy.log(1 / sigma).sum(axis=-1)), vjp
'''

SLOGDET = {"    return z, -log_sigma.sum(axis=1)": """
    def f(x):
        mu, log_sigma = network(x)
        return (x - mu) / np.exp(log_sigma)
    columns = [(f(x + 1e-5 * e) - f(x - 1e-5 * e)) / 2e-5 for e in np.eye(x.shape[1])]
    return z, np.linalg.slogdet(np.stack(columns, axis=-1))[1]"""}

EXERCISE = Exercise(
    title="Gaussian autoregressive flow", slide="Gaussian autoregressive NF", minutes=60,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        "gaussian_ar_forward": [
            equals(FORWARD, "z", suspects=suspects_of_z, share=2, read=READ + 'Forward transform"'),
            equals(FORWARD, "log_det", share=2, read='slide "Jacobian structure", case 3'),
            shapes(FORWARD),
            log_det_of_jacobian(FORWARD, "z",
                                read='slide "Normalizing flows prerequisites", the box "Jacobian matrix"'),
            sees_only(FORWARD, "z", lower, "z_j moves with x_1 .. x_j only", read=READ + 'Forward transform"'),
            rows_apart(FORWARD),
            leaves_inputs_alone(FORWARD)],
        "gaussian_ar_inverse": [
            equals(INVERSE, "x", suspects=suspects_of_x, share=2, read=READ + 'Inverse transform"'),
            equals(INVERSE, "log_det", share=2,
                   read='slide "Jacobian determinant", the box "Inverse function theorem"'),
            shapes(INVERSE),
            undoes(INVERSE, FORWARD, "x", "the inverse undoes the forward transform", read=READ + 'Inverse transform"'),
            log_det_of_jacobian(INVERSE, "x", read='slide "Jacobian determinant"'),
            rows_apart(INVERSE),
            leaves_inputs_alone(INVERSE)],
        "gaussian_ar_vjp": [
            equals(gradients(1, 0), "grad_x", "grad_x, of a loss of z alone", share=2,
                   read=READ + 'Forward transform"'),
            equals(gradients(0, 1), "grad_x", "grad_x, of a loss of log_det alone",
                   read='slide "Jacobian structure", case 3'),
            equals(gradients(1, 1), "grad_x", "grad_x, of both", suspects=suspects_of_grad_x, read=READ + 'Forward'),
            equals(gradients(1, 0), "grad_theta", "grad_theta, of a loss of z alone", read=READ + 'Forward transform"'),
            equals(gradients(0, 1), "grad_theta", "grad_theta, of a loss of log_det alone",
                   read='slide "Jacobian structure"'),
            equals(gradients(1, 1), "grad_theta", "grad_theta, of both", suspects=suspects_of_grad_theta,
                   read=READ + 'Forward transform"'),
            shapes(gradients(1, 1)),
            equals(VALUES, "z", "z is still right", alone=False),
            equals(VALUES, "log_det", "log_det is still right", alone=False)]},
    right={
        "row by row, with lists, and m Jacobi passes": ROW_BY_ROW,
        "log_det by slogdet of the full Jacobian": SLOGDET,
        "log_sigma of the last pass, which is complete": {
            "    mu, log_sigma = network(x)\n    return x,": "    return x,"}},
    wrong=[
        Wrong("log_det with the other sign", {"return z, -log_sigma": "return z, log_sigma"}, "gaussian_ar_forward",
              "log_det has the values that it must have", asks="sign is wrong", credit=0.7),
        Wrong("sigma squared", {
            "z = (x - mu) * np.exp(-log_sigma)\n    return": "z = (x - mu) * np.exp(-2 * log_sigma)\n    return"},
            "gaussian_ar_forward", "z has the values that it must have", asks="variance", credit=0.65),
        Wrong("no exp", {"z = (x - mu) * np.exp(-log_sigma)\n    return": "z = (x - mu) / log_sigma\n    return"},
              "gaussian_ar_forward", "z has the values that it must have", asks="logarithm", credit=0.6),
        Wrong("log_det summed over the batch", {"return z, -log_sigma.sum(axis=1)": "return z, -log_sigma.sum()"},
              "gaussian_ar_forward", "log_det has the values that it must have", asks="One number", credit=0.7),
        Wrong("overwrites the input", {"    mu, log_sigma = network(x)\n    z = (x - mu) * np.exp(-log_sigma)":
                                       "    mu, log_sigma = network(x)\n    x -= mu\n    z = x * np.exp(-log_sigma)"},
              "gaussian_ar_forward", "the caller's arrays stay as they were", asks="belongs to the caller"),
        Wrong("one pass", {"for j in range(z.shape[1]):\n        mu, log_sigma = network(x)":
                           "mu, log_sigma = network(x)\n    for j in range(z.shape[1]):"},
              "gaussian_ar_inverse", "x has the values that it must have", credit=0.6),
        Wrong("conditioned on z", {"for j in range(z.shape[1]):\n        mu, log_sigma = network(x)":
                                   "for j in range(z.shape[1]):\n        mu, log_sigma = network(z)"},
              "gaussian_ar_inverse", "x has the values that it must have", asks="shown z", credit=0.6),
        Wrong("one step short", {"for j in range(z.shape[1]):": "for j in range(z.shape[1] - 1):"},
              "gaussian_ar_inverse", "x has the values that it must have", credit=0.8),
        Wrong("x is z itself", {"x = np.zeros_like(z)": "x = z"},
              "gaussian_ar_inverse", "the caller's arrays stay as they were", asks="belongs to the caller"),
        Wrong("log_sigma of the first pass", {"    mu, log_sigma = network(x)\n    return x,":
                                              "    mu, log_sigma = network(np.zeros_like(z))\n    return x,"},
              "gaussian_ar_inverse", "log_det has the values that it must have", credit=0.7),
        Wrong("log_det of the other direction", {"return x, log_sigma.sum": "return x, -log_sigma.sum"},
              "gaussian_ar_inverse", "log_det has the values that it must have", asks="which direction", credit=0.7),
        Wrong("no path through log_det", {" - grad_log_det[:, None]": ""},
              "gaussian_ar_vjp", "grad_x, of a loss of log_det alone", asks="zero everywhere", credit=0.7),
        Wrong("x directly only", {"return direct + through": "return direct"},
              "gaussian_ar_vjp", "grad_x, of both", asks="two ways", credit=0.6),
        Wrong("x through the network only", {"return direct + through": "return through"},
              "gaussian_ar_vjp", "grad_x, of both", asks="two ways", credit=0.7),
        Wrong("sign of grad_mu", {"pull(-direct": "pull(direct"},
              "gaussian_ar_vjp", "grad_theta, of both", asks="through mu", credit=0.5),
        Wrong("from x - mu for z", {"-grad_z * z": "-grad_z * (x - mu)"},
              "gaussian_ar_vjp", "grad_theta, of a loss of z alone", credit=0.5),
        Wrong("mean over the batch", {"through, grad_theta\n\n": "through, grad_theta / len(x)\n\n"},
              "gaussian_ar_vjp", "grad_theta, of both", asks="number of samples", credit=0.7),
        Wrong("(n,) added to (n, m)", {"grad_log_det[:, None]": "grad_log_det"},
              "gaussian_ar_vjp", "grad_x, of a loss of log_det alone", credit=0.5)],
    opposite=[Opposite(
        "It keeps to another convention: its log_sigma is minus that of the slide, z = sigma (x - mu).",
        {"x - mu) * np.exp(-log_sigma)": "x - mu) * np.exp(log_sigma)", "return z, -log_sigma": "return z, log_sigma",
         "np.exp(log_sigma[:, j]) * z": "np.exp(-log_sigma[:, j]) * z", "return x, log_sigma": "return x, -log_sigma",
         "direct = grad_z * np.exp(-log_sigma)": "direct = grad_z * np.exp(log_sigma)",
         "-grad_z * z - grad_log_det[:, None]": "grad_z * z + grad_log_det[:, None]",
         "return (z, -log_sigma": "return (z, log_sigma"})],
    variants={
        1: Variant({"mu, log_sigma = network(x)          both": "shift, log_scale = network(x)       both",
                    "z_j = (x_j - mu_j(x_{1:j-1})) / sigma_j(x_{1:j-1}),      sigma = exp(log_sigma)":
                    "z_j = scale_j(x_{1:j-1}) x_j + shift_j(x_{1:j-1}),      scale = exp(log_scale)",
                    "x_j = sigma_j(x_{1:j-1}) z_j + mu_j(x_{1:j-1})":
                    "x_j = (z_j - shift_j(x_{1:j-1})) / scale_j(x_{1:j-1})",
                    "(mu, log_sigma), pull": "(shift, log_scale), pull",
                    "pull(grad_mu, grad_log_sigma) ": "pull(grad_shift, grad_log_scale)"},
                   {"z = (x - mu) * np.exp(-log_sigma)": "z = x * np.exp(log_sigma) + mu",
                    "return z, -log_sigma": "return z, log_sigma", "return x, log_sigma": "return x, -log_sigma",
                    "np.exp(log_sigma[:, j]) * z[:, j] + mu[:, j]": "(z[:, j] - mu[:, j]) / np.exp(log_sigma[:, j])",
                    "direct = grad_z * np.exp(-log_sigma)": "direct = grad_z * np.exp(log_sigma)",
                    "-grad_z * z - grad_log_det": "direct * x + grad_log_det", "pull(-direct": "pull(grad_z",
                    "return (z, -log_sigma": "return (z, log_sigma"}),
        2: Variant({"mu, log_sigma = network(x)          both": "mu, log_precision = network(x)      both",
                    "sigma = exp(log_sigma)": "1 / sigma^2 = exp(log_precision)",
                    "(mu, log_sigma), pull": "(mu, log_precision), pull",
                    "pull(grad_mu, grad_log_sigma) ": "pull(grad_mu, grad_log_precision)"},
                   {"np.exp(-log_sigma)": "np.exp(log_sigma / 2)",
                    "-log_sigma.sum(axis=1)": "log_sigma.sum(axis=1) / 2",
                    "np.exp(log_sigma[:, j])": "np.exp(-log_sigma[:, j] / 2)",
                    "return x, log_sigma.sum(axis=1)": "return x, -log_sigma.sum(axis=1) / 2",
                    "-grad_z * z - grad_log_det[:, None]": "(grad_z * z + grad_log_det[:, None]) / 2"}),
        3: Variant({"column j depends on the columns before j of x": "column j depends on the columns after j of x",
                    "x_{1:j-1}": "x_{j+1:m}",
                    "before = np.concatenate([np.zeros((len(x), 1)), np.cumsum(x, axis=1)[:, :-1]], axis=1)\n"
                    "        return np.sin(before), np.tanh(before)":
                    "after = x.sum(axis=1, keepdims=True) - np.cumsum(x, axis=1)\n"
                    "        return np.sin(after), np.tanh(after)"},
                   {"in range(z.shape[1])": "in reversed(range(z.shape[1]))"}),
        4: Variant({"mu, log_sigma = network(x)          both": "mu, r = network(x)                  both",
                    "sigma = exp(log_sigma)": "sigma = log(1 + exp(r))",
                    "(mu, log_sigma), pull": "(mu, r), pull",
                    "pull(grad_mu, grad_log_sigma) ": "pull(grad_mu, grad_r)         "},
                   {"mu, log_sigma = network(x)": "mu, r = network(x)\n    log_sigma = np.log(np.logaddexp(0, r))",
                    "(mu, log_sigma), pull = network_vjp(x)":
                    "(mu, r), pull = network_vjp(x)\n    log_sigma = np.log(np.logaddexp(0, r))",
                    "        mu, r = network(x)\n    log_sigma": "        mu, r = network(x)\n        log_sigma",
                    "pull(-direct, grad_log_sigma)":
                    "pull(-direct, grad_log_sigma / np.exp(log_sigma) / (1 + np.exp(-r)))"})})
