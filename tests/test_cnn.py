"""Convolutions: values by plain loops, vjps by complex steps, and who sees whom in a causal stack."""
import copy
import pickle
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nfnumpy.nets import convolution, winograd
from nfnumpy.nets.causal import CausalCNN, raster_taps, sequence_taps
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.nets.convolution import conv2d
from nfnumpy.nets.pixels import margins, square_taps
from nfnumpy.testing.derivatives import STEP, directional_derivative, jacobian
from nfnumpy.workspace import workspace

seeds = st.integers(0, 1000)
tap_lists = st.one_of(
    st.sampled_from([1, 3, 5]).map(square_taps),
    st.tuples(st.sampled_from([3, 5]), st.sampled_from("AB")).map(lambda args: raster_taps(*args)),
    st.tuples(st.integers(1, 4), st.sampled_from("AB")).map(lambda args: sequence_taps(*args)),
    st.just([(dy, dx) for dy in (0, 1, 2) for dx in (-1, 0, 1)]),                # nine, and no 3x3 kernel
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=4, unique=True))


def random_stack(seed, size, kind="2d", kernel_size=3, depth=3, outputs=2, width=3):
    """A CausalCNN with random parameters: weights N(0, 1/fan_in), biases N(0, 0.1^2); tanh, so that no unit is dead."""
    rng, taps = np.random.default_rng(seed), {"2d": raster_taps, "1d": sequence_taps}[kind]
    net = CausalCNN(size, outputs, width, depth, (taps(kernel_size, "A"), taps(kernel_size, "B")), "tanh", rng)
    for name, array in net.named().items():
        fan_in = array.shape[0] * array.shape[1] if name.endswith("W") else 100
        array[...] = rng.standard_normal(array.shape) / np.sqrt(fan_in)
    return net


def seen_by_jacobian(net, seed=0):
    """``seen[j, k]``: whether any output at pixel j moves with pixel k, by complex steps; pixels flattened."""
    x = np.random.default_rng(seed).standard_normal((2, *net.size, 1))
    J = jacobian(lambda x: net.vjp(x)[0], x)                     # (2, pixels outputs, pixels)
    n_pixels = net.size[0] * net.size[1]
    return J.reshape(2, n_pixels, -1, n_pixels).any(axis=(0, 2))


@given(height=st.integers(1, 4), width=st.integers(1, 4), c_in=st.integers(1, 3), c_out=st.integers(1, 3),
       taps=tap_lists, seed=seeds)
def test_conv2d_is_the_formula_in_loops(height, width, c_in, c_out, taps, seed):
    rng = np.random.default_rng(seed)
    h, W, b = (rng.standard_normal(shape) for shape in ((2, height, width, c_in), (len(taps), c_in, c_out), c_out))
    expected = np.zeros((2, height, width, c_out))
    for n, i, j, o in np.ndindex(expected.shape):
        expected[n, i, j, o] = b[o]
        for t, (dy, dx) in enumerate(taps):
            if 0 <= i + dy < height and 0 <= j + dx < width:
                expected[n, i, j, o] += sum(W[t, c, o] * h[n, i + dy, j + dx, c] for c in range(c_in))
    np.testing.assert_allclose(conv2d(h, W, b, taps)[0], expected, rtol=1e-12, atol=1e-12)


@given(n=st.integers(0, 3), height=st.integers(1, 4), width=st.integers(1, 4), c_in=st.integers(1, 3),
       c_out=st.integers(1, 3), taps=tap_lists, seed=seeds)
def test_conv2d_vjp(n, height, width, c_in, c_out, taps, seed):
    """<u, J v> = <J^T u, v> in the input, the weights and the biases, J v by a complex step."""
    rng = np.random.default_rng(seed)
    arguments = [rng.standard_normal(shape) for shape in ((n, height, width, c_in), (len(taps), c_in, c_out), (c_out,))]
    out, vjp = conv2d(*arguments, taps)
    u = rng.standard_normal(out.shape)
    for k, grad in enumerate(vjp(u)):
        assert grad.shape == arguments[k].shape
        v = rng.standard_normal(grad.shape)
        J_v = directional_derivative(lambda a: conv2d(*arguments[:k], a, *arguments[k + 1:], taps)[0], arguments[k], v)
        np.testing.assert_allclose((grad * v).sum(), (u * J_v).sum(), rtol=1e-10, atol=1e-10)


