"""The conditioner networks: values by plain loops, vjps by complex steps, and who sees whom in MADE."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.nets.causal import CausalCNN, raster_taps
from nfnumpy.nets.cnn import Conv2d
from nfnumpy.nets.made import hidden_degrees, made_masks
from nfnumpy.nets.resnet import glow_net, residual_net
from nfnumpy.testing.derivatives import STEP, directional_derivative, jacobian
from nfnumpy.parametrized import walk
from nfnumpy.testing.zoo import randomize

widths = st.lists(st.integers(1, 9), max_size=3).map(tuple)


def degree_lists(max_dim=6, max_context=2):
    """Degrees of MADE's inputs: a permutation of 1..m, with zeros for context inputs put in between."""
    return st.integers(1, max_dim).flatmap(lambda dim: st.integers(0, max_context).flatmap(
        lambda zeros: st.permutations([*range(1, dim + 1), *[0] * zeros])))


def check_net_vjp(net, h, seed):
    """<u, J v> = <J^T u, v> for the input and for theta, J v by a complex step: equal to rounding."""
    rng = np.random.default_rng(seed)
    out, vjp = net.vjp(h)
    u, v, w = rng.standard_normal(out.shape), rng.standard_normal(h.shape), rng.standard_normal(net.theta.shape)
    grad_h, grad_theta = vjp(u)
    assert grad_h.shape == h.shape and grad_theta.shape == net.theta.shape
    J_v = directional_derivative(lambda h: net.vjp(h)[0], h, v)
    np.testing.assert_allclose((grad_h * v).sum(), (u * J_v).sum(), rtol=1e-9, atol=1e-9)
    moved = net.astype(complex)
    moved.theta[...] = net.theta + 1j * STEP * w
    np.testing.assert_allclose(grad_theta @ w, (u * moved.vjp(h)[0].imag / STEP).sum(), rtol=1e-9, atol=1e-9)


@given(n_in=st.integers(0, 4), n_out=st.integers(0, 4), hidden=widths, activation=st.sampled_from(["tanh", "relu"]),
       seed=st.integers(0, 1000))
def test_mlp_vjp(n_in, n_out, hidden, activation, seed):
    """ReLU too: a complex step differentiates at the point itself, and random points are never on the kink."""
    rng = np.random.default_rng(seed)
    net = randomize(nf.MLP(n_in, hidden, n_out, activation, rng), rng)
    check_net_vjp(net, rng.standard_normal((5, n_in)), seed)


@given(degrees=degree_lists(), hidden=widths, outputs=st.integers(1, 3), activation=st.sampled_from(["tanh", "relu"]),
       seed=st.integers(0, 1000))
def test_made_vjp(degrees, hidden, outputs, activation, seed):
    rng = np.random.default_rng(seed)
    net = randomize(nf.MADE(degrees, hidden, outputs, activation, rng), rng)
    check_net_vjp(net, rng.standard_normal((5, len(degrees))), seed)


def test_mlp_is_the_formula_in_loops():
    net = randomize(nf.MLP(2, (3,), 2, "relu", rng=0), 1)
    h = [0.7, -1.2]
    a = [net.b0[i] + sum(net.W0[i, j] * h[j] for j in range(2)) for i in range(3)]
    y = [max(a_i, 0.0) for a_i in a]
    out = [net.b1[i] + sum(net.W1[i, j] * y[j] for j in range(3)) for i in range(2)]
    np.testing.assert_allclose(net.vjp(np.array([h]))[0][0], out, rtol=1e-14)
    assert min(a) < 0 < max(a)                                   # both sides of the kink were in use


def test_a_new_network_is_zero_whatever_its_hidden_layers():
    out, _ = nf.MLP(3, (8, 8), 2, rng=0).vjp(np.ones((4, 3)))
    assert not out.any()


@given(degrees=degree_lists(), hidden=widths, outputs=st.integers(1, 3))
def test_masks_let_through_what_comes_before_and_nothing_else(degrees, hidden, outputs):
    """On the product of the masks: the number of paths from input to output."""
    degrees = np.array(degrees)
    paths = np.eye(len(degrees))
    layers = [hidden_degrees(width, degrees.min(), degrees.max(), min(hidden)) for width in hidden]
    for mask in made_masks(degrees, layers, outputs):
        paths = mask @ paths
    permitted = degrees[None, :] < np.tile(degrees[degrees > 0], outputs)[:, None]
    assert not paths[~permitted].any()
    if all(width >= degrees.max() - degrees.min() for width in hidden):
        assert (paths[permitted] > 0).all()
    elif hidden:                                                 # the other layers lose nothing that the narrowest one keeps
        alone = np.eye(len(degrees))
        for mask in made_masks(degrees, [hidden_degrees(min(hidden), degrees.min(), degrees.max())], outputs):
            alone = mask @ alone
        np.testing.assert_array_equal(paths > 0, alone > 0)


