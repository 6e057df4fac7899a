"""The recap's discrete models: probabilities that sum to one, gradients, sampling, completion, and what they refuse."""
import copy
import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import chdtrc

import nfnumpy as nf
from nfnumpy.autoregressive_models import AutoregressiveCNN, AutoregressiveMLP
from nfnumpy.discrete import draw, log_softmax
from nfnumpy.testing.derivatives import STEP, jacobian

# name: builder(rng) -> a tiny model on 4 pixels of 3 grey values (tanh: no kink, and no unit is dead).
BUILDERS = {
    "mlp": lambda rng: AutoregressiveMLP(4, 3, (8,), "tanh", rng=rng),
    "mlp, two layers, given order": lambda rng: AutoregressiveMLP(4, 3, (7, 9), "tanh", [2, 0, 3, 1], rng),
    "mlp, narrow": lambda rng: AutoregressiveMLP(4, 3, (2, 1), "tanh", [3, 2, 1, 0], rng),
    "mlp, linear": lambda rng: AutoregressiveMLP(4, 3, (), rng=rng),
    "cnn 2d": lambda rng: AutoregressiveCNN((2, 2, 1), 3, 4, 3, "2d", 3, "tanh", rng),
    "cnn 2d, one layer": lambda rng: AutoregressiveCNN((2, 2, 1), 3, 4, 1, "2d", 5, "tanh", rng),
    "cnn 1d": lambda rng: AutoregressiveCNN((2, 2, 1), 3, 4, 3, "1d", 2, "tanh", rng),
    "cnn 1d, one layer": lambda rng: AutoregressiveCNN((2, 2, 1), 3, 4, 1, "1d", 1, "tanh", rng)}
names = pytest.mark.parametrize("name", BUILDERS)
seeds = st.integers(0, 1000)


def random_model(name, seed=0):
    rng = np.random.default_rng(seed)
    model = BUILDERS[name](rng)
    model.theta += 0.5 * rng.standard_normal(model.n_params)
    return model


def all_sequences(model):
    """Every x there is, one a row."""
    x = np.array(list(itertools.product(range(model.grey_levels), repeat=model.dim)))
    return x.reshape(-1, *model.x_shape)


@names
def test_the_probabilities_of_all_sequences_sum_to_one(name):
    for seed in range(3):
        model = random_model(name, seed)
        p = np.exp(model.log_prob(all_sequences(model)))
        assert len(p) == 81 and p.std() > 1e-3                   # and the model is not uniform
        assert abs(p.sum() - 1) < 1e-12


@pytest.mark.parametrize("build", [
    lambda: AutoregressiveMLP(1, 2, rng=0), lambda: AutoregressiveMLP(3, 2, (5,), rng=0),
    lambda: AutoregressiveCNN((1, 3, 1), 2, 4, 2, rng=0), lambda: AutoregressiveCNN((3, 1, 1), 2, 4, 2, "1d", rng=0),
    lambda: AutoregressiveCNN((1, 1, 1), 4, 4, 2, rng=0)])
def test_other_sizes_sum_to_one_as_well(build):
    model = build()
    model.theta += np.random.default_rng(0).standard_normal(model.n_params)
    assert abs(np.exp(model.log_prob(all_sequences(model))).sum() - 1) < 1e-12


@names
def test_no_logit_depends_on_its_own_pixel_or_a_later_one(name):
    """By complex steps from real-valued inputs; earlier pixels do matter (all, but for fields that are too small)."""
    model = random_model(name)
    x = np.random.default_rng(0).standard_normal((2, 4))
    net = model.net
    shape = (2, 4) if isinstance(model, AutoregressiveMLP) else (2, *net.size, 1)
    J = jacobian(lambda h: net.vjp(h)[0], x.reshape(shape)).reshape(2, 4, 3, 4).any(axis=(0, 2))
    J = J[model.order][:, model.order]                           # J[j, k]: logits of x_j, and x_k, in the model's order
    assert not np.triu(J).any()
    seen = {"mlp, narrow": None, "cnn 1d, one layer": np.eye(4, k=-1) > 0}.get(name, np.tri(4, k=-1) > 0)
    if seen is not None:
        np.testing.assert_array_equal(J, seen)


