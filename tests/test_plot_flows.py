"""The pictures of what a flow does show what the flow does: each is drawn once, and its numbers are read back."""
import io

import numpy as np
import pytest
from matplotlib.animation import PillowWriter
from matplotlib.figure import Figure

import nfnumpy as nf
from nfnumpy import plot_flows


@pytest.fixture(scope="module")
def model():
    flow = nf.realnvp(2, steps=3, hidden=(8,), activation="tanh", rng=0).flow
    return nf.NormalizingFlow(nf.testing.randomize(flow, rng=0))


def test_jacobians_are_inverse_to_each_other(model):
    figure = plot_flows.jacobians(model.flow, [0.3, -0.2])
    J_f, J_g, product = (ax.images[0].get_array().filled(0.0) for ax in figure.axes[:3])
    np.testing.assert_allclose(product, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(J_g, np.linalg.inv(J_f), rtol=1e-10, atol=1e-12)
    assert figure.axes[0].texts[1].get_text() == f"{J_f[0, 1]:.2f}"


def test_the_third_map_is_the_sum_of_the_others_and_the_log_density(model):
    figure = plot_flows.terms(model, ((-2, 2), (-1, 3)))
    base, volume, log_p = (ax.images[0].get_array() for ax in figure.axes[:3])
    np.testing.assert_allclose(base + volume, log_p, rtol=1e-12, atol=1e-12)
    x = np.array([[-2.0, -1.0], [2.0, -1.0], [-2.0, 3.0]])       # where x1 and x2 run, and where the picture starts
    np.testing.assert_allclose(log_p[[0, 0, -1], [0, -1, 0]], model.log_prob(x), rtol=1e-12)


def test_normalizing_shows_the_data_and_their_noise(model):
    x = model.sample(50, rng=0)
    figure = plot_flows.normalizing([("z", model)], x)
    shown = [np.transpose(ax.lines[0].get_data()) for ax in figure.axes]
    np.testing.assert_array_equal(shown[0], x)
    np.testing.assert_array_equal(shown[1], model.flow.forward(x)[0])


def test_steps_end_in_samples_and_in_the_log_determinant(model):
    figure = plot_flows.steps(model, n=40, rng=0)
    above, below = figure.axes[:4], figure.axes[4:8]
    np.testing.assert_allclose(np.transpose(above[-1].lines[0].get_data()), model.sample(40, rng=0), rtol=1e-12)
    z = np.array([segment.mean(axis=0) for segment in below[0].collections[0].get_segments()])
    coloured = below[-1].collections[0].get_array()
    np.testing.assert_allclose(coloured, model.flow.inverse(z)[1], atol=0.05)    # a mean of both ends, not the middle
    figure.savefig(io.BytesIO(), format="png", dpi=40)


def test_a_composition_in_a_composition_is_taken_apart_and_other_dimensions_are_refused(model):
    standardized = model.standardized(model.sample(50, rng=0))   # its flow: the standardisation, then a composition
    assert len(plot_flows.steps(standardized, n=20).axes) == 2 * (1 + 1 + 3) + 1
    assert len(plot_flows.steps(nf.linear(2, rng=0), n=20).axes) == 2 * (1 + 1) + 1
    with pytest.raises(ValueError, match=r"model: expected one of two dimensions, got samples of shape \(3,\)"):
        plot_flows.steps(nf.maf(3, rng=0))


def test_the_film_starts_as_noise_and_ends_as_samples(model, tmp_path):
    film = plot_flows.animation(model, n=30, rng=0, between=1, rest=1)
    film.save(tmp_path / "flow.gif", writer=PillowWriter(fps=8), dpi=30)
    dots = film._fig.axes[0].lines[0].get_data()
    np.testing.assert_allclose(np.transpose(dots), model.sample(30, rng=0), rtol=1e-12)
    assert isinstance(film._fig, Figure) and (tmp_path / "flow.gif").read_bytes()[:6] == b"GIF89a"


def test_grid_lines_end_on_the_circle():
    lines = plot_flows.grid_lines(radius=2.0, lines=4, points=5)
    assert lines.shape == (8, 5, 2)
    np.testing.assert_allclose(np.linalg.norm(lines[:, [0, -1]], axis=-1), 2.0)
