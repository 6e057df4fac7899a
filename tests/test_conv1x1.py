"""The 1x1 convolution: a linear flow at every pixel, counted at every pixel."""
import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.flows.conv1x1 import Conv1x1
from nfnumpy.flows.dense import Dense
from nfnumpy.flows.elementwise import Diagonal
from nfnumpy.flows.linear import ROTATED
from nfnumpy.flows.plu import PLU
from nfnumpy.flows.qr import QR

SHAPES = ((1, 1, 1), (1, 3, 2), (5, 3, 1), (3, 5, 4))


@pytest.mark.parametrize("kind", ROTATED)
@pytest.mark.parametrize("shape", SHAPES)
def test_properties(shape, kind):
    rng = np.random.default_rng(0)
    flow = nf.testing.randomize(Conv1x1(shape, kind, rng=rng), rng)
    x = rng.standard_normal((3, *shape))
    nf.testing.check_flow(flow, x)
    nf.testing.check_flow(nf.Inverse(flow), x)


@pytest.mark.parametrize("make", (Dense, PLU, QR))
def test_values_in_plain_loops(make):
    W, b = [[1.0, 2.0], [3.0, -1.0]], [0.5, -0.5]                # det W = -7
    flow = Conv1x1((3, 5, 2), linear=make(2, W=W))
    flow.linear.b = b
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 2))
    z, log_det = flow.forward(x)
    for n in range(2):
        for i in range(3):
            for j in range(5):
                for c in range(2):
                    expected = W[c][0] * x[n, i, j, 0] + W[c][1] * x[n, i, j, 1] + b[c]
                    assert z[n, i, j, c] == pytest.approx(expected, abs=1e-13)
    np.testing.assert_allclose(log_det, 15 * np.log(7), rtol=1e-13)      # every pixel counts, and not the channels
    np.testing.assert_allclose(flow.inverse(z)[1], -15 * np.log(7), rtol=1e-13)
    np.testing.assert_allclose(flow.W, W, atol=1e-14)


def test_the_gradient_of_the_log_determinant_counts_every_pixel_of_every_image():
    flow = Conv1x1((3, 5, 2), linear=Dense(2, W=[[1.0, 2.0], [3.0, -1.0]]))
    x = np.zeros((4, 3, 5, 2))
    for grad_log_det, total in ((np.array([1.0, 2.0, 3.0, 4.0]), 10), (2.0, 8)):
        for (outputs, vjp), sign in ((flow.forward_vjp(x), 1), (flow.inverse_vjp(x), -1)):
            grad_W = flow.named(vjp(np.zeros_like(x), grad_log_det)[1])["linear.W"]
            np.testing.assert_allclose(grad_W, sign * total * 15 * np.linalg.inv(flow.W).T, rtol=1e-13)


def test_empty_batch_float32_and_saving(tmp_path):
    for kind in ROTATED:
        flow = Conv1x1((2, 3, 2), kind, rng=0, dtype=np.float32)
        (z, log_det), vjp = flow.forward_vjp(np.zeros((0, 2, 3, 2)))
        assert z.shape == (0, 2, 3, 2) and log_det.shape == (0,) and not vjp(z, log_det)[1].any()
        nf.save(nf.NormalizingFlow(flow), tmp_path / "model.npz")
        x = np.random.default_rng(0).standard_normal((2, 2, 3, 2)).astype(np.float32)
        np.testing.assert_array_equal(nf.load(tmp_path / "model.npz").flow.forward(x)[0], flow.forward(x)[0])


def test_any_linear_flow_may_mix_the_channels():
    flow = Conv1x1((2, 3, 2), linear=Diagonal(2, W=np.diag([2.0, 3.0])))
    z, log_det = flow.forward(np.ones((1, 2, 3, 2)))
    assert (z[..., 0] == 2).all() and np.allclose(z[..., 1], 3) and np.allclose(log_det, 6 * np.log(6))


@pytest.mark.parametrize("arguments, message", (
    (dict(shape=(2, 3)), r"shape: expected \(height, width, channels\), got \(2, 3\)"),
    (dict(shape=(2, 3, 0)), "shape: expected a whole number of at least 1, got 0"),
    (dict(shape=(2, 3, 2), kind="diagonal"), "kind: expected one of dense, plu, qr, got 'diagonal'"),
    (dict(shape=(2, 3, 2), linear=Dense(3)), r"linear: expected a linear flow on 2 channels, got Dense\(dim=3\)"),
))
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        Conv1x1(**arguments)
