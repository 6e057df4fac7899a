"""Models in files: what is saved comes back to the bit, and nothing else is taken for a model."""
import os

import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.testing.zoo import randomize


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("build", [nf.maf, nf.realnvp])
def test_a_model_comes_back_to_the_bit(build, dtype, tmp_path):
    x = np.random.default_rng(0).standard_normal((20, 3)) * 5
    model = build(3, steps=2, hidden=(5, 4), activation="tanh", rng=0, dtype=dtype).standardized(x)
    randomize(model.flow, 0)
    model.info.update(columns=["a", "b", "ü"], source="somewhere.csv")
    nf.save(model, tmp_path / "model.npz")
    loaded = nf.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.theta, model.theta)
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))
    np.testing.assert_array_equal(loaded.sample(5, rng=0), model.sample(5, rng=0))
    assert loaded.info == model.info and loaded.theta.dtype == dtype and repr(loaded) == repr(model)


@pytest.mark.parametrize("build", [
    lambda: nf.glow((4, 4, 1), levels=2, steps=1, width=3, grey_levels=17, rng=0),
    lambda: nf.realnvp_image((4, 4, 1), couplings=1, blocks=1, width=3, grey_levels=17, alpha=0.01, rng=0, dtype=np.float32)])
def test_image_models_come_back_to_the_bit(build, tmp_path):
    model, x = build(), np.random.default_rng(0).uniform(0, 17, (5, 4, 4, 1))
    model.theta += 0.1 * np.random.default_rng(1).standard_normal(len(model.theta)).astype(model.theta.dtype)
    nf.save(model, tmp_path / "model.npz")
    loaded = nf.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))
    np.testing.assert_array_equal(loaded.sample(3, rng=0), model.sample(3, rng=0))


@pytest.mark.parametrize("build", [
    lambda: nf.AutoregressiveMLP(4, grey_levels=3, hidden=(5,), order=[2, 0, 3, 1], rng=0),
    lambda: nf.AutoregressiveCNN((2, 2, 1), grey_levels=3, width=3, depth=2, kernel_size=3, rng=0, dtype=np.float32)])
def test_discrete_models_come_back_to_the_bit(build, tmp_path):
    model = build()
    model.theta += np.random.default_rng(1).standard_normal(len(model.theta)).astype(model.theta.dtype)
    x = np.random.default_rng(0).integers(0, 3, (5, *model.x_shape))
    nf.save(model, tmp_path / "model.npz")
    loaded = nf.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))
    np.testing.assert_array_equal(loaded.sample(3, rng=0), model.sample(3, rng=0))


def test_a_base_density_of_ones_own_choice_comes_back(tmp_path):
    base = nf.Gaussian([1.0, 2.0], [[2.0, 0.5], [0.5, 1.0]])
    model = nf.NormalizingFlow(nf.Coupling(2, rng=0), base)
    nf.save(model, tmp_path / "model.npz")
    x = np.ones((1, 2))
    np.testing.assert_array_equal(nf.load(tmp_path / "model.npz").log_prob(x), model.log_prob(x))


class Doubling(nf.Flow):
    """z = 2 x: a flow of one's own, as a reader of the package would write it."""

    def __init__(self, dim):
        super().__init__((dim,))

    def forward(self, x):
        return 2 * self.as_x(x), np.full(len(x), len(x[0]) * np.log(2))

    def config(self):
        return {"dim": self.x_shape[0]}


class Coupling(nf.Flow):
    """Somebody else's class of the same name as one of the package's."""


def test_flows_of_ones_own_are_found_by_module_and_name(tmp_path):
    nf.save(nf.NormalizingFlow(nf.Composition([Doubling(2), nf.Coupling(2, rng=0)])), tmp_path / "model.npz")
    first, second = nf.load(tmp_path / "model.npz").flow.flows
    assert type(first) is Doubling and type(second) is nf.Coupling


def test_a_class_that_is_not_imported_is_named(tmp_path):
    class Local(Doubling):
        pass

    nf.save(nf.NormalizingFlow(Local(2)), tmp_path / "model.npz")
    text = (tmp_path / "model.npz").read_bytes()
    (tmp_path / "other.npz").write_bytes(text)
    Local.__qualname__ = "Gone"
    with pytest.raises(ValueError, match="it needs the class .*Local, which is not imported"):
        nf.load(tmp_path / "other.npz")


@pytest.fixture(scope="module")
def valid_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.npz"
    nf.save(nf.realnvp(2, steps=1, hidden=(3,), rng=0), path)
    return path


@pytest.mark.parametrize("content", ["text", "empty", "npy", "npz"])
def test_files_of_other_programs_are_refused(content, tmp_path):
    path = tmp_path / "other"
    with open(path, "wb") as file:
        if content == "text":
            file.write(b"a,b\n1,2\n")
        elif content == "npy":
            np.save(file, np.zeros(3))
        elif content == "npz":
            np.savez(file, theta=np.zeros(3))
    with pytest.raises(ValueError, match="not a model file"):
        nf.load(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        nf.load(tmp_path / "missing.npz")


def test_a_failed_save_leaves_the_old_file_and_nothing_else(valid_file, tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(valid_file.read_bytes())
    model = nf.realnvp(2, steps=1, rng=0)
    model.info["bad"] = {1, 2}                                   # JSON has no sets
    with pytest.raises(TypeError):
        nf.save(model, path)
    assert path.read_bytes() == valid_file.read_bytes() and os.listdir(tmp_path) == ["model.npz"]


def test_a_later_format_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("nfnumpy.saving.FORMAT", 3)
    nf.save(nf.realnvp(2, steps=1, rng=0), tmp_path / "model.npz")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="expected format 2 or earlier, got 3: written by a later version"):
        nf.load(tmp_path / "model.npz")


class Forgetful(Doubling):
    """A flow of one's own without a config()."""

    def config(self):
        return {}


def test_what_cannot_be_loaded_is_not_saved(tmp_path, valid_file):
    path = tmp_path / "model.npz"
    path.write_bytes(valid_file.read_bytes())
    with pytest.raises(TypeError, match=r"expected every part's config\(\) to hold the arguments .*missing 1 required .*'dim'"):
        nf.save(nf.NormalizingFlow(Forgetful(2)), path)
    broken = nf.realnvp(2, steps=1, rng=0)
    broken.theta[0] = np.nan
    with pytest.raises(ValueError, match="model: expected finite parameters"):
        nf.save(broken, path)
    assert path.read_bytes() == valid_file.read_bytes() and os.listdir(tmp_path) == ["model.npz"]
