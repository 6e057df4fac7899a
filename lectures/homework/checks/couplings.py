"""Checks of `couplings`: the reference is a composition of two of the library's layers; students get their networks."""
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Variant, Wrong
from nfnumpy.homework.properties import (Call, equals, leaves_inputs_alone, log_det_of_jacobian, rows_apart, shapes,
                                         undoes)
from nfnumpy.nets.made import join_params, split_params

READ = 'slide "RealNVP", the box "Coupling layer"'
SCALE_AND_SHIFT, SECOND_FIRST = 1, 3                             # variants: z = scale x + shift; x_2 conditions first


def cases(rng, variant):
    """Whole numbers first, with mu and log sigma (nearly) of x_1 and -h_2; then an odd m, n = m, and m = 4."""
    for x in ([[1, 2]], [[0, 1], [-1, 1]]):
        yield case(np.array(x, float), flow_of(2, variant), variant, show=True)
    for n, m in ((3, 3), (2, 4)):
        yield case(rng.standard_normal((n, m)), flow_of(m, variant, rng), variant)


def flow_of(m, variant, rng=None):
    """The library's two layers, with random parameters, or with linear networks of whole numbers, for m = 2."""
    swaps = (True, False) if variant == SECOND_FIRST else (False, True)
    flow = nf.Composition([nf.Coupling(m, () if rng is None else (4,), "tanh", swap) for swap in swaps])
    if rng is not None:
        return nf.testing.randomize(flow, rng)
    for layer, sign in zip(flow.flows, (1, -1)):
        layer.net.W0[...], layer.net.b0[...] = sign, [1, 0]
    return flow


def case(x, flow, variant, show=False):
    layers = [Layer(layer, variant) for layer in flow.flows]
    grad_z, grad_log_det = (1 + np.arange(x.size) % 3).reshape(x.shape) - 2.0, 1.0 + np.arange(len(x)) % 2
    (h, _), (z, _) = flow.trajectory(x)
    upper, lower = (layer.flow.partition.split(values)[0] for layer, values in zip(layers, (x, h)))
    by_hand = {"x": x, "output of first": layers[0].network(upper), "output of second": layers[1].network(lower),
               "z": z, "grad_z": grad_z, "grad_log_det": grad_log_det}
    return Case(by_hand if show else None, x=x, z=z, flow=flow, layers=layers, grad_z=grad_z,
                grad_log_det=grad_log_det, networks=[layer.network for layer in layers],
                vjps=[layer.network_vjp for layer in layers])


class Layer:
    """A coupling layer's network as students get it: mu and log sigma, or in variant 1 shift and log scale."""

    def __init__(self, flow, variant):
        self.flow, self.scale_and_shift = flow, variant == SCALE_AND_SHIFT

    def network(self, x):
        return self.network_vjp(x)[0]

    def network_vjp(self, x):
        size = self.flow.partition.n_conditioning
        if np.ndim(x) != 2 or x.shape[1] != size:
            raise ValueError(f"the network takes an array (n, {size}), it was given {np.shape(x)}")
        out, net_vjp = self.flow.net.vjp(x)
        mu, log_sigma = self.flow.transformer.mu_and_log_sigma(split_params(out, 2))

        def pull(grad_mu, grad_log_sigma):
            if self.scale_and_shift:                             # shift = -mu / sigma, log scale = -log sigma
                inv_sigma = np.exp(-log_sigma)
                grad_mu, grad_log_sigma = -grad_mu * inv_sigma, grad_mu * mu * inv_sigma - grad_log_sigma
            slope = 1 - (log_sigma / self.flow.transformer.bound) ** 2   # dlog_sigma/dr of the soft bound
            return net_vjp(join_params(np.stack([grad_mu, grad_log_sigma * slope], axis=-1)))

        return ((-mu * np.exp(-log_sigma), -log_sigma) if self.scale_and_shift else (mu, log_sigma)), pull


def reference(case, variant):
    """The library's composition at the case's parameters; its gradient, layer by layer."""
    def vjp_of(x, *vjps):
        outputs, flow_vjp = case.flow.forward_vjp(x)

        def vjp(grad_z, grad_log_det):
            grad_x, grad_theta = flow_vjp(grad_z, grad_log_det)
            return (grad_x, *case.flow.parts(grad_theta).values())
        return outputs, vjp

    return SimpleNamespace(couplings_forward=lambda x, *networks: case.flow.forward(x),
                           couplings_inverse=lambda z, *networks: case.flow.inverse(z), couplings_vjp=vjp_of)


