"""Conditional densities p(x | c): a context beside what the conditioner sees, bound by `given`."""
import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nfnumpy as nf
from nfnumpy.flows.image_coupling import ImageCoupling
from nfnumpy.nets.resnet import glow_net
from nfnumpy.testing import check_density, check_dependence, check_flow, check_given, randomize
from nfnumpy.testing.zoo import shallow

seeds = st.integers(0, 2 ** 32 - 1)
BUILD = {
    "maf": lambda dim, k, rng: nf.maf(dim, 2, (7,), "tanh", rng, context=k).flow,
    "maf, spline": lambda dim, k, rng: nf.maf(dim, 1, (7,), "tanh", rng, transformer="spline", context=k).flow,
    "iaf": lambda dim, k, rng: nf.iaf(dim, 2, (7,), "tanh", rng, context=k).flow,
    "realnvp": lambda dim, k, rng: nf.realnvp(dim, 2, (7,), "tanh", rng, context=k).flow,
    "glow": lambda dim, k, rng: nf.glow((4, 4, 1), 2, 1, 3, activation="tanh", rng=rng, context=k).flow,
    "realnvp_image": lambda dim, k, rng: nf.realnvp_image((2, 2, 1), 1, 1, 3, activation="tanh", rng=rng, context=k).flow,
    "mixed": lambda dim, k, rng: nf.Composition([nf.Standardize([1.0] * dim, [2.0] * dim), nf.Coupling(dim, (3,), "tanh"),
                                                 nf.Inverse(nf.Coupling(dim, (3,), "tanh", True, rng, context=k))]),
}


def conditional(name, dim, k, seed, n=4):
    """A flow that takes k context values, with random parameters, a batch of x, and one of c."""
    rng = np.random.default_rng(seed)
    flow = randomize(BUILD[name](dim, k, rng), rng)
    return flow, rng.standard_normal((n, *flow.x_shape)), rng.standard_normal((n, k))


@pytest.mark.parametrize("name", BUILD)
@given(dim=st.integers(1, 5), k=st.integers(1, 3), seed=seeds)
def test_a_bound_batch_is_its_rows_each_with_its_own_context(name, dim, k, seed):
    flow, x, c = conditional(name, dim, k, seed)
    check_given(flow, x, c, rng=seed)


@given(name=st.sampled_from(["iaf", "mixed"]), k=st.integers(1, 3), seed=seeds)
def test_bound_to_one_context_every_property_of_a_flow_holds(name, k, seed):
    """Of whole flows; the zoo has the layers."""
    flow, x, c = conditional(name, 3, k, seed)
    check_flow(flow.given(c[:1]), x, rng=seed)


@given(dim=st.integers(1, 6), hidden=st.lists(st.integers(1, 8), min_size=1, max_size=3).map(tuple), k=st.integers(1, 3),
       seed=seeds)
def test_every_coordinate_of_an_autoregressive_flow_depends_on_the_whole_context(dim, hidden, k, seed):
    """Also the first one, and also where hidden layers are narrower than there are degrees."""
    rng = np.random.default_rng(seed)
    flow = randomize(nf.GaussianAutoregressive(dim, hidden, "tanh", "random", rng, context=k), rng)
    x = rng.standard_normal((1, dim))
    check_dependence(lambda c: flow.given(c).forward(np.repeat(x, len(c), axis=0))[0], np.ones((dim, k), bool),
                     x=rng.standard_normal((8, k)))


