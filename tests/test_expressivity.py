"""What an autoregressive map can do, the conditional-CDF construction, and what one Gaussian layer cannot."""
import conditional_cdf as construction
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import nfnumpy as nf
from nfnumpy.energies import U2, Banana, GaussianMixture
from nfnumpy.targets import Moons
from nfnumpy.testing import jacobian, randomize

# seeds are fixed, so a test either always passes or always fails; the level is the chance that a right map would have
# failed when the seed was chosen, for each of the Kolmogorov-Smirnov and chi-square tests below
FALSE_ALARM = 1e-3
DENSITIES = {"moons": (Moons(0.15), ((-2.1, 3.1), (-1.6, 2.1))),
             "mixture": (GaussianMixture([[-1.0, 0.0], [1.0, 1.0]], [0.5, 0.8], [1, 2]), ((-6, 8), (-6, 8))),
             "banana": (Banana(1.0, 0.5, 0.5), ((-7, 7), (-4, 28)))}


@pytest.fixture(scope="module")
def flows():
    """Each density with 201 knots a side, spaced by at most a third of its narrowest detail."""
    return {name: construction.ConditionalCDF(density, box, knots=201) for name, (density, box) in DENSITIES.items()}


def assert_uniform(u):
    """Each coordinate by Kolmogorov-Smirnov, their independence by chi-square over 10 by 10 cells."""
    for column in u.T:
        assert stats.kstest(column, "uniform").pvalue > FALSE_ALARM
    counts = np.histogram2d(*u.T, bins=10, range=((0, 1), (0, 1)))[0]
    assert counts.sum() == len(u) and stats.chisquare(counts.ravel()).pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", DENSITIES)
def test_the_image_of_samples_is_uniform(name, flows):
    assert_uniform(flows[name].forward(flows[name].density.sample(2000, rng=0))[0])


@pytest.mark.parametrize("name", DENSITIES)
def test_the_image_of_another_densitys_samples_is_not(name, flows):
    """The test above has teeth: samples moved by a third of a unit are found out."""
    x = flows[name].density.sample(1000, rng=0) + [0.0, 0.3]
    assert stats.kstest(flows[name].forward(x)[0][:, 1], "uniform").pvalue < 1e-6


@pytest.mark.parametrize("name", DENSITIES)
def test_the_jacobian_is_triangular_and_its_determinant_is_the_density(name, flows):
    """By Richardson's differences of the map, to the accuracy of the splines."""
    flow = flows[name]
    x = flow.density.sample(20, rng=1)
    u, log_det = flow.forward(x)
    J = jacobian(lambda x: flow.forward(x)[0], x)
    assert np.abs(J[:, 0, 1]).max() < 1e-12 and (J[:, [0, 1], [0, 1]] > 0).all()
    np.testing.assert_allclose(np.linalg.slogdet(J)[1], flow.density.log_prob(x), atol=2e-3)
    np.testing.assert_array_equal(log_det, flow.density.log_prob(x))


def test_the_determinants_error_falls_with_the_knots():
    """Cubic splines: half the spacing, an eighth of the error at the least."""
    density, box = DENSITIES["mixture"]
    x, errors = density.sample(50, rng=1), []
    for knots in (51, 101, 201):
        flow = construction.ConditionalCDF(density, box, knots)
        J = jacobian(lambda x: flow.forward(x)[0], x)
        errors.append(np.abs(np.linalg.slogdet(J)[1] - density.log_prob(x)).mean())
    assert errors[1] < errors[0] / 8 and errors[2] < errors[1] / 8 and errors[2] < 1e-5


@pytest.mark.parametrize("name", DENSITIES)
def test_back_again(name, flows):
    """Round trips of data and of noise; where the density is low, x is known less well than u."""
    flow = flows[name]
    u = np.random.default_rng(2).random((100, 2))
    x, log_det = flow.inverse(u)
    again, log_det_forward = flow.forward(x)
    np.testing.assert_allclose(again, u, atol=1e-11)
    np.testing.assert_allclose(log_det, -log_det_forward, atol=1e-12)


def test_uniform_noise_becomes_samples(flows):
    """g is a sampler: uniform noise through the inverse has the banana's own independent normal coordinates."""
    x = flows["banana"].inverse(np.random.default_rng(3).random((3000, 2)))[0]
    assert_uniform(stats.norm.cdf(np.stack([x[:, 0], (x[:, 1] - 0.5 * x[:, 0] ** 2) / 0.5], axis=1)))


def test_to_a_gaussian(flows):
    """The second inverse CDF: z is standard normal, and the change of variables gives the density back."""
    flow = flows["mixture"]
    x = flow.density.sample(3000, rng=4)
    z, log_det = construction.to_normal(flow, x)
    assert_uniform(stats.norm.cdf(z))
    np.testing.assert_allclose(nf.StandardNormal(2).log_prob(z) + log_det, flow.density.log_prob(x), atol=1e-12)
    J = jacobian(lambda x: construction.to_normal(flow, x)[0], x[:50])
    np.testing.assert_allclose(np.linalg.slogdet(J)[1], log_det[:50], atol=1e-3)