@given(degrees=degree_lists(), hidden=widths, seed=st.integers(0, 1000))
def test_no_output_moves_with_its_own_input_or_a_later_one(degrees, hidden, seed):
    """On the Jacobian of the network itself, by complex steps; permitted entries are nonzero where the width allows it."""
    rng = np.random.default_rng(seed)
    net = randomize(nf.MADE(degrees, hidden, 2, "tanh", rng), rng)
    J = jacobian(lambda h: net.vjp(h)[0], rng.standard_normal((3, len(degrees))))
    degrees = np.array(degrees)
    permitted = degrees[None, :] < np.repeat(degrees[degrees > 0], 2)[:, None]
    assert not J[:, ~permitted].any()
    if all(width >= degrees.max() - degrees.min() for width in hidden):
        assert J[:, permitted].all()


@given(width=st.integers(1, 40), lowest=st.integers(0, 1), dim=st.integers(1, 20))
def test_hidden_degrees_are_sorted_spread_and_complete_when_they_can_be(width, lowest, dim):
    degrees = hidden_degrees(width, lowest, dim)
    assert (np.diff(degrees) >= 0).all() and len(degrees) == width
    if dim > lowest:
        assert lowest <= degrees.min() and degrees.max() <= dim - 1
        counts = np.bincount(degrees, minlength=dim)[lowest:]
        assert counts.max() - counts.min() <= 1                  # no degree is favoured by more than one unit


def test_an_update_does_not_revive_masked_weights():
    """Masking once, at initialisation, would be undone by the first step of an optimiser."""
    net = randomize(nf.MADE([1, 2, 3], (6,), 1, "tanh", rng=0), 0)
    before, _ = net.vjp(np.zeros((1, 3)))
    net.theta += 1                                               # every entry of theta, masked ones included
    moved, _ = net.vjp(np.array([[0.0, 0.0, 5.0]]))              # the last input is seen by nobody
    still, _ = net.vjp(np.zeros((1, 3)))
    np.testing.assert_array_equal(moved, still)
    assert (still != before).all()


@pytest.mark.parametrize("degrees", [[0, 0], [], [1, 1], [1, 3], [[1, 2]], [1.0, 2.0], [-1, 1]])
def test_degrees_that_are_no_order_are_refused(degrees):
    with pytest.raises(ValueError, match="degrees: expected a permutation of 1..m"):
        nf.MADE(degrees, (4,))


def std_over_expected(W, variance):
    """The sample standard deviation of all entries over the expected one: within five of its standard errors of 1."""
    return abs(np.sqrt((W ** 2 / variance).mean()) - 1) * np.sqrt(2 * W.size) < 5


@pytest.mark.parametrize("activation, gain", [("relu", 2), ("tanh", 1)])
def test_initial_weights_keep_activations_at_their_size(activation, gain):
    """Hidden weights N(0, gain / fan_in), where a masked unit's fan_in counts what reaches it; the last layer is zero."""
    net = nf.MLP(50, (80, 60), 70, activation, rng=0)
    assert std_over_expected(net.W0, gain / 50) and std_over_expected(net.W1, gain / 80)
    assert not (net.W2.any() or net.b0.any() or net.b1.any() or net.b2.any())
    made = nf.MADE(np.arange(1, 41), (100, 90), 2, activation, rng=0)
    fan_in = made.mask0.sum(axis=1, keepdims=True)
    assert std_over_expected(made.W0, gain / fan_in) and not made.W2.any()
    assert std_over_expected(made.W1, gain / made.mask1.sum(axis=1, keepdims=True))


def test_initial_weights_of_convolutions():
    """N(0, gain / (taps c_in)); branches that are added share one variance among them; the last layer is zero."""
    glow = glow_net(8, 6, 40, rng=0).net
    first, second, last = (getattr(glow, name) for name in ("0", "2", "4"))
    assert std_over_expected(first.W, 2 / 72) and std_over_expected(second.W, 2 / 40) and not last.W.any()
    net = residual_net(8, 6, 40, 3, rng=0).net
    assert std_over_expected(getattr(net, "0").W, 2 / 72) and not getattr(net, "6").W.any()
    for name in "234":
        convs = [part for part in walk(getattr(net, name)) if isinstance(part, Conv2d)]
        assert [conv.W.shape[0] for conv in convs] == [1, 9, 1]
        assert all(std_over_expected(conv.W, gain / (conv.W.shape[0] * 40)) for conv, gain in zip(convs, (2, 2, 1 / 3)))
    stack = CausalCNN((4, 4), 3, 40, 4, (raster_taps(5, "A"), raster_taps(5, "B")), rng=0)
    assert std_over_expected(stack.conv0.W, 1 / 12) and not stack.last.W.any()
    assert all(std_over_expected(conv.W, 2 / 4 / (13 * 40)) for conv in stack.convs[1:])


def test_a_net_without_outputs_is_refused():
    with pytest.raises(ValueError, match="outputs: expected a whole number of at least 1, got 0"):
        nf.MADE([1, 2], (4,), outputs=0)


@pytest.mark.parametrize("arguments, message", [
    ((-1, (3,), 1), "n_in: expected a whole number of at least 0, got -1"),
    ((1, (0,), 1), "hidden: expected a whole number of at least 1, got 0"),
    ((1, 64, 1), r"hidden: expected a tuple of widths such as \(64, 64\), got 64"),
    ((1, (3,), 1, "sigmoid"), "activation: expected one of tanh, relu, got 'sigmoid'")])
def test_sizes_and_activations_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        nf.MLP(*arguments)