@given(seed=seeds)
def test_the_conditionals_are_the_unconditional_ones_of_the_joint_order(seed):
    """p(x | c) of a MADE on [c, x] with c of degree 0 is what the same weights give when c is two earlier coordinates."""
    rng = np.random.default_rng(seed)
    given_c = randomize(nf.GaussianAutoregressive(3, (6,), "tanh", rng=rng, context=2), rng)
    x, c = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    net = given_c.net
    hidden = np.tanh(np.concatenate([c, x], axis=1) @ (net.mask0 * net.W0).T + net.b0)
    mu, r = np.split(hidden @ (net.mask1 * net.W1).T + net.b1, 2, axis=1)
    z, log_det = given_c.given(c).forward(x)
    np.testing.assert_allclose(z, (x - mu) * np.exp(-5 * np.tanh(r / 5)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, -(5 * np.tanh(r / 5)).sum(axis=1), rtol=1e-12, atol=1e-12)


@given(dim=st.integers(1, 6), hidden=st.lists(st.integers(1, 8), max_size=2).map(tuple), seed=seeds)
def test_the_fast_inverse_is_the_plain_loop_with_a_context_too(dim, hidden, seed):
    rng = np.random.default_rng(seed)
    flow = randomize(nf.GaussianAutoregressive(dim, hidden, "tanh", "random", rng, context=2), rng)
    flow, z = flow.given(rng.standard_normal((5, 2))), rng.standard_normal((5, dim))
    (x, log_det), vjp = flow.inverse_vjp(z)
    (x_plain, log_det_plain), plain_vjp = flow.inverse_vjp_by_sweeps(z)
    pull = rng.standard_normal((5, dim)), rng.standard_normal(5)
    for fast, plain in zip((x, log_det, *vjp(*pull)), (x_plain, log_det_plain, *plain_vjp(*pull)), strict=True):
        assert np.abs(fast - plain).max(initial=0) <= 1e-12 * (1 + np.abs(plain).max(initial=0))


@given(seed=seeds)
def test_for_every_context_the_density_integrates_to_one(seed):
    rng = np.random.default_rng(seed)
    model = nf.maf(1, 2, (5,), "tanh", rng, context=1)
    randomize(model.flow, rng)
    for c in (-1.0, 2.0):
        check_density(model.given([[c]]))


def test_an_image_s_context_is_constant_channels_in_front_of_its_own():
    seen = []
    flow = ImageCoupling((2, 3, 1), shallow(0), context=2)
    vjp = flow.net.vjp
    flow.net.vjp = lambda h: seen.append(h) or vjp(h)
    flow.given([[5.0, 6.0], [7.0, 8.0]]).forward(np.ones((2, 2, 3, 1)))
    assert seen[0].shape == (2, 2, 3, 3)
    assert (seen[0][0, :, :, :2] == [5, 6]).all() and (seen[0][1, :, :, :2] == [7, 8]).all()
    assert set(seen[0][..., 2].ravel()) == {0, 1}                # the checkerboard's


def test_theta_is_shared_both_ways_and_the_caller_s_context_is_not():
    flow, x, c = conditional("realnvp", 3, 2, seed=0)
    bound, later = flow.given(c), c.copy()
    before = bound.forward(x)[0]
    c[...] = 0
    np.testing.assert_array_equal(bound.forward(x)[0], before)
    bound.theta = bound.theta + 0.1
    np.testing.assert_array_equal(flow.given(later).forward(x)[0], bound.forward(x)[0])
    assert (before != bound.forward(x)[0]).any()


@pytest.mark.parametrize("how", [copy.deepcopy, copy.copy, lambda flow: pickle.loads(pickle.dumps(flow)),
                                 lambda flow: flow.astype(np.float64)])
def test_copies_of_a_bound_flow_stay_bound_and_have_a_theta_of_their_own(how):
    flow, x, c = conditional("maf", 3, 2, seed=1)
    bound = flow.given(c)
    other = how(bound)
    for a, b in zip(bound.forward(x), other.forward(x)):
        np.testing.assert_array_equal(a, b)
    assert not np.shares_memory(bound.theta, other.theta)


def move_by_standardizing(flow, bound):
    nf.NormalizingFlow(flow).standardized(np.random.default_rng(0).standard_normal((9, 3)))
    return flow, bound


@pytest.mark.parametrize("how", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair)),
                                 lambda pair: move_by_standardizing(*pair)])
def test_flow_and_bound_flow_share_theta_also_after_they_are_copied_together_or_moved_into_another(how):
    flow, x, c = conditional("maf", 3, 2, seed=1)
    flow, bound = how((flow, flow.given(c)))
    for change in (flow, bound):
        change.theta += 0.1
        np.testing.assert_array_equal(flow.theta, bound.theta)
        np.testing.assert_array_equal(flow.given(c).forward(x)[0], bound.forward(x)[0])
        assert bound.flows[0].net.W0.any() and np.shares_memory(bound.theta, flow.theta)


def test_a_bound_flow_is_no_part_of_another():
    bound = nf.Coupling(2, context=1).given([[1.0]])
    with pytest.raises(ValueError, match="^0: expected a Coupling of its own, .* build the whole first, and bind that"):
        nf.Composition([bound])


@pytest.mark.parametrize("name", BUILD)
def test_float32_stays_float32(name):
    flow, x, c = conditional(name, 3, 2, seed=2)
    single = flow.astype(np.float32).given(c)
    (z, log_det), vjp = single.forward_vjp(x.astype(np.float32))
    grads = vjp(np.ones_like(z), np.ones_like(log_det))
    assert {part.dtype for part in (z, log_det, *grads)} == {np.dtype(np.float32)}
    np.testing.assert_allclose(z, flow.given(c).forward(x)[0], rtol=1e-3, atol=1e-3)