SHOWN = ["output of first", "output of second"]
FORWARD = Call(lambda answers, case, x: answers.couplings_forward(x, *case.networks), ["z", "log_det"],
               shows=["x", *SHOWN])
INVERSE = Call(lambda answers, case, z: answers.couplings_inverse(z, *case.networks), ["x", "log_det"], argument="z",
               shows=["z", *SHOWN])
VALUES = Call(lambda answers, case, x: answers.couplings_vjp(x, *case.vjps)[0], ["z", "log_det"], shows=["x", *SHOWN])


def gradients(weight_z, weight_log_det):
    """The vjp at the case's gradients, or with one of them zero: along one path only."""
    def call(answers, case, x):
        _, vjp = answers.couplings_vjp(x, *case.vjps)
        return vjp(weight_z * case.grad_z[:len(x)], weight_log_det * case.grad_log_det[:len(x)])
    return Call(call, ["grad_x", "grad_first", "grad_second"], shows=[
        "x", *SHOWN, *["grad_z"] * weight_z, *["grad_log_det"] * weight_log_det])


def suspects_of_z(case, expected):
    (h, _), _ = case.flow.trajectory(case.x)
    second = case.layers[1].flow
    h1, h2 = second.partition.split(h)
    out = [(h, "One of the two parts has not moved: which layer moves it?"),
           (second.partition.join(expected["z"][:, :h2.shape[1]], expected["z"][:, h2.shape[1]:]),
            "The numbers are right, their places are not: where do z_1 and z_2 go?")]
    x1 = second.partition.split(case.x)[0]
    mu, log_sigma = second.transformer.mu_and_log_sigma(split_params(second.net.vjp(x1)[0], 2))
    stale = second.partition.join(h1, (h2 - mu) * np.exp(-log_sigma))
    return [*out, (stale, "What does the second network see: x_2, or what the first layer has made of it?")]


def suspects_of_log_det(case, expected):
    steps = [log_det for _, log_det in case.flow.trajectory(case.x)]
    return [(steps[0], "There are two layers: does each of them count?"),
            (steps[1], "There are two layers: does each of them count?")]


def suspects_of_x(case, expected):
    first, second = case.flow.flows
    in_order = second.inverse(first.inverse(case.z)[0])[0]
    return [(in_order, "Which of the two layers is undone first?")]


def suspects_of_grad_first(case, expected):
    return [(expected["grad_first"] / len(case.x), "Off by the number of samples: is it a sum over rows, or a mean?")]


ANSWER = '''
import numpy as np


def couplings_split(x):
    d = x.shape[1] // 2
    return x[:, :d], x[:, d:]


def couplings_join(x_1, x_2):
    return np.concatenate([x_1, x_2], axis=1)


def couplings_affine(x, params):
    mu, log_sigma = params
    return (x - mu) * np.exp(-log_sigma), -log_sigma.sum(axis=1)


def couplings_affine_inverse(z, params):
    mu, log_sigma = params
    return np.exp(log_sigma) * z + mu, log_sigma.sum(axis=1)


def couplings_affine_gradients(z, params, grad_z, grad_log_det):
    mu, log_sigma = params
    grad_x = grad_z * np.exp(-log_sigma)
    grad_log_sigma = -grad_z * z - grad_log_det[:, None]
    return grad_x, (-grad_x, grad_log_sigma)


def couplings_forward(x, first, second):
    x_1, x_2 = couplings_split(x)
    z_2, log_det_1 = couplings_affine(x_2, first(x_1))
    z_1, log_det_2 = couplings_affine(x_1, second(z_2))
    return couplings_join(z_1, z_2), log_det_1 + log_det_2


def couplings_inverse(z, first, second):
    z_1, z_2 = couplings_split(z)
    x_1, log_det_2 = couplings_affine_inverse(z_1, second(z_2))
    x_2, log_det_1 = couplings_affine_inverse(z_2, first(x_1))
    return couplings_join(x_1, x_2), log_det_2 + log_det_1


def couplings_vjp(x, first_vjp, second_vjp):
    x_1, x_2 = couplings_split(x)
    params_1, pull_1 = first_vjp(x_1)
    z_2, log_det_1 = couplings_affine(x_2, params_1)
    params_2, pull_2 = second_vjp(z_2)
    z_1, log_det_2 = couplings_affine(x_1, params_2)

    def vjp(grad_z, grad_log_det):
        grad_z_1, grad_z_2 = couplings_split(grad_z)
        grad_x_1, grads = couplings_affine_gradients(z_1, params_2, grad_z_1, grad_log_det)
        through, grad_second = pull_2(*grads)
        grad_h_2 = grad_z_2 + through
        grad_x_2, grads = couplings_affine_gradients(z_2, params_1, grad_h_2, grad_log_det)
        through, grad_first = pull_1(*grads)
        return couplings_join(grad_x_1 + through, grad_x_2), grad_first, grad_second

    return (couplings_join(z_1, z_2), log_det_1 + log_det_2), vjp
'''

