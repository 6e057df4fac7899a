"""Checks of `conv1x1`: the reference is the library's flow at a given matrix."""
from types import SimpleNamespace

import numpy as np

import nfnumpy as nf
from nfnumpy.homework.exercise import Case, Exercise, Opposite, Variant, Wrong
from nfnumpy.homework.properties import (Call, equals, leaves_inputs_alone, log_det_of_jacobian, rows_apart, shapes,
                                         undoes)

READ = 'slide "Linear normalizing flows", Invertible 1x1 conv'
SAMPLING, CHANNELS_FIRST = 1, 3                                  # variants: x = W z; (n, channels, height, width)


def cases(rng, variant):
    """One pixel and whole numbers first, then 2 by 3 pixels; of hidden ones three channels, and all axes alike."""
    W = np.array([[1.0, 2.0], [3.0, 4.0]])                       # its determinant is -2
    yield case(np.array([1.0, 2.0]).reshape(1, 1, 1, 2), W, variant, show=True)
    yield case(np.arange(12.0).reshape(1, 2, 3, 2) % 5 - 2, W, variant, show=True)
    for shape in ((2, 1, 2, 3), (2, 2, 2, 2), (1, 3, 1, 1)):
        c = shape[-1]
        yield case(rng.standard_normal(shape), 2 * np.eye(c)[::-1] + rng.standard_normal((c, c)) / 4, variant)


def case(x, W, variant, show=False):
    grad_z, grad_log_det = (1 + np.arange(x.size) % 3).reshape(x.shape) - 2.0, 1.0 + np.arange(len(x)) % 2
    flow = nf.Conv1x1(x.shape[1:], linear=nf.Dense(x.shape[-1], W=W))
    if variant == SAMPLING:
        flow = nf.Inverse(flow)
    inputs = {"x": x, "z": flow.forward(x)[0], "grad_z": grad_z}
    inputs = {name: turned(array, variant) for name, array in inputs.items()}
    inputs.update(W=W, grad_log_det=grad_log_det)
    return Case(inputs if show else None, flow=flow, pixels=x.shape[1] * x.shape[2], **inputs)


def turned(images, variant, back=False):
    """(n, height, width, channels) in the variant's order of axes, or back from it."""
    return images if variant != CHANNELS_FIRST else np.moveaxis(images, *((1, -1) if back else (-1, 1)))


def reference(case, variant):
    """The library's flow; its gradient with respect to W is the first part of theta, b stays 0."""
    def pair(outputs):
        return turned(outputs[0], variant), outputs[1]

    def vjp_of(x, W):
        outputs, flow_vjp = case.flow.forward_vjp(turned(x, variant, back=True))

        def vjp(grad_z, grad_log_det):
            grad_x, grad_theta = flow_vjp(turned(grad_z, variant, back=True), grad_log_det)
            return turned(grad_x, variant), grad_theta[:W.size].reshape(W.shape)
        return pair(outputs), vjp

    return SimpleNamespace(conv1x1_forward=lambda x, W: pair(case.flow.forward(turned(x, variant, back=True))),
                           conv1x1_inverse=lambda z, W: pair(case.flow.inverse(turned(z, variant, back=True))),
                           conv1x1_vjp=vjp_of)


FORWARD = Call(lambda answers, case, x: answers.conv1x1_forward(x, case.W), ["z", "log_det"], shows=["x", "W"])
INVERSE = Call(lambda answers, case, z: answers.conv1x1_inverse(z, case.W), ["x", "log_det"], argument="z",
               shows=["z", "W"])
VALUES = Call(lambda answers, case, x: answers.conv1x1_vjp(x, case.W)[0], ["z", "log_det"], shows=["x", "W"])


def gradients(weight_z, weight_log_det):
    """The vjp at the case's gradients, or with one of them zero: along one path only."""
    def call(answers, case, x):
        _, vjp = answers.conv1x1_vjp(x, case.W)
        return vjp(weight_z * case.grad_z[:len(x)], weight_log_det * case.grad_log_det[:len(x)])
    return Call(call, ["grad_x", "grad_W"], shows=[
        "x", "W", *["grad_z"] * weight_z, *["grad_log_det"] * weight_log_det])


def suspects_of_log_det(case, expected):
    log_det, (c, pixels) = expected["log_det"], (len(case.W), case.pixels)
    return [(log_det / pixels, "Right for images of one pixel, wrong for larger ones: what did you not count?"),
            (log_det * c, "Off by the number of channels: what was counted twice?"),
            (log_det * c / pixels, "Does every channel count, or every pixel?"),
            (np.exp(log_det / pixels), "Is it the determinant, or its logarithm?"),
            (np.full_like(log_det, log_det.sum()), "Every row has the sum over the batch: what belongs to one sample?")]


def suspects_of_grad_W(case, expected):
    grad_W = expected["grad_W"]
    return [(grad_W / case.pixels, "Right for images of one pixel, wrong for larger ones: what did you not count?"),
            (grad_W.T, "Turned round: which index of W belongs to z, and which to x?"),
            (grad_W / case.grad_log_det.sum(), "Each image has a log_det, and a gradient for it: where are they?"),
            (grad_W / len(case.x), "Off by the number of samples: is it a sum over images, or a mean?")]


