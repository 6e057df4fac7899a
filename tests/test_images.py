"""The layers of image flows against their formulas in plain loops: squeeze, logit, partitions, multi-scale, networks."""
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.flows import ImageCoupling, Logit, MultiScale, Squeeze
from nfnumpy.flows.partitions import Checkerboard, Halves
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.nets.resnet import Residual, Sequential, glow_net, residual_net
from nfnumpy.testing.derivatives import STEP, directional_derivative
from nfnumpy.testing.zoo import randomize

seeds = st.integers(0, 1000)


@given(half_height=st.integers(1, 3), half_width=st.integers(1, 3), channels=st.integers(1, 3), seed=seeds)
def test_both_channel_orders_of_squeeze_are_what_they_say(half_height, half_width, channels, seed):
    shape = (2 * half_height, 2 * half_width, channels)
    x = np.random.default_rng(seed).standard_normal((2, *shape))
    by_pixel, by_channel = (Squeeze(shape, order).forward(x)[0] for order in ("pixel", "channel"))
    for i in range(half_height):
        for j in range(half_width):
            for dy in range(2):
                for dx in range(2):
                    for k in range(channels):
                        value = x[:, 2 * i + dy, 2 * j + dx, k]
                        assert (by_pixel[:, i, j, (2 * dy + dx) * channels + k] == value).all()
                        assert (by_channel[:, i, j, 4 * k + 2 * dy + dx] == value).all()


@pytest.mark.parametrize("arguments, message", [
    (((3, 4, 1),), r"shape: expected an even height and width, to be cut into blocks of 2 x 2, got \(3, 4, 1\)"),
    (((4, 3, 1),), r"shape: expected an even height and width.*got \(4, 3, 1\)"),
    (((4, 4),), r"shape: expected \(height, width, channels\), got \(4, 4\)"),
    (((4, 4, 1), "rows"), "order: expected one of pixel, channel, got 'rows'")])
def test_what_cannot_be_squeezed_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Squeeze(*arguments)


