"""The picture of `conditional.md`: a Glow that is told which digit to draw.

    python lectures/lecture02/conditional_figures.py

trains it on the digits and their labels (a minute or two), prints what it knows of held-out ones, and draws
``figures/conditional_digits.png``. Nothing is kept but the picture.
"""
import math

import numpy as np
from scipy.special import logsumexp

import nfnumpy as nf
from nfnumpy.plot import new_figure
from nfnumpy.plot_images import as_colours, draw_images

from drawing import redraw
from images_figures import INK

CLASSES = 10


def trained():
    """``model, test, labels``: a Glow p(x | c), the digits that were held out, and their labels."""
    images, labels = nf.datasets.digits()
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(images))                          # a fifth is held out, as for the Glow without labels
    test, rest = rows[:359], rows[359:]
    model = nf.glow((8, 8, 1), levels=2, steps=8, width=32, grey_levels=17, activation="tanh", rng=0, dtype=np.float32,
                    context=CLASSES)
    history = nf.fit(model, images[rest], context=nf.one_hot(labels[rest], CLASSES), rng=rng, max_steps=2000,
                     batch_size=128, lr=4e-3, weight_decay=0.5, patience=30)
    print(f"{len(model.theta)} parameters, best at step {history.best_step}, {history.seconds:.0f} s")
    return model, images[test], labels[test]


def log_prob_of_each(model, x):
    """log p(x | c) of each row for each class: ``(n, classes)``, in nats."""
    return np.stack([model.given(c[None]).log_prob(x).astype(np.float64) for c in np.eye(CLASSES)], axis=1)


def report(model, test, labels):
    """Print bits per dimension given the label and without it, and how often Bayes' rule finds the label."""
    log_p = log_prob_of_each(model, model.prepare(test, np.random.default_rng(0)))
    nats = test[0].size * math.log(2)
    for words, value in (("given its label", log_p[np.arange(len(test)), labels]),
                         ("without it, the mean of p(x | c) over classes", logsumexp(log_p, axis=1) - math.log(CLASSES))):
        bits = -value / nats
        error = bits.std() / math.sqrt(len(bits))
        print(f"bits per dimension of a held-out digit {words}: {bits.mean():.3f} +- {error:.3f}")
    right = (log_p.argmax(axis=1) == labels).mean()
    print(f"the class with the largest p(x | c) is the label for {right:.1%} of {len(test)}")


def conditional_figure(model, test, labels, columns=11):
    """A row a class: samples of p(x | c) in blue, held-out digits of that class in black. A Figure."""
    figure = new_figure(4.8)
    left, right = figure.subplots(1, 2)
    drawn = [model.given(c[None]).sample(columns, rng=0, temperature=0.7) for c in np.eye(CLASSES)]
    real = [test[labels == digit][:columns] for digit in range(CLASSES)]
    draw_images(left, as_colours(np.concatenate(drawn), 17, INK), columns, "Samples given the class, temperature 0.7")
    draw_images(right, as_colours(np.concatenate(real), 17), columns, "Held-out digits of the class")
    return figure


def conditional_digits():
    """`conditional_figure` of the trained Glow, whose numbers are printed."""
    model, test, labels = trained()
    report(model, test, labels)
    return conditional_figure(model, test, labels)


FIGURES = {"conditional_digits": conditional_digits}

if __name__ == "__main__":
    redraw(FIGURES)