ANSWER = '''
import numpy as np


def conv1x1_log_det(x, W):
    n, height, width, channels = x.shape
    return np.full(n, height * width * np.linalg.slogdet(W)[1])


def conv1x1_forward(x, W):
    return x @ W.T, conv1x1_log_det(x, W)


def conv1x1_inverse(z, W):
    return z @ np.linalg.inv(W).T, -conv1x1_log_det(z, W)


def conv1x1_vjp(x, W):
    n, height, width, channels = x.shape

    def vjp(grad_z, grad_log_det):
        grad_W = grad_z.reshape(-1, channels).T @ x.reshape(-1, channels)
        grad_W = grad_W + height * width * grad_log_det.sum() * np.linalg.inv(W).T
        return grad_z @ W, grad_W

    return conv1x1_forward(x, W), vjp
'''

BY_PIXELS = '''
import numpy as np


def conv1x1_forward(x, W):
    z, log_det = np.empty(x.shape), np.zeros(len(x))
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                z[k, i, j] = W @ x[k, i, j]
                log_det[k] += np.log(abs(np.linalg.det(W)))
    return z, log_det


def conv1x1_inverse(z, W):
    x, log_det = conv1x1_forward(z, np.linalg.inv(W))
    return x.tolist(), log_det.tolist()


def conv1x1_vjp(x, W):
    def vjp(grad_z, grad_log_det):
        grad_x, grad_W = np.empty(x.shape), np.zeros(W.shape)
        for k, i, j in np.ndindex(x.shape[:3]):
            grad_x[k, i, j] = W.T @ grad_z[k, i, j]
            grad_W += np.outer(grad_z[k, i, j], x[k, i, j]) + grad_log_det[k] * np.linalg.inv(W.T)
        return grad_x, grad_W

    return conv1x1_forward(x, W), vjp
'''

EINSUM = {
    "return x @ W.T, conv1x1_log_det(x, W)":
    "m = x[0].size\n    J = np.kron(np.eye(m // len(W)), W)\n"
    "    return np.einsum('ab,nijb->nija', W, x), np.full(len(x), np.linalg.slogdet(J)[1])",
    "return z @ np.linalg.inv(W).T": "return np.linalg.solve(W, z.reshape(-1, len(W)).T).T.reshape(z.shape)",
    "grad_z.reshape(-1, channels).T @ x.reshape(-1, channels)": "np.einsum('nija,nijb->ab', grad_z, x)"}

