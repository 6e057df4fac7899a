"""The table of held-out nats: its script runs, counts what has an effect, and holds out what it does not learn from."""
import numpy as np
import pytest

import nfnumpy as nf
from tests.benchmarks import held_out


def test_it_prints_the_table(capsys, monkeypatch):
    monkeypatch.setitem(held_out.DATA, "digits", held_out.DATA["digits"]._replace(budget=2000))
    held_out.main(["--data", "moons", "digits", "--flow", "RealNVP, affine", "Glow", "true density", "--steps", "2",
                   "--jobs", "1"])
    out, err = capsys.readouterr()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("|")]
    table = {line[0]: line[1:] for line in lines[2:6]}
    assert lines[0] == ["", "moons", "digits"]
    assert list(table) == ["linear Gaussian", "RealNVP, affine", "Glow", "true density"]
    assert table["Glow"][0] == "" and table["true density"][1] == ""    # no image flow of moons, no truth of digits
    train, test = nf.datasets.load("moons", 20000, 0, test_fraction=0.5)
    gaussian, truth = nf.Gaussian.fit(train).log_prob(test), nf.targets.Moons().log_prob(test)
    error = (truth - gaussian).std(ddof=1) / 100                 # of 10,000 rows
    assert table["linear Gaussian"][0] == f"{gaussian.mean():.3f}"
    assert table["true density"][0] == f"{truth.mean():.3f} ± {error:.3f}"
    assert gaussian.mean() - 0.2 < float(table["RealNVP, affine"][0].split()[0]) < truth.mean()
    assert len(err.splitlines()) == 6


@pytest.mark.parametrize("row", [row for row, flow in held_out.FLOWS.items() if flow.data != held_out.IMAGES])
def test_parameters_are_those_that_a_gradient_reaches(row):
    rng = np.random.default_rng(0)
    flow = held_out.FLOWS[row].build((3,), 5, 0).astype(np.float64)
    nf.testing.randomize(flow, rng)
    (z, log_det), vjp = flow.forward_vjp(4 * rng.standard_normal((200, 3)))    # something in every bin
    _, grad_theta = vjp(np.cos(z), np.ones_like(log_det))
    assert held_out.parameters(flow) == (grad_theta != 0).sum()


@pytest.mark.parametrize("row", [held_out.FLOWS["RealNVP, affine"], held_out.FLOWS["planar"],
                                 held_out.FLOWS["RealNVP, affine"]._replace(widest=3)])
def test_the_width_is_the_one_nearest_to_the_budget(row):
    counts = {width: held_out.parameters(row.build((2,), width, 0)) for width in range(1, min(row.widest, 32) + 1)}
    for budget in (20, 300, 400):
        assert held_out.width_for(budget, row, (2,)) == min(counts, key=lambda width: abs(counts[width] - budget))


@pytest.mark.parametrize("name", ["moons", "faithful"])
def test_no_row_is_held_out_and_learnt_from(name):
    rows = nf.datasets.table(name, held_out.DATA[name].rows, 0).x
    held = []
    for train, test in held_out.splits(name, 0):
        assert len(np.unique(np.concatenate([train, test]), axis=0)) == len(np.unique(rows, axis=0))
        assert len(train) + len(test) == len(rows)
        held.append(test)
    if name == "faithful":
        np.testing.assert_array_equal(np.sort(np.concatenate(held), axis=0), np.sort(rows, axis=0))


def test_a_cell_can_be_repeated():
    first, again = (held_out.fill("faithful", "RealNVP, affine", 2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.log_p, again.log_p)
    assert len(first.log_p) == 272
