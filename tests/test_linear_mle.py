"""The sharpest test there is: with a standard-normal base, the best linear flow is the Gaussian fit in closed form."""
import numpy as np
import pytest
import scipy.optimize

import nfnumpy as nf
from nfnumpy.distributions import Gaussian
from nfnumpy.flows.linear import KINDS, linear_flow

FULL = ("dense", "plu", "qr", "triangular")                      # these reach every covariance matrix


def standardized(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


def faithful():
    return nf.datasets.table("faithful", rng=0).x


def correlated():
    rng = np.random.default_rng(0)
    return rng.standard_normal((500, 8)) @ rng.standard_normal((8, 8)) + rng.standard_normal(8)


def digits():
    images, _ = nf.datasets.digits()
    return nf.datasets.dequantize(images, rng=0).reshape(len(images), -1)


def with_the_moments_of(x):
    """2m rows with the mean and the covariance of x: all that the likelihood of a linear flow sees of the data.

    The rows are mean +- sqrt(m) L e_k for the covariance L L^T; their moments are those of x exactly.
    """
    gaussian = Gaussian.fit(x)
    spread = np.sqrt(x.shape[1]) * gaussian.cholesky.T
    return np.concatenate([gaussian.mean + spread, gaussian.mean - spread])


def fit(kind, x):
    """Maximum likelihood by L-BFGS, directly on theta."""
    model = nf.NormalizingFlow(linear_flow(x.shape[1], kind, rng=0))

    def loss(theta):
        model.theta = theta
        return nf.negative_log_likelihood(model, x)

    result = scipy.optimize.minimize(loss, model.theta.copy(), jac=True, method="L-BFGS-B",
                                     options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000, "maxfun": 10000})
    model.theta = result.x
    return model, result


def independent(x):
    """The log-likelihood of one Gaussian a column: m/2 (1 + log 2 pi) + sum_j log std_j nats, negative."""
    return -x.shape[1] / 2 * (1 + np.log(2 * np.pi)) - np.log(x.std(axis=0)).sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", (faithful, correlated, digits))
def test_maximum_likelihood_reaches_the_closed_form(data, kind):
    x = standardized(data())
    closed_form = Gaussian.fit(x).log_prob(x).mean() if kind in FULL else independent(x)
    model, result = fit(kind, x if x.shape[1] < 64 else with_the_moments_of(x))  # 128 rows for 1,797: a fast test
    assert abs(model.log_prob(x).mean() - closed_form) < 1e-6, result.message
    if kind == "diagonal":                                       # standardised data: it starts where it ends
        assert closed_form < Gaussian.fit(x).log_prob(x).mean() - 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_in_other_units(kind):
    """Scales and shifts to learn as well, so that Diagonal and the biases have something to do.

    Two columns only: it is standardising that makes L-BFGS fast. With scales a factor of 25 apart in the 8 correlated
    columns, Dense and Triangular take about 4,200 iterations, and PLU and QR do not arrive in 5,000.
    """
    x = standardized(faithful()) * [0.5, 2.0] + [1.0, -1.0]
    closed_form = Gaussian.fit(x).log_prob(x).mean() if kind in FULL else independent(x)
    model, result = fit(kind, x)
    assert abs(model.log_prob(x).mean() - closed_form) < 1e-6, result.message
    z, _ = model.flow.forward(x)
    covariance = z.T @ z / len(z)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(covariance if kind in FULL else np.diag(np.diag(covariance)), np.eye(2), atol=1e-5)


def test_the_rows_that_stand_in_for_digits_have_the_same_likelihood_and_gradient():
    x = standardized(digits())
    for kind in FULL:
        model = nf.NormalizingFlow(nf.testing.randomize(linear_flow(64, kind, rng=0), 0))
        loss, gradient = nf.negative_log_likelihood(model, x)
        again, gradient_again = nf.negative_log_likelihood(model, with_the_moments_of(x))
        assert loss == pytest.approx(again, rel=1e-12)
        np.testing.assert_allclose(gradient, gradient_again, atol=1e-9)


def test_whitening_is_where_triangular_ends():
    x = standardized(correlated())
    model, _ = fit("triangular", x)
    whitening = nf.NormalizingFlow(type(model.flow).whitening(x))
    np.testing.assert_allclose(model.flow.W, whitening.flow.W, atol=1e-4)
    assert abs(whitening.log_prob(x).mean() - Gaussian.fit(x).log_prob(x).mean()) < 1e-12