Z, X, LOG_DET = (f"{name} has the values that it must have" for name in ("z", "x", "log_det"))
OF_Z, OF_LOG_DET = "grad_W, of a loss of z alone", "grad_W, of a loss of log_det alone"
SLOGDET = "height * width * np.linalg.slogdet(W)[1]"
EXERCISE = Exercise(
    title="1x1 convolution", slide="Linear normalizing flows", minutes=35,
    cases=cases, reference=reference, answer=ANSWER,
    parts={
        "conv1x1_forward": [
            equals(FORWARD, "z", share=2, read=READ),
            equals(FORWARD, "log_det", suspects=suspects_of_log_det, share=2, read=READ),
            shapes(FORWARD),
            log_det_of_jacobian(FORWARD, "z", read='slide "Jacobian structure"'),
            rows_apart(FORWARD),
            leaves_inputs_alone(FORWARD)],
        "conv1x1_inverse": [
            equals(INVERSE, "x", share=2, read=READ),
            equals(INVERSE, "log_det", suspects=suspects_of_log_det, share=2,
                   read='slide "Jacobian determinant", the box "Inverse function theorem"'),
            shapes(INVERSE),
            undoes(INVERSE, FORWARD, "x", "the inverse undoes the convolution", read=READ),
            rows_apart(INVERSE),
            leaves_inputs_alone(INVERSE)],
        "conv1x1_vjp": [
            equals(gradients(1, 0), "grad_x", "grad_x, of a loss of z alone", read=READ),
            equals(gradients(1, 0), "grad_W", OF_Z, suspects=suspects_of_grad_W, share=2, read=READ),
            equals(gradients(0, 1), "grad_W", OF_LOG_DET, suspects=suspects_of_grad_W, share=2, read=READ),
            equals(gradients(1, 1), "grad_x", "log_det adds nothing to grad_x", alone=False, read=READ),
            shapes(gradients(1, 1)),
            equals(VALUES, "z", "z is still right", alone=False),
            equals(VALUES, "log_det", "log_det is still right", alone=False)]},
    right={"pixel by pixel": BY_PIXELS, "einsum, solve, and slogdet of the full Jacobian": EINSUM},
    wrong=[
        Wrong("no height * width", {SLOGDET: "np.linalg.slogdet(W)[1]"}, "conv1x1_forward", LOG_DET,
              asks="what did you not count", credit=0.7),
        Wrong("times the channels as well", {SLOGDET: f"channels * {SLOGDET}"}, "conv1x1_forward", LOG_DET,
              asks="number of channels", credit=0.7),
        Wrong("channels for pixels", {SLOGDET: "channels * np.linalg.slogdet(W)[1]"}, "conv1x1_forward", LOG_DET,
              credit=0.7),
        Wrong("a scalar", {f"np.full(n, {SLOGDET})": SLOGDET}, "conv1x1_forward", LOG_DET, asks="One number",
              credit=0.7),
        Wrong("no abs", {"np.linalg.slogdet(W)[1]": "np.log(np.linalg.det(W))"}, "conv1x1_forward", LOG_DET,
              asks="not finite", credit=0.7),
        Wrong("the determinant itself", {SLOGDET: "abs(np.linalg.det(W))"}, "conv1x1_forward", LOG_DET,
              asks="its logarithm", credit=0.7),
        Wrong("summed over the batch", {SLOGDET: f"n * {SLOGDET}"}, "conv1x1_forward", "a row does not see other rows",
              asks="sum or a mean", credit=0.7),
        Wrong("W for its inverse", {"z @ np.linalg.inv(W).T": "z @ W.T"}, "conv1x1_inverse", X, credit=0.6),
        Wrong("the transpose for the inverse", {"z @ np.linalg.inv(W).T": "z @ W"}, "conv1x1_inverse", X, credit=0.6),
        Wrong("log_det of the other direction", {"-conv1x1_log_det(z, W)": "conv1x1_log_det(z, W)"}, "conv1x1_inverse",
              LOG_DET, asks="which direction", credit=0.7),
        Wrong("the gradient without height * width", {"height * width * grad_log_det": "grad_log_det"}, "conv1x1_vjp",
              OF_LOG_DET, asks="what did you not count", credit=0.8),
        Wrong("W^-1 for W^-T", {"grad_log_det.sum() * np.linalg.inv(W).T": "grad_log_det.sum() * np.linalg.inv(W)"},
              "conv1x1_vjp", OF_LOG_DET, asks="which index of W", credit=0.8),
        Wrong("grad_W turned round", {"grad_z.reshape(-1, channels).T @ x.reshape(-1, channels)":
                                      "x.reshape(-1, channels).T @ grad_z.reshape(-1, channels)"}, "conv1x1_vjp", OF_Z,
              asks="which index of W", credit=0.8),
        Wrong("grad_x through W.T", {"return grad_z @ W, grad_W": "return grad_z @ W.T, grad_W"}, "conv1x1_vjp",
              "grad_x, of a loss of z alone", credit=0.8),
        Wrong("grad_log_det not used", {"grad_log_det.sum() * ": ""}, "conv1x1_vjp", OF_LOG_DET,
              asks="where are they", credit=0.8),
        Wrong("no path through log_det", {"height * width * grad_log_det.sum()": "0"}, "conv1x1_vjp", OF_LOG_DET,
              asks="zero everywhere", credit=0.8)],
    opposite=[Opposite("It keeps to another convention: W is turned round, z[i, j] = W^T x[i, j].",
                       {"x @ W.T": "x @ W", "z @ np.linalg.inv(W).T": "z @ np.linalg.inv(W)",
                        "grad_z.reshape(-1, channels).T @ x.reshape(-1, channels)":
                        "x.reshape(-1, channels).T @ grad_z.reshape(-1, channels)", "grad_z @ W,": "grad_z @ W.T,"})],
    variants={
        SAMPLING: Variant(
            {"z[i, j] = W x[i, j]         a": "x[i, j] = W z[i, j]         a"},
            {"x @ W.T, conv": "x @ np.linalg.inv(W).T, -conv", "z @ np.linalg.inv(W).T, -conv": "z @ W.T, conv",
             "grad_W = grad_z.reshape(-1, channels).T @ x.reshape(-1, channels)":
             "grad_x = grad_z @ np.linalg.inv(W)\n"
             "        z = x @ np.linalg.inv(W).T\n"
             "        grad_W = -grad_x.reshape(-1, channels).T @ z.reshape(-1, channels)",
             "grad_W + height": "grad_W - height", "return grad_z @ W, grad_W": "return grad_x, grad_W"}),
        CHANNELS_FIRST: Variant(
            {"(n, height, width, channels)": "(n, channels, height, width)",
             "z[i, j] = W x[i, j]         a": "z[:, i, j] = W x[:, i, j]   a"},
            {"n, height, width, channels = x.shape": "n, channels, height, width = x.shape",
             "return x @ W.T": "return np.einsum('ab,nbij->naij', W, x)",
             "return z @ np.linalg.inv(W).T": "return np.einsum('ab,nbij->naij', np.linalg.inv(W), z)",
             "grad_z.reshape(-1, channels).T @ x.reshape(-1, channels)": "np.einsum('naij,nbij->ab', grad_z, x)",
             "return grad_z @ W,": "return np.einsum('ab,naij->nbij', W, grad_z),"})})