@given(order=st.permutations([0, 1, 2]), seed=seeds)
def test_log_prob_of_the_mlp_is_the_slides_formula_in_loops(order, seed):
    """log p(x) = sum_j log softmax(logits_j)_{x_j}; MADE's own units in loops, a unit seen only by what comes later."""
    rng = np.random.default_rng(seed)
    model = AutoregressiveMLP(3, 4, (5,), "tanh", order, rng)
    model.theta += rng.standard_normal(model.n_params)
    x, net = rng.integers(4, size=3), model.net
    place = [list(order).index(j) for j in range(3)]
    inputs = [2 * int(x_j) / 3 - 1 for x_j in x]
    sees = [[j for j in range(3) if net.mask0[i, j]] for i in range(5)]
    hidden = [math.tanh(net.b0[i] + sum(net.W0[i, j] * inputs[j] for j in sees[i])) for i in range(5)]
    log_p = 0.0
    for j in range(3):
        earlier = [i for i in range(5) if all(place[k] < place[j] for k in sees[i])]
        logits = [net.b1[3 * k + j] + sum(net.W1[3 * k + j, i] * hidden[i] for i in earlier) for k in range(4)]
        log_p += logits[x[j]] - math.log(sum(math.exp(logit) for logit in logits))
    np.testing.assert_allclose(model.log_prob(x[None, :]), [log_p], rtol=1e-12)
    np.testing.assert_allclose(model.bits_per_dim(x[None, :]), [-log_p / math.log(2) / 3], rtol=1e-12)


@pytest.mark.parametrize("kind", ["2d", "1d"])
def test_log_prob_of_the_cnn_is_the_slides_formula_in_loops(kind):
    """Two causal convolutions on a 2 x 3 image: who sees whom is written out here, not taken from the layer's taps."""
    rng = np.random.default_rng(0)
    model = AutoregressiveCNN((2, 3, 1), 3, 2, 2, kind, 3, "tanh", rng)
    model.theta += 0.5 * rng.standard_normal(model.n_params)
    a, b, c = model.net.conv0, model.net.conv1, model.net.last
    image = rng.integers(3, size=(2, 3))
    # position of each tap: kernel row and column for "2d", distance back along the sequence for "1d"
    taps_a = [(-1, -1), (-1, 0), (-1, 1), (0, -1)] if kind == "2d" else [-3, -2, -1]
    taps_b = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0)] if kind == "2d" else [-2, -1, 0]

    def look(i, j, tap):
        if kind == "1d":
            k = 3 * i + j + tap
            return divmod(k, 3) if k >= 0 else None
        return (i + tap[0], j + tap[1]) if i + tap[0] >= 0 and 0 <= j + tap[1] < 3 else None

    h1, h2, log_p = {}, {}, 0.0
    for i, j in itertools.product(range(2), range(3)):
        seen = [(t, look(i, j, tap)) for t, tap in enumerate(taps_a) if look(i, j, tap)]
        h1[i, j] = [a.b[o] + sum(a.W[t, 0, o] * (image[at] - 1) for t, at in seen) for o in range(2)]
    for i, j in itertools.product(range(2), range(3)):
        seen = [(t, look(i, j, tap)) for t, tap in enumerate(taps_b) if look(i, j, tap)]
        h2[i, j] = [h1[i, j][o] + b.b[o] + sum(b.W[t, q, o] * math.tanh(h1[at][q]) for t, at in seen for q in range(2))
                    for o in range(2)]
        logits = [c.b[k] + sum(c.W[0, q, k] * math.tanh(h2[i, j][q]) for q in range(2)) for k in range(3)]
        log_p += logits[image[i, j]] - math.log(sum(math.exp(logit) for logit in logits))
    np.testing.assert_allclose(model.log_prob(image[None, ..., None]), [log_p], rtol=1e-12)


@names
def test_the_gradient_is_that_of_log_prob(name):
    """<grad_theta, w> against a complex step through log_prob on a complex copy: equal to rounding."""
    model, rng = random_model(name), np.random.default_rng(1)
    x = all_sequences(model)[rng.permutation(81)[:6]]
    u, w = rng.standard_normal(6), rng.standard_normal(model.n_params)
    log_p, vjp = model.log_prob_vjp(x)
    np.testing.assert_array_equal(log_p, model.log_prob(x))
    grad_x, grad_theta = vjp(u)
    moved = model.astype(complex)
    moved.theta[...] = model.theta + 1j * STEP * w
    np.testing.assert_allclose(grad_theta @ w, u @ moved.log_prob(x).imag / STEP, rtol=1e-10, atol=1e-10)
    assert grad_x is None                                        # x is discrete
    memory = np.full(model.n_params, np.nan)
    assert vjp(u, out=memory)[1] is memory
    np.testing.assert_array_equal(memory, grad_theta)
    np.testing.assert_allclose(vjp(2.0)[1], vjp(np.full(6, 2.0))[1], rtol=1e-12, atol=1e-12)


