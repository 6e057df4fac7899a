"""The converters of `homework_conventions.py`: a RealNVP in the homework's conventions, written out, equals the package's."""
import homework_conventions as homework
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import nfnumpy as nf
from nfnumpy.flows import ImageCoupling, Squeeze
from nfnumpy.flows.squeeze import ORDERS
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.nets.made import split_params
from nfnumpy.nets.resnet import glow_net

some = settings(max_examples=10)
seeds = st.integers(0, 2 ** 32 - 1)
numbers = arrays.arrays(np.float64, (2, 3), elements=st.floats(-4, 4))


# The homework's RealNVP on images (n, c, h, w): two couplings, in plain NumPy.

def checkerboard(height, width):
    return (np.indices((height, width)).sum(axis=0) % 2 == 0).astype(float)


def squeeze(x):
    n, c, height, width = x.shape
    blocks = x.reshape(n, c, height // 2, 2, width // 2, 2)
    return blocks.transpose(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, height // 2, width // 2)


def unsqueeze(z):
    n, c, height, width = z.shape
    blocks = z.reshape(n, c // 4, 2, 2, height, width)
    return blocks.transpose(0, 1, 4, 2, 5, 3).reshape(n, c // 4, 2 * height, 2 * width)


def homework_forward(x, net_1, net_2):
    mask = checkerboard(*x.shape[2:])
    scale, shift = (part * (1 - mask) for part in net_1(x * mask))
    h = squeeze(x * np.exp(scale) + shift)
    h_1, h_2 = np.split(h, 2, axis=1)
    scale_2, shift_2 = net_2(h_1)
    log_det = scale.sum(axis=(1, 2, 3)) + scale_2.sum(axis=(1, 2, 3))
    return np.concatenate([h_1, h_2 * np.exp(scale_2) + shift_2], axis=1), log_det


def homework_inverse(z, net_1, net_2):
    h_1, z_2 = np.split(z, 2, axis=1)
    scale_2, shift_2 = net_2(h_1)
    h = unsqueeze(np.concatenate([h_1, (z_2 - shift_2) * np.exp(-scale_2)], axis=1))
    mask = checkerboard(*h.shape[2:])
    scale, shift = (part * (1 - mask) for part in net_1(h * mask))
    return (h - shift) * np.exp(-scale)


def in_homework_terms(coupling):
    """The coupling's network as the homework has it: channels first, ``scale, shift``."""
    def net(h):
        params = split_params(coupling.net.vjp(homework.channels_last(h))[0], 2)
        mu, log_sigma = coupling.transformer.mu_and_log_sigma(params)
        return [homework.channels_first(part) for part in homework.scale_and_shift(mu, log_sigma)]

    return net


@some
@given(channels=st.integers(1, 3), seed=seeds)
def test_a_realnvp_in_the_homeworks_conventions_is_ours(channels, seed):
    rng = np.random.default_rng(seed)

    def net(c_in, c_out):
        return glow_net(c_in, c_out, 3, "tanh", rng)

    flow = nf.Composition([ImageCoupling((4, 6, channels), net), Squeeze((4, 6, channels), order="channel"),
                           ImageCoupling((2, 3, 4 * channels), net, "channel")])
    nf.testing.randomize(flow, rng)
    first, _, second = flow.flows
    nets = in_homework_terms(first), in_homework_terms(second)
    x = rng.standard_normal((3, channels, 4, 6))
    z, log_det = homework_forward(x, *nets)
    ours, ours_log_det = flow.forward(homework.channels_last(x))
    assert np.abs(log_det).min() > 1e-3, "the networks do something"
    np.testing.assert_allclose(homework.channels_first(ours), z, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours_log_det, log_det, rtol=1e-12, atol=1e-12)
    back, back_log_det = flow.inverse(homework.channels_last(z))
    np.testing.assert_allclose(homework.channels_first(back), homework_inverse(z, *nets), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(back_log_det, -log_det, rtol=1e-11, atol=1e-11)


@some
@given(x=numbers, scale=numbers, shift=numbers)
def test_affine_params_are_the_homeworks_map_in_both_directions(x, scale, shift):
    params = homework.affine_params(scale, shift)
    (z, log_det), _ = nf.Affine().forward_vjp(x, params)
    expected = x * np.exp(scale) + shift
    size = 1 + np.exp(np.abs(scale)) * (1 + np.abs(x) + np.abs(shift))         # arctanh and tanh lose digits near 5
    assert (np.abs(z - expected) < 1e-12 * size).all()
    np.testing.assert_allclose(log_det, scale.sum(axis=1), rtol=1e-12, atol=1e-12)
    (back, back_log_det), _ = nf.Affine().inverse_vjp(expected, params)
    assert (np.abs(back - x) < 1e-12 * size * np.exp(np.abs(scale))).all()
    np.testing.assert_allclose(back_log_det, -scale.sum(axis=1), rtol=1e-12, atol=1e-12)


@some
@given(scale=numbers, shift=numbers)
def test_scale_and_shift_is_the_way_back(scale, shift):
    again, shift_again = homework.scale_and_shift(*homework.mu_and_log_sigma(scale, shift))
    np.testing.assert_array_equal(again, scale)
    np.testing.assert_allclose(shift_again, shift, rtol=1e-15, atol=0)


def test_a_scale_beyond_the_bound_is_refused():
    with pytest.raises(ValueError, match="scale: expected absolute values below 5.*got 6"):
        homework.affine_params(np.array([1.0, -6.0]), np.zeros(2))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_two_orders_of_a_squeeze(channels):
    x = np.random.default_rng(0).standard_normal((2, channels, 4, 6))
    ours, theirs = (Squeeze((4, 6, channels), order).forward(homework.channels_last(x))[0] for order in ORDERS)
    np.testing.assert_array_equal(homework.channels_first(theirs), squeeze(x))
    np.testing.assert_array_equal(ours, theirs[..., homework.squeezed_channels(channels)])
    np.testing.assert_array_equal(unsqueeze(squeeze(x)), x)
    assert (channels == 1) == bool((ours == theirs).all())


def test_a_convolution_with_converted_weights_is_the_same():
    rng = np.random.default_rng(0)
    weight, x = rng.standard_normal((4, 2, 3, 3)), rng.standard_normal((1, 2, 5, 6))
    conv = Conv2d(2, 4, 3)
    conv.W = homework.kernel(weight)
    out = homework.channels_first(conv.vjp(homework.channels_last(x))[0])
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = sum(np.einsum("oc,nchw->nohw", weight[:, :, a, b], padded[:, :, a:a + 5, b:b + 6])
                   for a in range(3) for b in range(3))
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