def test_a_bound_model_is_a_model(tmp_path):
    flow, x, c = conditional("maf", 2, 3, seed=3)
    model = nf.NormalizingFlow(flow, info={"classes": 3})
    bound = model.given(c)
    nf.save(bound, tmp_path / "bound.npz")
    nf.save(model, tmp_path / "free.npz")
    log_p = bound.log_prob(x)
    np.testing.assert_array_equal(nf.load(tmp_path / "bound.npz").log_prob(x), log_p)
    np.testing.assert_array_equal(nf.load(tmp_path / "free.npz").given(c).log_prob(x), log_p)
    assert bound.info == {"classes": 3} and bound.sample(4, rng=0).shape == (4, 2)
    rows = [model.given(c[i:i + 1]).log_prob(x[i:i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(rows, log_p, rtol=1e-12)


def test_images_of_grey_values_keep_what_they_know_of_them():
    model = nf.glow((4, 4, 1), 1, 1, 3, grey_levels=17, rng=0, context=10)
    bound = model.given(nf.one_hot([3], 10))
    assert type(bound) is nf.GreyImageFlow and bound.grey_levels == 17
    images = bound.sample(5, rng=0)
    assert images.dtype == np.int64 and nf.bits_per_dim(bound, images, rng=0).shape == (5,)


def test_an_empty_batch_needs_no_context():
    flow, _, _ = conditional("maf", 3, 2, seed=0)
    assert flow.forward(np.empty((0, 3)))[0].shape == (0, 3)


@pytest.mark.parametrize("wrong, message", [
    (lambda flow, x, c: flow.forward(x), r"c: expected a context for 4 samples, of shape \(4, 2\) or \(1, 2\), got none; write given"),
    (lambda flow, x, c: flow.given(c[:3]).forward(x), "c: expected a context for 4 samples, .* got 3 rows"),
    (lambda flow, x, c: flow.given(c).inverse(x[:1]), "c: expected a context for 1 sample, .* got 4 rows"),
    (lambda flow, x, c: flow.given(c[:, :1]), r"c: expected a batch of shape \(n, 2\), got an array of shape \(4, 1\)"),
    (lambda flow, x, c: flow.given(c[0]), r"c: expected a batch of shape \(n, 2\), .* write c\[None, :\]"),
    (lambda flow, x, c: flow.given([0, 1, 1, 0]), r"c: expected contexts of shape \(n, 2\), .* write nf.one_hot\(labels, 2\)"),
    (lambda flow, x, c: nf.one_hot(["a", "b"], 2), r"labels: expected whole numbers .*np.unique\(labels, return_inverse=True\)"),
    (lambda flow, x, c: flow.given(c * np.nan), "c: expected finite numbers"),
    (lambda flow, x, c: flow.given(c + 1j), "c: expected real numbers"),
    (lambda flow, x, c: nf.maf(2, rng=0).given(c), "c: expected no context, since the model takes none; build it with context=k"),
    (lambda flow, x, c: nf.maf(2, rng=0, context=-1), "context: expected a whole number of at least 0, got -1"),
    (lambda flow, x, c: nf.Coupling(2, c=c), "c: expected none for a flow without a context, got one; build it with context=k"),
    (lambda flow, x, c: flow.astype(np.float32).given(1e300 * c), "c: expected finite numbers, got 8"),
    (lambda flow, x, c: nf.Coupling(2, context=1, c=c), r"c: expected a batch of shape \(n, 1\)"),
    (lambda flow, x, c: ImageCoupling((2, 2, 1), lambda a, b: glow_net(a, b, 2), context=1.5), "context: expected a whole number"),
    (lambda flow, x, c: nf.one_hot([0, 3], 3), "labels: expected whole numbers from 0 to 2, got 0 to 3"),
    (lambda flow, x, c: nf.one_hot([0.0, 1.0], 3), r"labels: expected whole numbers of shape \(n,\), got .* float64"),
])
def test_what_does_not_fit_is_refused_and_named(wrong, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        wrong(*conditional("maf", 3, 2, seed=0))


# ---- training --------------------------------------------------------------------------------------------------------

def regression(n, rng):
    """x ~ N(sin 3c, (0.1 + 0.4 c^2)^2) for c uniform on [-1, 1], and the negative log-likelihood of the truth."""
    c = rng.uniform(-1, 1, (n, 1))
    mu, sigma = np.sin(3 * c), 0.1 + 0.4 * c ** 2
    eps = rng.standard_normal((n, 1))
    return mu + sigma * eps, c, float((0.5 * eps ** 2 + np.log(sigma) + 0.5 * np.log(2 * np.pi)).mean())


def test_fit_learns_a_mean_and_a_spread_that_depend_on_the_context():
    """One Gaussian conditional with networks for mu(c) and sigma(c): within 0.03 nats of the truth on 2,000 new rows."""
    rng = np.random.default_rng(0)
    (x, c, _), (x_new, c_new, truth) = regression(3000, rng), regression(2000, rng)
    model = nf.maf(1, 1, (32,), "tanh", rng=0, context=1)
    nf.fit(model, x, context=c, rng=0, max_steps=800, lr=1e-2, patience=100)
    nll = -model.given(c_new).log_prob(x_new).mean()
    assert truth - 0.03 < nll < truth + 0.03
    mu, log_sigma = model.flow.flows[0].given(np.array([[0.0], [0.9]])).conditionals(np.zeros((2, 1)))
    np.testing.assert_allclose(mu[:, 0], np.sin([0.0, 2.7]), atol=0.15)
    np.testing.assert_allclose(np.exp(log_sigma[:, 0]), [0.1, 0.424], rtol=0.25)


def small_run(model, rows=slice(None), **more):
    x, c, _ = regression(60, np.random.default_rng(1))
    given_c = {"context": c[rows]} if "context" not in more else {}
    return nf.fit(model, x[rows], rng=0, max_steps=6, batch_size=16, eval_every=2, **given_c, **more)


def test_held_out_contexts_belong_to_held_out_rows():
    seen = []

    def look(state):
        seen.append((state.x, state.context, state.x_valid, state.context_valid))

    x, c, _ = regression(60, np.random.default_rng(1))
    small_run(nf.maf(1, 1, (4,), rng=0, context=1), callback=look)
    pairs = {(float(a), float(b)) for a, b in zip(x[:, 0], c[:, 0])}
    train, context, valid, context_valid = seen[0]
    assert len(valid) == len(context_valid) == 6 and len(train) == len(context) == 54
    assert {(float(a), float(b)) for a, b in zip(train[:, 0], context[:, 0])} | {
        (float(a), float(b)) for a, b in zip(valid[:, 0], context_valid[:, 0])} == pairs


def test_a_run_with_contexts_resumes_to_the_same_bits_and_not_with_others(tmp_path):
    whole = nf.maf(1, 1, (4,), rng=0, context=1)
    small_run(whole)
    stopped, path = nf.maf(1, 1, (4,), rng=0, context=1), tmp_path / "run.npz"
    small_run(stopped, checkpoint=path, callback=lambda state: state.step == 4)
    small_run(stopped, checkpoint=path)
    np.testing.assert_array_equal(stopped.theta, whole.theta)
    with pytest.raises(ValueError, match="got another context"):
        small_run(stopped, checkpoint=path, context=np.zeros((60, 1)))


def test_initialisation_from_data_sees_the_context():
    """ActNorm behind a coupling: what it normalises depends on c."""
    flow = nf.Composition([nf.Coupling(2, (4,), "tanh", rng=0, context=1), nf.ActNorm((2,))])
    randomize(flow.flows[0], rng=0)
    x, c = np.random.default_rng(0).standard_normal((50, 2)), np.linspace(-2, 2, 50)[:, None]
    nf.fit(nf.NormalizingFlow(flow), x, x, context=c, context_valid=c, rng=0, max_steps=1, lr=1e-9)
    z, _ = flow.given(c).forward(x)
    np.testing.assert_allclose([z.mean(axis=0), z.std(axis=0)], [[0, 0], [1, 1]], atol=1e-6)


@pytest.mark.parametrize("arguments, message", [
    ({"context": np.zeros((59, 1))}, "context: expected a row for each of the 60 rows of x, got 59"),
    ({"context": np.zeros(60)}, r"context: expected contexts of shape \(60, k\), got .* \(60,\); of labels write nf.one_hot"),
    ({"context": np.zeros((60, 1, 1))}, r"context: expected a batch of shape \(n, k\), got an array of shape \(60, 1, 1\)"),
    ({"context": np.zeros((60, 2))}, r"c: expected a batch of shape \(n, 1\)"),
    ({"context": np.full((60, 1), np.inf)}, "context: expected finite numbers"),
    ({"x_valid": np.zeros((5, 1))}, "context_valid: expected a row for each row of x_valid, got none"),
    ({"context_valid": np.zeros((5, 1))}, "x_valid: expected a row for each row of context_valid, got none"),
    ({"context": None, "context_valid": np.zeros((5, 1))}, "context: expected the contexts of x beside"),
    ({"context": None}, "context: expected the contexts of x, since the model takes some, got none"),
])
def test_contexts_that_do_not_fit_the_rows_are_refused(arguments, message):
    model = nf.maf(1, 1, (4,), rng=0, context=1)
    theta = model.theta.copy()
    with pytest.raises(ValueError, match=f"^{message}"):
        small_run(model, **arguments)
    np.testing.assert_array_equal(model.theta, theta)


def test_a_model_without_contexts_refuses_them_in_training():
    with pytest.raises(ValueError, match="^c: expected no context, since the model takes none"):
        small_run(nf.maf(1, 1, (4,), rng=0))
    with pytest.raises(ValueError, match="^context: expected none for a model without contexts, a AutoregressiveMLP"):
        nf.fit(nf.AutoregressiveMLP(2, 3, (4,)), np.zeros((20, 2), int), context=np.zeros((20, 1)), rng=0)


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: model.standardized(np.array([[0.0], [1.0]]))])
def test_a_model_bound_to_many_rows_is_not_trained_since_minibatches_would_mix_them(wrap):
    x, c, _ = regression(60, np.random.default_rng(1))
    model = wrap(nf.maf(1, 1, (4,), rng=0, context=1))
    with pytest.raises(ValueError, match=r"^model: expected one that is bound to no context, or to one row .* got one bound to 60 rows"):
        nf.fit(model.given(c), x, x_valid=x, rng=0, max_steps=2)
    theta = model.theta.copy()
    nf.fit(model.given(c[:1]), x, rng=0, max_steps=2)            # p(x | c) for one c: what it learns is the model's too
    assert (model.theta != theta).any()


def test_a_film_shows_the_data_and_the_model_of_its_own_context(tmp_path):
    x, labels = np.random.default_rng(0).standard_normal((40, 2)), np.arange(40) % 2
    c, model = nf.one_hot(labels, 2), nf.maf(2, 1, (4,), "tanh", rng=0, context=2)
    film, seen = nf.callbacks.Animation(tmp_path / "film.gif", n=20, context=c[:1]), []
    add = film.add
    film.add = lambda state, note: (add(state, note), seen.append((*film.given(state), state.x[state.context[:, 0] == 1])))
    nf.fit(model, x, context=c, rng=0, max_steps=2, eval_every=1, callback=film)
    assert (tmp_path / "film.gif").read_bytes().startswith(b"GIF8") and len(seen) == 4
    for bound, rows, wanted in seen:
        np.testing.assert_array_equal(rows, wanted)
        np.testing.assert_array_equal(bound.flow.flows[0].c, c[:1])


@pytest.mark.parametrize("context, of_the_film, message", [
    ([[0.0], [1.0]], None, "context: expected one row .* got none"), (None, [[1.0]], "context: expected one row .* got one")])
def test_a_film_of_a_conditional_model_needs_its_context(tmp_path, context, of_the_film, message):
    model = nf.maf(1, 1, (4,), rng=0, context=0 if context is None else 1)
    film = nf.callbacks.Animation(tmp_path / "film.gif", context=of_the_film)
    with pytest.raises(ValueError, match=f"^{message}"):
        nf.fit(model, [[0.0], [1.0]], context=context, rng=0, max_steps=1, callback=film)
    for wrong, shape in (([[0.0], [1.0]], r"\(2, 1\)"), ([5.0], r"\(1,\)"), (5.0, r"\(\)")):
        with pytest.raises(ValueError, match=rf"^context: expected one row \(1, k\), got an array of shape {shape}"):
            nf.callbacks.Animation(tmp_path / "film.gif", context=wrong)
    with pytest.raises(ValueError, match=r"^c: expected a batch of shape \(n, 1\), got an array of shape \(1, 3\)"):
        nf.fit(nf.maf(1, 1, (4,), rng=0, context=1), [[0.0], [1.0]], context=[[0.0], [1.0]], rng=0, max_steps=1,
               callback=nf.callbacks.Animation(tmp_path / "film.gif", context=[[0.0, 1.0, 2.0]]))