@names
def test_the_expected_score_is_zero(name):
    """sum_x p(x) grad log p(x) = grad sum_x p(x) = grad 1 = 0, exactly, over all sequences."""
    model = random_model(name)
    log_p, vjp = model.log_prob_vjp(all_sequences(model))
    np.testing.assert_allclose(vjp(np.exp(log_p))[1], 0, atol=1e-13)


@names
def test_sampling_with_cached_activations_is_the_plain_loop(name):
    """The same whole numbers at the same noise, also from given pixels on."""
    for seed in range(3):
        model = random_model(name, seed)
        x = model.sample(50, rng=seed)
        assert x.shape == (50, *model.x_shape) and x.dtype == np.int64
        np.testing.assert_array_equal(x, model.complete_by_passes(np.zeros_like(x), False, rng=seed))
        known = np.isin(np.arange(4), model.order[:2]).reshape(model.x_shape)
        given_x = np.random.default_rng(seed).integers(3, size=x.shape)
        completed = model.complete(given_x, known, rng=seed)
        np.testing.assert_array_equal(completed, model.complete_by_passes(given_x, known, rng=seed))
        np.testing.assert_array_equal(completed[:, known], given_x[:, known])
    assert model.sample(0, rng=0).shape == (0, *model.x_shape)


@names
def test_the_conditionals_are_those_of_the_whole_pass(name):
    """Pixel by pixel within 1e-12, each logit computed once."""
    model = random_model(name)
    x = all_sequences(model)[::7]
    flat = x.reshape(len(x), -1)
    logits, _ = model.logits_vjp(flat)
    conditionals, h = model.conditionals(len(x)), None
    for j in model.order:
        np.testing.assert_allclose(conditionals.send(h), logits[:, j], rtol=1e-12, atol=1e-12)
        h = model.scale(flat[:, j])


def chi_square_tail(counts, p):
    """Chance that draws from p deviate from it as much as the counts do (Pearson's chi-square, rare cells together)."""
    expected = counts.sum() * p
    rare = expected < 5
    if rare.any():
        counts, expected = (np.append(cells[~rare], cells[rare].sum()) for cells in (counts, expected))
    return chdtrc(len(counts) - 1, ((counts - expected) ** 2 / expected).sum())


@names
def test_frequencies_of_samples_are_the_probabilities(name):
    """Chi-square on all 81 sequences, 20,000 draws at a fixed seed: a right sampler fails with a chance of 1e-4."""
    model = random_model(name)
    x = model.sample(20_000, rng=0).reshape(-1, 4)
    counts = np.bincount(x @ 3 ** np.arange(3, -1, -1), minlength=81)
    p = np.exp(model.log_prob(all_sequences(model)))
    assert chi_square_tail(counts, p) > 1e-4


@pytest.mark.parametrize("name", ["mlp, two layers, given order", "cnn 2d"])
def test_completions_are_draws_from_the_exact_conditional(name):
    """p(rest | first two pixels) from the probabilities of all sequences; chance of failing by accident: 1e-4."""
    model = random_model(name)
    everything, first = all_sequences(model), model.order[:2]
    start = np.array([2, 0])
    x = np.zeros((20_000, 4), int)
    x[:, first] = start
    known = np.isin(np.arange(4), first)
    completed = model.complete(x.reshape(-1, *model.x_shape), known.reshape(model.x_shape), rng=0).reshape(-1, 4)
    rows = (everything.reshape(-1, 4)[:, first] == start).all(axis=1)
    p = np.exp(model.log_prob(everything[rows]))
    index = {tuple(row): k for k, row in enumerate(everything[rows].reshape(-1, 4))}
    counts = np.bincount([index[tuple(row)] for row in completed], minlength=9)
    assert chi_square_tail(counts, p / p.sum()) > 1e-4


def test_known_pixels_may_differ_from_row_to_row_and_unknown_ones_hold_anything():
    model = AutoregressiveMLP(3, 2, order=[2, 1, 0], rng=0)
    x = np.array([[np.nan, -7.0, 1.0], [np.inf, 1.0, 0.0], [0.5, 0.5, 0.5]])
    known = np.array([[False, False, True], [False, True, True], [False, False, False]])
    completed = model.complete(x, known, rng=0)
    np.testing.assert_array_equal(completed[known], [1, 1, 0])
    assert set(completed.ravel()) <= {0, 1}
    np.testing.assert_array_equal(model.complete(completed, True), completed)