ROW_BY_ROW = '''
import numpy as np


def couplings_forward(x, first, second):
    m = x.shape[1]
    z, log_det = [], []
    for row in x:
        z_i, total = row.copy(), 0
        mu, log_sigma = first(row[None, :m // 2])
        for k, j in enumerate(range(m // 2, m)):
            z_i[j] = (z_i[j] - mu[0, k]) / np.exp(log_sigma[0, k])
            total -= log_sigma[0, k]
        mu, log_sigma = second(z_i[None, m // 2:])
        for j in range(m // 2):
            z_i[j] = (z_i[j] - mu[0, j]) / np.exp(log_sigma[0, j])
            total -= log_sigma[0, j]
        z.append(z_i)
        log_det.append(total)
    return z, log_det


def couplings_inverse(z, first, second):
    d = z.shape[1] // 2
    x = np.array(z)
    mu, log_sigma = second(x[:, d:])
    x[:, :d] = x[:, :d] * np.exp(log_sigma) + mu
    mu, log_sigma = first(x[:, :d])
    x[:, d:] = x[:, d:] * np.exp(log_sigma) + mu
    return x, -np.array(couplings_forward(x, first, second)[1])


def couplings_layer(x, net_vjp, d, last_move):
    a, b = (x[:, :d], x[:, d:]) if last_move else (x[:, d:], x[:, :d])
    (mu, log_sigma), pull = net_vjp(a)
    sigma = np.exp(log_sigma)
    out = (b - mu) / sigma

    def vjp(grad, grad_log_det):
        grad_a, grad_b = (grad[:, :d], grad[:, d:]) if last_move else (grad[:, d:], grad[:, :d])
        grad_sigma = -grad_b * (b - mu) / sigma ** 2 - grad_log_det.reshape(-1, 1) / sigma
        through, grad_theta = pull(-grad_b / sigma, grad_sigma * sigma)
        parts = [grad_a + through, grad_b / sigma]
        return np.hstack(parts if last_move else parts[::-1]), grad_theta

    return np.hstack([a, out] if last_move else [out, a]), np.log(1 / sigma).sum(axis=1), vjp


def couplings_vjp(x, first_vjp, second_vjp):
    d = x.shape[1] // 2
    h, log_det_1, vjp_1 = couplings_layer(x, first_vjp, d, True)
    z, log_det_2, vjp_2 = couplings_layer(h, second_vjp, d, False)

    def vjp(grad_z, grad_log_det):
        grad_h, grad_second = vjp_2(grad_z, grad_log_det)
        grad_x, grad_first = vjp_1(grad_h, grad_log_det)
        return grad_x, grad_first, grad_second

    return (z, log_det_1 + log_det_2), vjp
'''

SLOGDET = {"return couplings_join(z_1, z_2), log_det_1 + log_det_2\n\n\ndef couplings_inverse": """
    def f(x):
        x_1, x_2 = couplings_split(x)
        z_2 = couplings_affine(x_2, first(x_1))[0]
        return couplings_join(couplings_affine(x_1, second(z_2))[0], z_2)
    columns = [(f(x + 1e-5 * e) - f(x - 1e-5 * e)) / 2e-5 for e in np.eye(x.shape[1])]
    return f(x), np.linalg.slogdet(np.stack(columns, axis=-1))[1]\n\n\ndef couplings_inverse"""}