@given(n=st.integers(0, 3), height=st.integers(1, 7), width=st.integers(1, 7), c_in=st.integers(1, 10),
       c_out=st.integers(1, 10), complex_h=st.booleans(), seed=seeds)
def test_winograd_is_the_plain_convolution(n, height, width, c_in, c_out, complex_h, seed):
    """Its two sides, on odd and even sizes; the sums and differences cost two bits at most."""
    rng, taps = np.random.default_rng(seed), square_taps(3)
    h, W, grad_out = (rng.standard_normal(shape) for shape in (
        (n, height, width, c_in), (9, c_in, c_out), (n, height, width, c_out)))
    if complex_h:
        h, grad_out = h + 1j * rng.standard_normal(h.shape), 1j * grad_out
    workspace((10_000,), complex)[...] = np.nan                  # what was in it must not count
    padded = np.pad(h, [(0, 0), (1, 1), (1, 1), (0, 0)])
    seen = np.stack([padded[:, 1 + dy:1 + dy + height, 1 + dx:1 + dx + width] for dy, dx in taps])
    np.testing.assert_allclose(winograd.convolve(h, W), np.einsum("tnijc,tco->nijo", seen, W), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(winograd.pull_weight(h, grad_out), np.einsum("tnijc,nijo->tco", seen, grad_out),
                               rtol=1e-12, atol=1e-12)


@example(n=9, height=2, width=5, c_in=9, c_out=9, taps=sequence_taps(3, "A"), seed=0)            # a few columns at a time
@example(n=2, height=3, width=4, c_in=9, c_out=8, taps=square_taps(3), seed=0)                   # Winograd
@example(n=2, height=3, width=4, c_in=8, c_out=9, taps=[(dy, dx) for dy in (0, 1, 2) for dx in (-1, 0, 1)], seed=0)
@given(n=st.integers(0, 9), height=st.integers(1, 4), width=st.integers(1, 5), c_in=st.integers(1, 12),
       c_out=st.integers(1, 12), taps=tap_lists, seed=seeds)
def test_all_ways_to_convolve_agree(n, height, width, c_in, c_out, taps, seed):
    """Thin or wide on either side, in pieces or at once, Winograd or not: <u, A h> = <A^T u, h> = <dL/dW, W>, A plain."""
    rng = np.random.default_rng(seed)
    h, W = rng.standard_normal((n, height, width, c_in)), rng.standard_normal((len(taps), c_in, c_out))
    top, left = margins(taps)
    padded = np.pad(h, [(0, 0), (top, top), (left, left), (0, 0)])
    expected = sum(padded[:, top + dy:top + dy + height, left + dx:left + dx + width] @ W_t
                   for (dy, dx), W_t in zip(taps, W))
    with mock.patch.object(convolution, "PIXELS", 20), mock.patch.object(winograd, "SIZE", 1):
        out, vjp = conv2d(h, W, np.zeros(c_out), taps)
        u = rng.standard_normal(out.shape)
        grad_h, grad_W, grad_b = vjp(u)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose([(grad_h * h).sum(), (grad_W * W).sum()], (u * expected).sum(), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(grad_b, u.sum(axis=(0, 1, 2)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("height, width", [(1, 1), (2, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("c_in, c_out", [(1, 2), (2, 1)])
def test_kernels_larger_than_the_image(height, width, c_in, c_out):
    """Taps that see nothing but zeros count for nothing, in the gathering and in the scattering form."""
    rng, taps = np.random.default_rng(0), square_taps(7)
    h, W = rng.standard_normal((2, height, width, c_in)), rng.standard_normal((49, c_in, c_out))
    expected = np.zeros((2, height, width, c_out))
    for i, j, t in np.ndindex(height, width, 49):
        row, column = i + taps[t][0], j + taps[t][1]
        if 0 <= row < height and 0 <= column < width:
            expected[:, i, j] += h[:, row, column] @ W[t]
    out, vjp = conv2d(h, W, np.zeros(c_out), taps)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
    grad_h, _, _ = vjp(expected)
    np.testing.assert_allclose((grad_h * h).sum(), (expected ** 2).sum(), rtol=1e-12)     # <J^T u, h> = <u, J h>


def test_a_square_kernel_is_the_picture_of_its_weights():
    """An image with a single 1 gives the kernel back, turned by 180 degrees: deep learning's convolutions correlate."""
    kernel = np.arange(9.0).reshape(3, 3)
    image = np.zeros((1, 5, 5, 1))
    image[0, 2, 2] = 1
    out, _ = conv2d(image, kernel.reshape(9, 1, 1), np.zeros(1), square_taps(3))
    np.testing.assert_array_equal(out[0, 1:4, 1:4, 0], kernel[::-1, ::-1])
    assert not out[0, [0, 4]].any() and not out[0, :, [0, 4]].any()


@given(taps=tap_lists, seed=seeds)
def test_a_layer_at_one_pixel_is_the_layer_there(taps, seed):
    rng = np.random.default_rng(seed)
    conv, h = Conv2d(2, 3, taps, rng=rng), rng.standard_normal((2, 3, 4, 2))
    top, left = (max(abs(offset) for offset in offsets) for offsets in zip(*conv.taps))
    padded = np.pad(h, [(0, 0), (top, top), (left, left), (0, 0)])
    for i, j in np.ndindex(3, 4):
        np.testing.assert_allclose(conv.at(padded, i, j), conv.vjp(h)[0][:, i, j], rtol=1e-12, atol=1e-12)


@given(kind=st.sampled_from(["2d", "1d"]), depth=st.integers(1, 4), kernel_size=st.sampled_from([3, 5]), seed=seeds)
def test_causal_stack_vjp(kind, depth, kernel_size, seed):
    """For the input and theta, J v by complex steps, and the gradient written where the caller wants it."""
    rng = np.random.default_rng(seed)
    net = random_stack(seed, (3, 4), kind, kernel_size, depth)
    x = rng.standard_normal((2, 3, 4, 1))
    out, vjp = net.vjp(x)
    u, v, w = rng.standard_normal(out.shape), rng.standard_normal(x.shape), rng.standard_normal(net.n_params)
    grad_x, grad_theta = vjp(u)
    J_v = directional_derivative(lambda x: net.vjp(x)[0], x, v)
    np.testing.assert_allclose((grad_x * v).sum(), (u * J_v).sum(), rtol=1e-9, atol=1e-9)
    moved = net.astype(complex)
    moved.theta[...] = net.theta + 1j * STEP * w
    np.testing.assert_allclose(grad_theta @ w, (u * moved.vjp(x)[0].imag / STEP).sum(), rtol=1e-9, atol=1e-9)
    memory = np.full(net.n_params, np.nan)
    assert vjp(u, out=memory)[1] is memory
    np.testing.assert_array_equal(memory, grad_theta)


@pytest.mark.parametrize("kind, kernel_size, depth", [("2d", 3, 1), ("2d", 3, 3), ("2d", 5, 2),
                                                      ("1d", 2, 1), ("1d", 3, 3), ("1d", 1, 4)])
def test_outputs_see_the_receptive_field_all_of_it_and_nothing_else(kind, kernel_size, depth):
    """By the Jacobian; the receptive field by following the taps; never the pixel itself, never a later one."""
    size = (5, 6) if kind == "2d" else (1, 12)
    net = random_stack(0, size, kind, kernel_size, depth)
    seen = seen_by_jacobian(net)
    assert not np.triu(seen).any()
    for pixel, (i, j) in enumerate(np.ndindex(size)):
        np.testing.assert_array_equal(seen[pixel].reshape(size), net.receptive_field(i, j))


@pytest.mark.parametrize("kernel_size, reach", [(3, 1), (5, 2)])
def test_the_blind_spot_of_the_two_dimensional_stack(kernel_size, reach):
    """However deep: an earlier pixel a rows above and b columns to the right is out of reach just if b > reach a."""
    size = (5, 9)
    net = random_stack(1, size, "2d", kernel_size, depth=10)
    deeper = random_stack(1, size, "2d", kernel_size, depth=12)
    seen = seen_by_jacobian(net)
    for pixel, (i, j) in enumerate(np.ndindex(size)):
        for k, l in np.ndindex(size):
            earlier, blind = (k, l) < (i, j), l - j > reach * (i - k)
            assert seen[pixel].reshape(size)[k, l] == (earlier and not blind)
        np.testing.assert_array_equal(net.receptive_field(i, j), deeper.receptive_field(i, j))


def test_the_one_dimensional_stack_has_no_blind_spot():
    """Its field is an interval: kernel_size elements, and kernel_size - 1 more for each further layer."""
    for depth in (1, 2, 3, 5):
        seen = seen_by_jacobian(random_stack(2, (1, 12), "1d", 3, depth))
        reach = 3 + 2 * (depth - 1)
        np.testing.assert_array_equal(seen, np.tri(12, k=-1) - np.tri(12, k=-1 - reach) > 0)


@given(kind=st.sampled_from(["2d", "1d"]), depth=st.integers(1, 3), n=st.integers(0, 3), seed=seeds)
def test_conditionals_are_the_stacks_outputs_pixel_by_pixel(kind, depth, n, seed):
    net = random_stack(seed, (2, 3), kind, 3, depth)
    x = np.random.default_rng(seed).standard_normal((n, 2, 3, 1))
    out, h, steps = net.vjp(x)[0], None, net.conditionals(n)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(steps.send(h), out[:, i, j], rtol=1e-12, atol=1e-12)
        h = x[:, i, j, 0]


def test_a_new_stack_is_zero_and_a_copy_is_independent():
    net = CausalCNN((3, 3), 4, 5, 2, (raster_taps(3, "A"), raster_taps(3, "B")), rng=0)
    x = np.random.default_rng(0).standard_normal((2, 3, 3, 1))
    assert not net.vjp(x)[0].any()
    for twin in (copy.copy(net), pickle.loads(pickle.dumps(net)), net.astype(np.float64), CausalCNN(**net.config())):
        twin.theta = net.theta
        twin.theta += 1
        assert twin.vjp(x)[0].any() and not net.vjp(x)[0].any()
    assert net.astype(np.float32).vjp(x.astype(np.float32))[0].dtype == np.float32


@pytest.mark.parametrize("build, message", [
    (lambda: square_taps(4), "kernel_size: expected an odd number, got 4"),
    (lambda: sequence_taps(0, "A"), "kernel_size: expected a whole number of at least 1, got 0"),
    (lambda: raster_taps(3, "C"), "kind: expected A or B, got 'C'"),
    (lambda: sequence_taps(3, "a"), "kind: expected A or B, got 'a'"),
    (lambda: Conv2d(0, 1), "c_in: expected a whole number of at least 1, got 0"),
    (lambda: Conv2d(1, 1, []), "taps: expected at least one offset"),
    (lambda: Conv2d(1, 1, 2), "kernel_size: expected an odd number, got 2"),
    (lambda: CausalCNN((2, 2), 1, 1, 0, ([(0, -1)], [(0, 0)])), "depth: expected a whole number of at least 1, got 0"),
    (lambda: CausalCNN((2, 2), 1, 1, 1, ([(0, 0)], [(0, 0)])), r"taps: expected offsets before \(0, 0\) in type A"),
    (lambda: CausalCNN((2, 2), 1, 1, 2, ([(0, -1)], [(0, 1)])), r"taps: .* none after it in type B"),
    (lambda: CausalCNN((2, 2), 1, 1, 1, ([(0, -1)], [(0, 0)]), "sine"), "activation: expected one of tanh, relu")])
def test_arguments_that_make_no_sense_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_stack_of_one_layer_is_rebuilt_from_its_config():
    """With depth 1 there are no taps of type B to remember."""
    net = random_stack(0, (2, 3), depth=1)
    again = CausalCNN(**{**net.config(), "activation": "tanh"})
    again.theta = net.theta
    x = np.random.default_rng(0).standard_normal((2, 2, 3, 1))
    np.testing.assert_array_equal(again.vjp(x)[0], net.vjp(x)[0])