def test_to_any_other_density(flows):
    """Moons become a banana."""
    x = flows["moons"].density.sample(1000, rng=5)
    y, log_det = construction.transport(flows["moons"], flows["banana"], x)
    assert_uniform(stats.norm.cdf(np.stack([y[:, 0], (y[:, 1] - 0.5 * y[:, 0] ** 2) / 0.5], axis=1)))
    moons, banana = (flows[name].density.log_prob for name in ("moons", "banana"))
    np.testing.assert_allclose(log_det, moons(x) - banana(y), atol=1e-12)


def test_for_a_gaussian_autoregressive_density_it_is_that_flow(flows):
    """Followed by Phi^-1 it is z_j = (x_j - mu_j) / sigma_j: there is no other increasing triangular map."""
    x = flows["banana"].density.sample(200, rng=6)
    z = construction.to_normal(flows["banana"], x)[0]
    np.testing.assert_allclose(z, np.stack([x[:, 0], (x[:, 1] - 0.5 * x[:, 0] ** 2) / 0.5], axis=1), atol=5e-3)


@pytest.mark.parametrize("density, box", [(Moons(), ((-1, 1), (-1, 1))), (U2(), ((-6, 6), (-4, 4)))])
def test_a_box_without_the_mass_is_refused(density, box):
    with pytest.raises(ValueError, match="box: expected all of the density's mass in the box, got"):
        construction.ConditionalCDF(density, box, knots=101)


# ---- what one Gaussian autoregressive layer cannot do ----------------------------------------------------------------

@given(order=st.permutations(range(3)), hidden=st.lists(st.integers(1, 9), max_size=2).map(tuple),
       size=st.floats(0.1, 30), seed=st.integers(0, 2 ** 32 - 1))
def test_one_layer_leaves_the_first_coordinate_gaussian(order, hidden, size, seed):
    """Whatever theta: nothing precedes the first coordinate, so x = sigma z + mu with constants, and z is normal."""
    rng = np.random.default_rng(seed)
    flow = nf.GaussianAutoregressive(3, hidden, "tanh", order, rng)
    flow.theta = size * rng.standard_normal(flow.theta.shape)
    z = rng.standard_normal((50, 3))
    first = order[0]
    mu, one_sigma = flow.inverse(np.eye(3)[[first]] * [[0.0], [1.0]])[0][:, first]
    sigma = one_sigma - mu
    assert sigma > 0
    np.testing.assert_allclose(flow.inverse(z)[0][:, first], sigma * z[:, first] + mu, rtol=1e-9, atol=1e-12 * size)


def test_the_marginal_density_is_that_gaussian():
    """The same by quadrature: the integral of p over x2 is N(x1; mu_1, sigma_1^2)."""
    model = nf.NormalizingFlow(randomize(nf.GaussianAutoregressive(2, (8,), "tanh", rng=0), 0))
    mu, one_sigma = model.flow.inverse(np.array([[0.0, 0.0], [1.0, 0.0]]))[0][:, 0]
    x1, x2 = np.linspace(-2, 2, 9), np.linspace(-60, 60, 24_001)
    p = np.exp(model.log_prob(np.stack(np.meshgrid(x1, x2), axis=-1).reshape(-1, 2))).reshape(len(x2), len(x1))
    np.testing.assert_allclose(p.sum(axis=0) * (x2[1] - x2[0]), stats.norm.pdf(x1, mu, one_sigma - mu), rtol=1e-6)


def test_two_layers_with_a_reversal_do_not():
    model = nf.maf(2, steps=2, hidden=(16,), activation="tanh", rng=0)
    randomize(model.flow, 0)
    x1 = model.sample(20_000, rng=0)[:, 0]
    assert stats.kstest((x1 - x1.mean()) / x1.std(), "norm").pvalue < 1e-9


def test_the_order_matters():
    """A banana is one layer with x1 first and out of reach with x2 first, where x1 given x2 has two modes."""
    banana, lost = Banana(1.5, 0.4, 0.5), {}
    x, new = banana.sample(4000, rng=0), banana.sample(4000, rng=1)
    for order in ((0, 1), (1, 0)):
        model = nf.NormalizingFlow(nf.GaussianAutoregressive(2, (32,), "tanh", order, rng=0)).standardized(x)
        nf.fit(model, x, rng=0, max_steps=500, lr=0.02, patience=100, progress=False)
        lost[order] = (banana.log_prob(new) - model.log_prob(new)).mean()                # KL(pi, p), nats
    assert lost[0, 1] < 0.2 and lost[1, 0] > 0.8


@pytest.mark.parametrize("name", ["maf", "realnvp"])
def test_a_flow_builds_a_bridge_between_separated_modes(name):
    """g is continuous: the straight line of noise from one mode's centre to the other's becomes a path of high density.

    Half-way the target, two modes eight of their own widths from x1 = 0, has no density to speak of.
    """
    target = GaussianMixture(means=[[-4.0, 0.0], [4.0, 0.0]], scales=0.5)
    model = getattr(nf, name)(2, steps=4, hidden=(16,), activation="tanh", rng=0)
    nf.fit(model, target.sample(1000, rng=0), rng=0, max_steps=300, lr=0.02, patience=100, progress=False)
    ends = model.flow.forward(target.means)[0]
    path = model.flow.inverse(ends[0] + np.linspace(0, 1, 2001)[:, None] * (ends[1] - ends[0]))[0]
    half_way = path[[np.abs(path[:, 0]).argmin()]]
    assert abs(half_way[0, 0]) < 0.1 and target.log_prob(half_way)[0] < -30
    assert model.log_prob(path).min() > target.log_prob(half_way)[0] + 10
