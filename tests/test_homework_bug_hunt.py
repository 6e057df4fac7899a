"""The listings of the homework's bug hunt do what their text says: broken in one line, right with it put back."""
import re

import numpy as np
import pytest

from nfnumpy.homework import packs

EXERCISE = packs.exercise("bug_hunt")
CHECKS = EXERCISE.cases.__globals__                              # the module that defines the exercise
LISTINGS = range(1, 1 + len(CHECKS["BUGS"]))


def parts_of(text):
    """Source lines, the setting's source, and the counterexample ``(call, gives, must be)`` of a listing."""
    setting, *told = re.search(r"\n\n((?: {4}[^\s\d].*\n(?: {8}.*\n)*)*?) {4}call: +(.*)\n {4}gives: +(.*)\n"
                               r" {4}must be: +(.*)\n", text).groups()
    return CHECKS["source_of"](text), re.sub("^ {4}", "", setting, flags=re.MULTILINE), told


def value(lines, setting, call):
    names = {"np": np}
    exec("\n".join(lines), names)
    exec(setting, names)
    return np.asarray(eval(call, names))


@pytest.mark.parametrize("variant", (0, 1))
@pytest.mark.parametrize("k", LISTINGS)
def test_a_listing_is_broken_in_its_line_and_right_without_the_bug(k, variant):
    lines, setting, (call, gives, must_be) = parts_of(CHECKS["listing"](k, EXERCISE.template_of(variant)))
    bug = CHECKS["BUGS"][k - 1][variant]
    assert lines[bug.line - 1].strip() == bug.broken
    mended = list(lines)
    mended[bug.line - 1] = lines[bug.line - 1].replace(bug.broken, bug.right)
    for source, told in ((lines, gives), (mended, must_be)):
        np.testing.assert_allclose(value(source, setting, call), eval(told), rtol=5e-4, atol=1e-12)
    assert gives != must_be


@pytest.mark.parametrize("k", LISTINGS)
def test_both_variants_have_the_same_right_listing(k):
    mended = []
    for variant in (0, 1):
        text, bug = CHECKS["listing"](k, EXERCISE.template_of(variant)), CHECKS["BUGS"][k - 1][variant]
        mended.append(CHECKS["source_of"](text.replace(bug.broken + "\n", bug.right + "\n")))
    assert mended[0] == mended[1]


def test_lines_are_numbered_from_one():
    for k in LISTINGS:
        numbers = [int(number) for number in re.findall(r"^ {4,5}(\d+)  ", CHECKS["listing"](k), re.MULTILINE)]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 7