def test_a_known_pixel_after_an_unknown_one_is_refused():
    model = AutoregressiveCNN((2, 2, 1), 3, rng=0)
    x, lower = np.zeros((1, 2, 2, 1), int), np.array([False, True])[:, None, None]
    with pytest.raises(ValueError, match="known: expected .* to come first .* got pixel 2 known and pixel 1"):
        model.complete(x, lower, rng=0)
    assert model.complete(x, ~lower, rng=0).shape == x.shape
    reading_upwards = AutoregressiveMLP(4, 3, order=[3, 2, 1, 0], rng=0)
    reading_upwards.complete(x.reshape(1, 4), np.array([False, False, True, True]), rng=0)


@pytest.mark.parametrize("build", [
    lambda: AutoregressiveMLP(4, 3, (24,), rng=0), lambda: AutoregressiveMLP(4, 3, (24, 24), order=[3, 1, 0, 2], rng=0),
    lambda: AutoregressiveCNN((2, 2, 1), 3, 16, 3, "2d", 3, rng=0),
    lambda: AutoregressiveCNN((2, 2, 1), 3, 16, 3, "1d", 3, rng=0)])
def test_fit_learns_a_distribution_that_is_known(build):
    """x2 = x1, x4 = 2 - x3, x1 and x3 uniform: 2 log 3 = 2.197 nats, of 4 log 3 = 4.394 for a uniform model."""
    half = np.random.default_rng(0).integers(3, size=(400, 2))
    x = np.stack([half[:, 0], half[:, 0], half[:, 1], 2 - half[:, 1]], axis=1)
    model = build()
    history = nf.fit(model, x.reshape(-1, *model.x_shape), rng=0, max_steps=200, lr=0.03, eval_every=50)
    assert abs(history.valid[0] - 4 * math.log(3)) < 0.05        # `initialize`: all values are about as frequent
    assert abs(history.best_valid - 2 * math.log(3)) < 0.1
    samples = model.sample(500, rng=0).reshape(-1, 4)
    kept = (samples[:, 1] == samples[:, 0]) & (samples[:, 3] == 2 - samples[:, 2])
    assert kept.mean() > 0.9


@names
def test_initialize_starts_a_new_model_at_the_frequencies(name):
    """Each pixel's for an MLP, all pixels' for a convolution, one count spread evenly; a later model is left alone."""
    model, x = BUILDERS[name](0), np.array([[0, 1, 2, 0], [0, 1, 1, 0], [0, 2, 1, 1]])
    images = x.reshape(-1, *model.x_shape)
    np.testing.assert_allclose(model.log_prob(images), -4 * math.log(3))                 # a new one is uniform
    model.initialize(images)
    expected = np.array([[(sum(row[j] == k for row in x) + 1 / 3) / 4 for k in range(3)] for j in range(4)])
    if isinstance(model, AutoregressiveCNN):
        expected[:] = expected.mean(axis=0)
    logits, _ = model.logits_vjp(x)
    np.testing.assert_allclose(np.exp(log_softmax(logits)), np.broadcast_to(expected, (3, 4, 3)), rtol=1e-12)
    theta = model.theta.copy()
    model.initialize(2 - images)
    np.testing.assert_array_equal(model.theta, theta)


@names
def test_copies_pickles_casts_and_configs_give_the_same_model(name):
    model = random_model(name)
    x = all_sequences(model)
    rebuilt = type(model)(**model.config())
    rebuilt.theta = model.theta
    for twin in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)), rebuilt):
        np.testing.assert_array_equal(twin.log_prob(x), model.log_prob(x))
        np.testing.assert_array_equal(twin.sample(5, rng=0), model.sample(5, rng=0))
        assert not np.shares_memory(twin.theta, model.theta)
    single = model.astype(np.float32)
    log_p, vjp = single.log_prob_vjp(x)
    assert log_p.dtype == vjp(log_p)[1].dtype == single.bits_per_dim(x).dtype == np.float32
    np.testing.assert_allclose(log_p, model.log_prob(x), rtol=1e-4)
    assert type(model).__name__ in repr(model)