@given(x=st.floats(0, 17), alpha=st.sampled_from([1e-6, 0.05, 0.3]))
def test_logit_is_its_formula_up_to_both_ends(x, alpha):
    z, log_det = Logit((1,), alpha, grey_levels=17).forward(np.array([[x]]))
    p = alpha + (1 - 2 * alpha) * x / 17
    np.testing.assert_allclose(z[0, 0], math.log(p / (1 - p)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log_det[0], math.log((1 - 2 * alpha) / 17 / (p * (1 - p))), rtol=1e-9, atol=1e-9)
    assert abs(z[0, 0]) <= math.log((1 - alpha) / alpha) * (1 + 1e-9)


def test_logit_sums_over_everything_but_the_batch():
    x = np.random.default_rng(0).uniform(0, 2, (3, 2, 2, 1))
    flow = Logit((2, 2, 1), grey_levels=2)
    one = Logit((1,), grey_levels=2).forward(x.reshape(-1, 1))[1]
    np.testing.assert_allclose(flow.forward(x)[1], one.reshape(3, 4).sum(axis=1))


@given(z=st.floats(-30, 30))
def test_the_inverse_of_logit_does_not_overflow_and_its_log_det_is_exact(z):
    """In extended arithmetic by hand: log s + log(1 - s) = -|z| - 2 log(1 + exp(-|z|))."""
    x, log_det = Logit((1,), 0.05).inverse(np.array([[z]]))
    expected = -abs(z) - 2 * math.log1p(math.exp(-abs(z))) - math.log(0.9)
    np.testing.assert_allclose(log_det[0], expected, rtol=1e-12)
    assert -0.05 / 0.9 - 1e-12 <= x[0, 0] <= 1 + 0.05 / 0.9 + 1e-12


@pytest.mark.parametrize("arguments, message", [
    ({"alpha": 0}, "alpha: expected a number between 0 and 1/2, got 0"), ({"alpha": 0.5}, "alpha: expected a number"),
    ({"grey_levels": 0}, "grey_levels: expected a positive number, got 0")])
def test_logits_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Logit((1,), **arguments)


def test_values_that_are_no_grey_values_are_refused_and_named():
    with pytest.raises(ValueError, match=r"x: expected values from 0 to 17, got 2 outside, the first 99\.0 at index \(0, 1\)"):
        Logit((2,), grey_levels=17).forward([[1.0, 99.0], [-5.0, 1.0]])


@given(height=st.integers(1, 5), width=st.integers(1, 5), channels=st.integers(1, 2), swap=st.booleans())
def test_the_checkerboard_is_a_checkerboard_at_every_size(height, width, channels, swap):
    x = np.random.default_rng(0).standard_normal((2, height, width, channels))
    board = Checkerboard((height, width, channels), swap)
    x1, x2 = board.split(x)
    for i in range(height):
        for j in range(width):
            conditions = (i + j) % 2 == (1 if swap else 0)
            assert (x1[:, i, j] == (x[:, i, j] if conditions else 0)).all()
            assert (x2[:, i, j] == (0 if conditions else x[:, i, j])).all()
    np.testing.assert_array_equal(board.join(x1, x2), x)


@given(partition=st.sampled_from(["checkerboard", "channel"]), swap=st.booleans(), seed=seeds)
def test_image_couplings_are_the_slides_formulas_pixel_by_pixel(partition, swap, seed):
    rng = np.random.default_rng(seed)
    shape = (3, 3, 2)
    flow = ImageCoupling(shape, lambda c_in, c_out: glow_net(c_in, c_out, 3, "tanh", rng), partition, swap)
    randomize(flow, rng)
    x = rng.standard_normal((1, *shape))
    z, log_det = flow.forward(x)
    moved = np.zeros(shape, bool)                                # which numbers are transformed
    for i in range(3):
        for j in range(3):
            for k in range(2):
                moved[i, j, k] = (i + j) % 2 == (0 if swap else 1) if partition == "checkerboard" else k == (0 if swap else 1)
    seen = np.where(moved, 0, x[0])[None]                        # what the network may look at
    if partition == "channel":
        seen = x[:, :, :, 1:] if swap else x[:, :, :, :1]
    out = flow.net.vjp(seen)[0][0]
    half = out.shape[-1] // 2
    total = 0.0
    for i, j, k in np.ndindex(*shape):
        if not moved[i, j, k]:
            assert z[0, i, j, k] == x[0, i, j, k]
            continue
        channel = k if partition == "checkerboard" else 0
        mu, raw = out[i, j, channel], out[i, j, half + channel]
        log_sigma = 5 * math.tanh(raw / 5)
        total -= log_sigma
        np.testing.assert_allclose(z[0, i, j, k], (x[0, i, j, k] - mu) / math.exp(log_sigma), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det[0], total, rtol=1e-12, atol=1e-12)


def test_partitions_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="partition: expected one of checkerboard, channel, got 'stripes'"):
        ImageCoupling((2, 2, 1), glow_net, "stripes")
    with pytest.raises(ValueError, match="shape: expected at least two channels to split.*squeeze first"):
        ImageCoupling((2, 2, 1), glow_net, "channel")


@given(size=st.integers(1, 6), swap=st.booleans())
def test_halves_split_and_join(size, swap):
    x = np.arange(2.0 * size).reshape(2, size)
    halves = Halves(size, swap)
    x1, x2 = halves.split(x)
    assert x1.shape[1] == halves.n_conditioning and x2.shape[1] == halves.n_transformed >= min(size // 2, 1)
    np.testing.assert_array_equal(halves.join(x1, x2), x)


@given(kind=st.sampled_from(["glow", "residual", "tree"]), activation=st.sampled_from(["tanh", "relu"]), seed=seeds)
def test_the_networks_vjps(kind, activation, seed):
    """<u, J v> = <J^T u, v>, J v by a complex step: equal to rounding; ReLU too, away from its kink with probability 1."""
    rng = np.random.default_rng(seed)
    net = {"glow": lambda: glow_net(2, 3, 4, activation, rng), "residual": lambda: residual_net(2, 3, 4, 2, activation, rng),
           "tree": lambda: Sequential([Residual(Sequential([activation, Conv2d(2, 2, 1, rng=rng)])), activation])}[kind]()
    randomize(net, rng)
    h = rng.standard_normal((2, 3, 4, 2))
    out, vjp = net.vjp(h)
    u, v, w = rng.standard_normal(out.shape), rng.standard_normal(h.shape), rng.standard_normal(net.theta.shape)
    grad_h, grad_theta = vjp(u)
    np.testing.assert_allclose((grad_h * v).sum(), (u * directional_derivative(lambda h: net.vjp(h)[0], h, v)).sum(), rtol=1e-9,
                               atol=1e-9)
    moved = net.astype(complex)
    moved.theta[...] = net.theta + 1j * STEP * w
    np.testing.assert_allclose(grad_theta @ w, (u * moved.vjp(h)[0].imag / STEP).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layers", [["relu", Conv2d(2, 2, 1, rng=0)], [Conv2d(2, 2, 1, rng=0), "tanh", "relu"],
                                    [Conv2d(2, 2, 1, rng=0), "tanh", "tanh", Conv2d(2, 2, 3, rng=0), "relu"],
                                    [Sequential([Conv2d(2, 2, 1, rng=0), "tanh"]), "tanh"], [Sequential([]), "tanh"],
                                    [Residual(Conv2d(2, 2, 1, rng=0)), "tanh"]])
