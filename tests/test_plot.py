"""Every function of `plot` gives a figure that can be drawn, whatever the data look like; none touches pyplot."""
import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

import nfnumpy as nf
from nfnumpy import plot


def drawn(figure):
    """The figure as a .png file; drawing finds what building does not."""
    assert isinstance(figure, Figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def fitted(m, n=60):
    x = np.random.default_rng(0).standard_normal((n, m)) @ np.diag(np.arange(1.0, m + 1))
    model = nf.realnvp(m, steps=2, hidden=(4,), rng=0).standardized(x)
    return model, x, nf.fit(model, x, rng=0, max_steps=3)


@pytest.mark.parametrize("m", [1, 2, 3, 7])
def test_report_for_any_number_of_columns(m):
    model, x, history = fitted(m)
    names = [f"price in $, column {j}, a name that goes on and on and on" for j in range(m)]
    assert drawn(plot.report(history, model, x, model.sample(60, rng=0), names, "A title with $ and _ in it"))


def test_single_pictures():
    model, x, history = fitted(2)
    for figure in (plot.density(model, x), plot.samples(model.sample(50, rng=0), x), plot.learning_curve(history),
                   plot.marginals(x, model.sample(50, rng=0), ["a", "b"]),
                   plot.comparison([("data", x, ("a", "b"), [("RealNVP", model, model.sample(50, rng=0))])])):
        assert drawn(figure)


def test_density_is_drawn_where_it_is():
    """The brightest point of the heat map of N((3, -1), I) lies at its mean: no axis is swapped or upside down."""
    gaussian = nf.Gaussian([3.0, -1.0], [[1.0, 0.0], [0.0, 0.25]])
    image = plot.density(gaussian, gaussian.sample(500, rng=0)).axes[0].images[0]
    p, (left, right, bottom, top) = image.get_array(), image.get_extent()
    row, column = np.unravel_index(np.argmax(p), p.shape)
    assert image.origin == "lower"
    assert abs(left + (column + 0.5) / p.shape[1] * (right - left) - 3) < 0.1
    assert abs(bottom + (row + 0.5) / p.shape[0] * (top - bottom) + 1) < 0.1


def test_degenerate_data_can_be_drawn():
    _, _, history = fitted(2)
    history.train[0] = np.nan
    model = nf.NormalizingFlow(nf.Standardize([0.0, 0.0], [1e-200, 1.0]))          # p beyond the largest number
    assert drawn(plot.report(history, model, np.zeros((3, 2)), np.zeros((3, 2)), ["a", "b"]))


def test_columns_to_show_prefers_correlated_ones():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 8))
    x[:, 5] = x[:, 2] + 0.1 * rng.standard_normal(500)
    assert {2, 5} <= set(plot.columns_to_show(x).tolist())
    assert plot.columns_to_show(x[:, :3]).tolist() == [0, 1, 2]


def test_pyplot_is_never_loaded_and_the_package_does_without_matplotlib():
    code = ("import sys, nfnumpy, nfnumpy.__main__ as m; m.build_parser(); assert 'matplotlib' not in sys.modules; "
            "import nfnumpy.plot; assert 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