def test_log_softmax_is_stable_and_draw_never_leaves_the_range():
    logits = np.array([[1e4, -1e4, 0.0], [-1e308, -1e308, -1e308]])
    np.testing.assert_allclose(log_softmax(logits), [[0, -2e4, -1e4], [-math.log(3)] * 3])
    almost_one = np.full(2, np.nextafter(1.0, 0.0))
    assert draw(np.zeros((2, 17)), almost_one).tolist() == [16, 16]
    assert draw(np.zeros((2, 17), np.float32), np.zeros(2)).tolist() == [0, 0]


@pytest.mark.parametrize("x, message", [
    ([[0, 1, 3, 0]], r"x: expected whole numbers 0..2, got 1 others, the first 3.0 at index \(0, 2\)"),
    ([[0, -1, 3, 0]], r"got 2 others, the first -1.0 at index \(0, 1\)"),
    ([[0, 0.5, 1, 0]], r"the first 0.5 at index \(0, 1\)"),
    ([[0, np.nan, 1, 0]], "x: expected finite numbers, got 1"),
    ([[0, 1j, 1, 0]], "x: expected real numbers, got an array of dtype complex128"),
    ([0, 1, 1, 0], r"x: expected a batch of shape \(n, 4\), got a single sample .* write x\[None, :\]"),
    ([[0, 1, 1]], r"x: expected a batch of shape \(n, 4\), got an array of shape \(1, 3\)"),
    ([["a"] * 4], "x: expected real numbers")])
def test_data_that_are_no_grey_values_are_refused(x, message):
    model = AutoregressiveMLP(4, 3, rng=0)
    for function in (model.log_prob, model.log_prob_vjp, model.bits_per_dim):
        with pytest.raises(ValueError, match=message):
            function(x)


def test_log_prob_in_chunks_is_log_prob_row_by_row():
    model = random_model("cnn 2d")
    x = np.random.default_rng(0).integers(3, size=(600, 2, 2, 1))
    np.testing.assert_allclose(model.log_prob(x), model.log_prob_vjp(x)[0], rtol=1e-12)
    np.testing.assert_allclose(model.log_prob(x[500:501]), model.log_prob(x)[500:501], rtol=1e-12)
    assert model.log_prob(x[:0]).shape == (0,)
    with pytest.raises(ValueError, match=r"the first 9.0 at index \(599, 1, 1, 0\)"):
        model.log_prob(np.concatenate([x[:599], np.array([[0, 0], [0, 9]]).reshape(1, 2, 2, 1)]))


def test_whole_numbers_of_any_dtype_are_grey_values():
    model = AutoregressiveMLP(2, 3, rng=0)
    for dtype in (bool, np.uint8, np.int64, np.float32, np.float64):
        assert model.log_prob(np.ones((1, 2), dtype)).shape == (1,)


@pytest.mark.parametrize("build, message", [
    (lambda: AutoregressiveMLP(0, 2), "dim: expected a whole number of at least 1, got 0"),
    (lambda: AutoregressiveMLP(2, 1), "grey_levels: expected a whole number of at least 2, got 1"),
    (lambda: AutoregressiveMLP(2, 2, order=[0]), r"order: expected a permutation of 0..1, got 1 numbers"),
    (lambda: AutoregressiveMLP(2, 2, order=[1, 1]), "order: expected a permutation"),
    (lambda: AutoregressiveMLP(2, 2, activation="sine"), "activation: expected one of tanh, relu"),
    (lambda: AutoregressiveCNN((8, 8), 2), r"shape: expected \(height, width, channels\)"),
    (lambda: AutoregressiveCNN((8, 8, 3), 2), r"shape: expected \(height, width, 1\), .* got \(8, 8, 3\)"),
    (lambda: AutoregressiveCNN((8, 8, 1), 2, kind="3d"), "kind: expected one of 2d, 1d, got '3d'"),
    (lambda: AutoregressiveCNN((8, 8, 1), 2, kernel_size=4), "kernel_size: expected an odd number, got 4"),
    (lambda: AutoregressiveCNN((8, 8, 1), 2, depth=0), "depth: expected a whole number of at least 1, got 0"),
    (lambda: AutoregressiveCNN((8, 8, 1), 2, width=0), "width: expected a whole number of at least 1, got 0"),
    (lambda: AutoregressiveMLP(2, 2, rng=0).sample(-1), "n: expected a whole number of at least 0, got -1"),
    (lambda: AutoregressiveMLP(2, 2, rng=0).complete([[0, 0]], [1, 0]), "known: expected bool .* array of dtype int"),
    (lambda: AutoregressiveMLP(2, 2, rng=0).complete([[0, 0]], [True] * 3), "known: expected bool that broadcasts")])
def test_arguments_that_make_no_sense_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