def test_activations_overwrite_nothing_that_is_still_needed(layers):
    """Neither the input of a network, nor what an activation before needs for its adjoint."""
    net, rng = Sequential(layers), np.random.default_rng(0)
    h, v = rng.standard_normal((2, 2, 3, 4, 2))
    before = h.copy()
    out, vjp = net.vjp(h)
    np.testing.assert_array_equal(h, before)
    u = rng.standard_normal(out.shape)
    np.testing.assert_allclose((vjp(u)[0] * v).sum(), (u * directional_derivative(lambda h: net.vjp(h)[0], h, v)).sum(),
                               rtol=1e-9)


@pytest.mark.parametrize("net", [glow_net(2, 3, 4, rng=0), residual_net(2, 3, 4, 2, rng=0)])
def test_a_new_conditioner_is_zero(net):
    assert not net.vjp(np.ones((1, 4, 4, 2)))[0].any()


def test_multi_scale_is_its_levels_one_after_another():
    rng = np.random.default_rng(0)
    levels = [nf.Composition([Squeeze((4, 4, 1)), randomize(nf.ActNorm((2, 2, 4)), rng)]), randomize(nf.ActNorm((2, 2, 2)), rng)]
    x = rng.standard_normal((3, 4, 4, 1))
    h, log_det1 = levels[0].forward(x)
    last, log_det2 = levels[1].forward(h[..., :2])
    flow = MultiScale(levels)
    z, log_det = flow.forward(x)
    for piece, expected in zip(flow.pieces(z), (h[..., 2:], last), strict=True):
        np.testing.assert_array_equal(piece, expected)
    np.testing.assert_array_equal(flow.join(flow.pieces(z)), z)
    np.testing.assert_allclose(log_det, log_det1 + log_det2)
    _, last = flow.pieces(flow.initialize(x))                    # the last ActNorm has centred what reached it
    np.testing.assert_allclose(last.mean(axis=(0, 1, 2)), 0, atol=1e-12)


@pytest.mark.parametrize("levels, message", (
    (lambda: [nf.Coupling(4)], r"on images .*, got a Coupling with samples of shape \(4,\) at index 0"),
    (lambda: [MultiScale([Squeeze((2, 2, 1))]), Squeeze((2, 2, 2))], r"MultiScale with samples of shape \(4,\) at index 0"),
    (lambda: [Squeeze((4, 4, 1)), nf.Coupling(8)], r"got a Coupling with samples of shape \(8,\) at index 1"),
    (lambda: Squeeze((4, 4, 1)), "expected a list of flows, got a Squeeze")))
def test_levels_that_are_not_on_images_are_refused(levels, message):
    with pytest.raises(TypeError, match=f"levels: .*{message}"):
        MultiScale(levels())


def test_the_last_level_may_be_multi_scale_itself():
    """Two levels in one, or one inside the other: the same numbers."""
    x = np.arange(32.0).reshape(2, 4, 4, 1)
    flat = MultiScale([Squeeze((4, 4, 1)), Squeeze((2, 2, 2))])
    nested = MultiScale([Squeeze((4, 4, 1)), MultiScale([Squeeze((2, 2, 2))])])
    np.testing.assert_array_equal(nested.forward(x)[0], flat.forward(x)[0])
    np.testing.assert_array_equal(nested.inverse(nested.forward(x)[0])[0], x)


def test_levels_that_do_not_meet_are_refused():
    with pytest.raises(ValueError, match="levels: expected at least one flow, got none"):
        MultiScale([])
    with pytest.raises(ValueError, match=r"expected level 1 to take half of the channels of \(2, 2, 4\)"):
        MultiScale([Squeeze((4, 4, 1)), nf.ActNorm((2, 2, 4))])