Z, X, LOG_DET = (f"{name} has the values that it must have" for name in ("z", "x", "log_det"))
EXERCISE = Exercise(
    title="Two coupling layers", slide="RealNVP", minutes=60,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        "couplings_forward": [
            equals(FORWARD, "z", suspects=suspects_of_z, share=2, read=READ),
            equals(FORWARD, "log_det", suspects=suspects_of_log_det, share=2,
                   read='slide "RealNVP", the box "Jacobian"'),
            shapes(FORWARD),
            log_det_of_jacobian(FORWARD, "z", read='slide "Composition of normalizing flows"'),
            rows_apart(FORWARD),
            leaves_inputs_alone(FORWARD)],
        "couplings_inverse": [
            equals(INVERSE, "x", suspects=suspects_of_x, share=2, read=READ),
            equals(INVERSE, "log_det", share=2,
                   read='slide "Jacobian determinant", the box "Inverse function theorem"'),
            shapes(INVERSE),
            undoes(INVERSE, FORWARD, "x", "the inverse undoes the forward transform", read=READ),
            rows_apart(INVERSE),
            leaves_inputs_alone(INVERSE)],
        "couplings_vjp": [
            equals(gradients(1, 0), "grad_x", "grad_x, of a loss of z alone", share=2, read=READ),
            equals(gradients(0, 1), "grad_x", "grad_x, of a loss of log_det alone",
                   read='slide "RealNVP", the box "Jacobian"'),
            equals(gradients(1, 1), "grad_first", "grad_first, of both", suspects=suspects_of_grad_first, read=READ),
            equals(gradients(1, 1), "grad_second", "grad_second, of both", read=READ),
            shapes(gradients(1, 1)),
            equals(VALUES, "z", "z is still right", alone=False),
            equals(VALUES, "log_det", "log_det is still right", alone=False)]},
    right={"row by row, coordinate by coordinate": ROW_BY_ROW, "log_det by slogdet of the full Jacobian": SLOGDET},
    wrong=[
        Wrong("the second network sees x_2", {"_affine(x_1, second(z_2))": "_affine(x_1, second(x_2))"},
              "couplings_forward", Z, asks="What does the second network see", credit=0.65),
        Wrong("no second layer", {"z_1, log_det_2 = couplings_affine(x_1, second(z_2))": "z_1, log_det_2 = x_1, 0"},
              "couplings_forward", Z, asks="has not moved", credit=0.6),
        Wrong("joined in the wrong order", {"return couplings_join(z_1, z_2)": "return couplings_join(z_2, z_1)"},
              "couplings_forward", Z, asks="their places", credit=0.7),
        Wrong("the larger half first, where m is odd", {"d = x.shape[1] // 2": "d = (x.shape[1] + 1) // 2"},
              "couplings_forward", Z, credit=0.5),
        Wrong("one layer's log_det", {"return couplings_join(z_1, z_2), log_det_1 + log_det_2":
                                      "return couplings_join(z_1, z_2), log_det_2"},
              "couplings_forward", LOG_DET, asks="two layers", credit=0.7),
        Wrong("summed over the batch", {"-log_sigma.sum(axis=1)": "-log_sigma.sum(axis=0)"},
              "couplings_forward", LOG_DET, credit=0.7),
        Wrong("log_det with the other sign", {"-log_sigma.sum(axis=1)": "log_sigma.sum(axis=1)"},
              "couplings_forward", LOG_DET, asks="sign is wrong", credit=0.7),
        Wrong("undone in order", {
            "x_1, log_det_2 = couplings_affine_inverse(z_1, second(z_2))\n    "
            "x_2, log_det_1 = couplings_affine_inverse(z_2, first(x_1))":
            "x_2, log_det_1 = couplings_affine_inverse(z_2, first(z_1))\n    "
            "x_1, log_det_2 = couplings_affine_inverse(z_1, second(x_2))"},
            "couplings_inverse", X, asks="undone first", credit=0.4),
        Wrong("conditioned on z_1", {"(z_2, first(x_1))": "(z_2, first(z_1))"}, "couplings_inverse", X, credit=0.4),
        Wrong("log_det of the other direction", {"return couplings_join(x_1, x_2), log_det_2 + log_det_1":
                                                 "return couplings_join(x_1, x_2), -log_det_2 - log_det_1"},
              "couplings_inverse", LOG_DET, asks="which direction", credit=0.7),
        Wrong("no path through log_det", {" - grad_log_det[:, None]": ""},
              "couplings_vjp", "grad_x, of a loss of log_det alone", asks="zero everywhere", credit=0.6),
        Wrong("h_2 directly only", {"grad_z_2 + through": "grad_z_2"},
              "couplings_vjp", "grad_x, of a loss of z alone", credit=0.5),
        Wrong("x_1 directly only", {"grad_x_1 + through": "grad_x_1"},
              "couplings_vjp", "grad_x, of a loss of z alone", credit=0.6),
        Wrong("sign of grad_mu", {"(-grad_x, grad_log_sigma)": "(grad_x, grad_log_sigma)"},
              "couplings_vjp", "grad_second, of both", credit=0.4),
        Wrong("mean over the batch", {", grad_first, grad_second\n\n": ", grad_first / len(x), grad_second\n\n"},
              "couplings_vjp", "grad_first, of both", asks="number of samples", credit=0.9),
        Wrong("(n,) added to (n, m)", {"grad_log_det[:, None]": "grad_log_det"},
              "couplings_vjp", "grad_x, of a loss of log_det alone", credit=0.6)],
    opposite=[
        Opposite("It keeps to another convention: its log_sigma is minus that of the slide, z_2 = sigma (x_2 - mu).",
                 {"mu, log_sigma = params": "mu, log_sigma = params[0], -params[1]",
                  "(-grad_x, grad_log_sigma)": "(-grad_x, -grad_log_sigma)"}),
        Opposite("It keeps to another convention: it shifts after it scales, z_2 = x_2 / sigma - mu.",
                 {"(x - mu) * np.exp(-log_sigma)": "x * np.exp(-log_sigma) - mu",
                  "np.exp(log_sigma) * z + mu": "np.exp(log_sigma) * (z + mu)",
                  "-grad_z * z - grad_log_det[:, None]": "-grad_z * (z + mu) - grad_log_det[:, None]",
                  "(-grad_x, grad_log_sigma)": "(-grad_z, grad_log_sigma)"}),
        Opposite("It keeps to another convention: its x_1 are the last coordinates, its x_2 the first.",
                 {"d = x.shape[1] // 2\n    return x[:, :d], x[:, d:]":
                  "d = x.shape[1] // 2\n    return x[:, x.shape[1] - d:], x[:, :x.shape[1] - d]",
                  "concatenate([x_1, x_2]": "concatenate([x_2, x_1]"})],
    variants={
        SCALE_AND_SHIFT: Variant(
            {"mu, log_sigma = first(x_1)            takes": "shift, log_scale = first(x_1)         takes",
             "mu, log_sigma = second(h_2)           takes": "shift, log_scale = second(h_2)        takes",
             "h_2 = (x_2 - mu(x_1)) / sigma(x_1)": "h_2 = scale(x_1) x_2 + shift(x_1)",
             "z_1 = (h_1 - mu(h_2)) / sigma(h_2)  ": "z_1 = scale(h_2) h_1 + shift(h_2)   ",
             "mu and sigma = exp(log_sigma)": "shift and scale = exp(log_scale)",
             "Each layer has the inverse of the slide, sigma times what it is given, plus mu.":
             "Each layer's inverse takes the shift off, and then the scale.",
             "(mu, log_sigma), pull": "(shift, log_scale), pull",
             "pull(grad_mu, grad_log_sigma)  ": "pull(grad_shift, grad_log_scale)"},
            {"(x - mu) * np.exp(-log_sigma), -log": "x * np.exp(log_sigma) + mu, log",
             "np.exp(log_sigma) * z + mu, log": "(z - mu) * np.exp(-log_sigma), -log",
             "grad_z * np.exp(-log_sigma)": "grad_z * np.exp(log_sigma)",
             "-grad_z * z - grad_log_det[:, None]": "grad_z * (z - mu) + grad_log_det[:, None]",
             "(-grad_x, grad_log_sigma)": "(grad_z, grad_log_sigma)"}),
        SECOND_FIRST: Variant(
            {"moves x_2 as x_1 tells it": "moves x_1 as x_2 tells it",
             "what x_2 has become tells x_1": "what x_1 has become tells x_2",
             "first(x_1)            takes (n, d), gives two arrays (n, m - d)":
             "first(x_2)            takes (n, m - d), gives two arrays (n, d)",
             "second(h_2)           takes (n, m - d), gives two arrays (n, d)":
             "second(h_1)           takes (n, d), gives two arrays (n, m - d)",
             "def first(x_1):\n        return np.sin(x_1), np.tanh(x_1)":
             "def first(x_2):\n        return np.sin(x_2), np.tanh(x_2)",
             "h_1 = x_1                                        h_2 = (x_2 - mu(x_1)) / sigma(x_1)":
             "h_2 = x_2                                        h_1 = (x_1 - mu(x_2)) / sigma(x_2)",
             "z_1 = (h_1 - mu(h_2)) / sigma(h_2)               z_2 = h_2":
             "z_2 = (h_2 - mu(h_1)) / sigma(h_1)               z_1 = h_1",
             "first_vjp(x_1)": "first_vjp(x_2)", "grad_x_1, grad_theta": "grad_x_2, grad_theta",
             "(n, d) and (n_params,)": "(n, m - d) and (n_params,)"},
            {"return x[:, :d], x[:, d:]": "return x[:, d:], x[:, :d]",
             "concatenate([x_1, x_2]": "concatenate([x_2, x_1]"})})
