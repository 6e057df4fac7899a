"""What the flows learn, in nats: close to a density that is known, and better than a Gaussian on every data set."""
import numpy as np
import pytest

import nfnumpy as nf
from nfnumpy.targets import TOY, Moons

BUILDERS = {"maf": nf.maf, "realnvp": nf.realnvp}


@pytest.mark.parametrize("flow", BUILDERS)
def test_moons_within_five_hundredths_of_a_nat_of_the_truth(flow):
    """The mean of log pi - log p on 10,000 fresh points estimates KL(pi, p); its standard error here is about 0.003."""
    pi = Moons(noise=0.1)
    x, fresh = pi.sample(20_000, rng=1), pi.sample(10_000, rng=2)
    model = BUILDERS[flow](2, steps=8, hidden=(24, 24), activation="tanh", rng=0).standardized(x)
    nf.fit(model, x, rng=0, max_steps=1500, lr=1e-2, eval_every=75)
    assert (pi.log_prob(fresh) - model.log_prob(fresh)).mean() < 0.05


def gains(flow, train, test, **arguments):
    """log p of the flow minus that of the Gaussian fit on the test rows."""
    model = BUILDERS[flow](train.shape[1], hidden=(32, 32), activation="tanh", rng=0).standardized(train)
    nf.fit(model, train, rng=0, **arguments)
    return model.log_prob(test) - nf.Gaussian.fit(train).log_prob(test)


@pytest.mark.parametrize("name", [*TOY, "digits", "patches"])
@pytest.mark.parametrize("flow", BUILDERS)
def test_better_than_the_gaussian_by_more_than_three_standard_errors(flow, name):
    """The standard error is that of the paired difference on held-out rows."""
    train, test = nf.datasets.load(name, n=3000 if name in TOY else None, rng=0)
    gain = gains(flow, train, test, max_steps=150, lr=1e-2, weight_decay=1.0, eval_every=15)
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))


@pytest.mark.parametrize("flow", BUILDERS)
def test_better_than_the_gaussian_on_old_faithful(flow):
    """By five-fold cross-validation: a fifth of 272 rows is too few to tell, and here every row is held out once."""
    x = np.concatenate(nf.datasets.load("faithful", rng=0))
    folds = np.array_split(x, 5)
    gain = np.concatenate([
        gains(flow, np.concatenate(folds[:k] + folds[k + 1:]), folds[k], max_steps=150, weight_decay=3.0, lr=4e-3,
              valid_fraction=0.2, patience=8, eval_every=10) for k in range(5)])
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))
