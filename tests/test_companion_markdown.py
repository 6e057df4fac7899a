"""The companion's converters: LaTeX to MathML, Markdown to HTML, Python in colours. Right, or refused; never half."""
import re
import xml.etree.ElementTree as ElementTree
from html import unescape

import pytest
from companion.alone import Reader
from companion.latex_symbols import LETTERS, OPERATIONS, RELATIONS
from companion.markdown import Writer, blocks, inline, slug, to_html
from companion.mathml import mathml
from companion.python_code import coloured, session
from hypothesis import example, given
from hypothesis import strategies as st


def words(markup):
    """The text of a piece of markup, as a reader gets it."""
    return unescape(re.sub(r"<[^>]*>", "", markup))


def check_balanced(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert not reader.open, reader.open


# Mathematics

SIGNS = {**{letter: letter for letter in "abxyzJW"}, **LETTERS,
         **{token: unescape(sign) for token, sign in {**OPERATIONS, **RELATIONS}.items()}}


def around(inner):
    """Formulas made of smaller ones: ``(LaTeX, text of the MathML)``."""
    one = st.tuples(inner, inner)
    return st.one_of(
        one.map(lambda two: (f"{two[0][0]} {two[1][0]}", two[0][1] + two[1][1])),
        one.map(lambda two: (rf"\frac{{{two[0][0]}}}{{{two[1][0]}}}", two[0][1] + two[1][1])),
        st.tuples(inner, st.sampled_from(sorted(SIGNS))).map(
            lambda of: (f"x_{{{of[0][0]}}}^{of[1]}", "x" + of[0][1] + SIGNS[of[1]])),
        inner.map(lambda of: (rf"\left( {of[0]} \right]", f"({of[1]}]")),
        inner.map(lambda of: (rf"\sum_{{{of[0]}}}", f"∑{of[1]}")),
        inner.map(lambda of: (rf"\hat {{{of[0]}}}", f"{of[1]}^")),
        one.map(lambda two: (rf"\begin{{pmatrix}} {two[0][0]} & {two[1][0]} \\ 1 & 2.5 \end{{pmatrix}}",
                             f"({two[0][1]}{two[1][1]}12.5)")))


formulas = st.recursive(st.sampled_from(sorted(SIGNS.items())), around, max_leaves=8)


@given(formulas)
def test_no_sign_of_a_formula_is_lost(formula):
    latex, signs = formula
    markup = ElementTree.fromstring(mathml(latex, display=True))
    assert "".join(markup.itertext()) == signs


PIECES = [*"x1{}_^'(|&<-$é \\", *(r"\\ \frac \left \right \lvert \rvert \begin{aligned} \end{aligned} \hat \text \sqrt "
                                r"\mathrm{d} \sum \log \quad \bigl \mid").split()]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@example("\\left")
@example("x_")
@example("\\begin{aligned} x")
def test_a_formula_is_well_formed_or_refused(latex):
    try:
        markup = mathml(latex)
    except ValueError as error:
        assert str(error).startswith("formula ")
    else:
        tree = ElementTree.fromstring(markup)
        arguments = {"mfrac": 2, "msub": 2, "msup": 2, "msubsup": 3, "munder": 2, "mover": 2, "munderover": 3}
        assert not [part for part in tree.iter() if len(part) != arguments.get(part.tag, len(part))]


@pytest.mark.parametrize("latex, expected", [
    (r"\frac12", "<mfrac><mn>1</mn><mn>2</mn></mfrac>"),
    ("10^3", "<msup><mn>10</mn><mn>3</mn></msup>"),
    ("x_1^2", "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>"),
    ("h'_k", "<msubsup><mi>h</mi><mi>k</mi><mo>′</mo></msubsup>"),
    (r"\mathrm{d}", '<mi mathvariant="normal">d</mi>'),
    (r"\mathbb{R}", "<mi>ℝ</mi>"),
])
def test_formulas_by_hand(latex, expected):
    assert mathml(latex) == f"<math>{expected}</math>"


def test_a_minus_before_a_number_stands_close_and_between_two_it_does_not():
    space = '<mspace width="0.222em"/>'
    assert mathml("a - 1").count(space) == 2
    assert [mathml(latex).count(space) for latex in ("-1", "(-1", "a = -1", r"\log -1", "x_{a - 1}")] == [0] * 5


def test_limits_go_below_a_sum_and_beside_an_integral():
    assert "<munderover>" in mathml(r"\sum_{j=1}^m") and "<munder>" in mathml(r"\max_\theta")
    assert "<msubsup>" in mathml(r"\int_0^1")


@pytest.mark.parametrize("latex, what", [
    (r"x + \foo", r"\\foo is not of the LaTeX"), ("{x", "expected }, got the end"), ("x_1_2", "two _ after one atom"),
    (r"\frac{1}", "an argument is missing"), (r"\left( x", r"expected \\right, got the end"),
    (r"\begin{cases}", "expected pmatrix or aligned, got cases"), (r"\mathbb{Q}", "expected one of E R"),
    (r"\begin{aligned} x", "has no"), (r"\text{a \b}", "expected plain text"), (r"\quad_x", "without an atom"),
])
def test_what_a_formula_must_not_have_is_named(latex, what):
    with pytest.raises(ValueError, match=what):
        mathml(latex)


# Markdown

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
plain_text = st.text(st.sampled_from(PUNCTUATION + "abc é1"), min_size=1, max_size=20)


@given(plain_text)
def test_what_is_escaped_is_text(text):
    escaped = "".join(f"\\{sign}" if sign in PUNCTUATION else sign for sign in text)
    assert words(inline(escaped)) == text


@given(plain_text.filter(lambda text: "`" not in text and text.strip() == text))
def test_code_is_as_it_stands(text):
    assert words(inline(f"before `{text}` after")) == f"before {text} after"


MARKS = [*"*`$[)!_\\|&>x \n", "**", "``", "](", "<br>", "<sub>", "</sub>", "<b>", "&nbsp;", "y z", "\n\n", "# ", "- ",
         "1. ", "> ", "| a |\n| --- |\n", "```\n", "    "]


@given(st.lists(st.sampled_from(MARKS), max_size=10).map("".join))
@example("*a **b***")
@example("<sub><sub></sub></sub>")
@example("[a [b](c)](d)")
def test_a_page_is_whole_or_refused(text):
    class Silent(Writer):
        def link(self, target, text):
            return f"<b>{text}</b>"

        def image(self, target, alt):
            return "<br>"

    try:
        markup = to_html(text, Silent())
    except ValueError:
        return
    check_balanced(markup)


lines = st.text(st.sampled_from("ab `*$."), min_size=1, max_size=12).map(lambda text: "w" + text.strip() + "w")
paragraphs = st.lists(lines, min_size=1, max_size=3).map("\n".join)
BLOCKS = {
    "heading": (st.tuples(st.integers(1, 4), lines), lambda of: "#" * of[0] + " " + of[1]),
    "paragraph": (paragraphs, lambda of: of),
    "quote": (paragraphs, lambda of: "> " + of.replace("\n", "\n> ")),
    "math": (lines, lambda of: f"```math\n{of}\n```"),
    "code": (st.tuples(st.sampled_from(["python", "sh"]), st.lists(lines | st.just(""), max_size=3).map("\n".join)),
             lambda of: f"```{of[0]}\n{of[1]}\n```"),
    "figure": (st.tuples(lines, st.just("a/b.png")), lambda of: f"![{of[0]}]({of[1]})"),
    "list": (st.tuples(st.none() | st.just(1), st.lists(paragraphs, min_size=1, max_size=3)),
             lambda of: "\n".join(("- " if of[0] is None else f"{of[0] + k}. ") + item.replace(
                 "\n", "\n" + " " * (2 if of[0] is None else 3)) for k, item in enumerate(of[1]))),
    "table": (st.integers(1, 3).flatmap(lambda wide: st.lists(st.lists(lines, min_size=wide, max_size=wide), min_size=1,
                                                              max_size=3)),
              lambda of: "\n".join("| " + " | ".join(row) + " |" for row in [of[0], ["---"] * len(of[0]), *of[1:]])),
}
documents = st.lists(st.sampled_from(sorted(BLOCKS)).flatmap(
    lambda kind: st.tuples(st.just(kind), BLOCKS[kind][0])), max_size=5)


@given(documents)
def test_blocks_are_read_as_they_were_written(document):
    text = "\n\n".join(BLOCKS[kind][1](content) for kind, content in document)
    assert list(blocks(text)) == document


@pytest.mark.parametrize("text, what", [
    ("```python\nx", "without an end"), ("| a |\nb", "line of dashes"),
    ("| a |\n| --- |\n| b | c |", "different numbers"),
    ("- a\n b", "indented by 2"), ("- a\n  - b", "indented by 2"), ("a\n- b", "not of the Markdown"),
    ("a [b] (c) *", r"\*$"), ("<div>", "not of the Markdown"), ("a <b>c</b>", "<b>c"), ("_a_", "from here on: _a_"),
    ("a $x", r"from here on: \$x"), ("a\n===", "not of the Markdown"), ("a<sub>b", "expected </sub>"),
    ("1. a\n- b", "another item"), ("* a", "not of the Markdown"),
    ("[a](b c)", r"from here on: \]\(b c\)"), ("[a][b]", "from here on"), ("![a](b", "from here on"),
])
def test_what_a_page_must_not_have_is_shown(text, what):
    with pytest.raises(ValueError, match=what):
        to_html(text)


numbers = st.one_of(
    st.integers(-10**6, 10**6).map("{:,}".format), st.floats(-999, 999).map("{:.3f}".format),
    st.floats(1e-30, 1e30).map("{:.0e}".format), st.integers(0, 99).map("+{}".format))
quantities = st.one_of(
    numbers, st.tuples(numbers, st.sampled_from(["±", "+-", "-", "to"]), numbers).map(" ".join),
    st.tuples(numbers, st.sampled_from(["s", "ms", "µs"])).map(" ".join),
    st.tuples(numbers, numbers, st.sampled_from(["ms", "µs"])).map(lambda of: f"{of[0]} ({of[1]} {of[2]})"))


@given(quantities)
def test_a_cell_of_numbers_stays_on_one_line(text):
    assert to_html(f"| a |\n| --- |\n| {text} |").count(f'<td class="number">{text}</td>') == 1


@pytest.mark.parametrize("text", ["10,000 densities", "conv1x1, plu", "12. Composition", "1 + 1 dots", "0.1, 0.2, 0.3",
                                  "a -1.0 ± 0.1", "1 to many", "", "s"])
def test_a_cell_of_words_may_break(text):
    assert f"<td>{text}</td>" in to_html(f"| a |\n| --- |\n| {text} |")


@pytest.mark.parametrize("name, shown", [
    ("recap_receptive_field", "recap_|receptive_|field"), ("recap_sampling", "recap_|sampling"), ("x_1", "x_1"),
    ("one_screen.py", "one_|screen.py"), ("-109.785", "-109.785"),
    ("NormalizingFlow.log_prob", "NormalizingFlow.|log_|prob"),
])
def test_where_a_long_name_may_break(name, shown):
    assert inline(name) == inline(f"`{name}`")[6:-7] == shown.replace("|", "<wbr>")


def test_a_name_in_capitals_may_break_within_a_table_only():
    cell = to_html("| a |\n| --- |\n| [`GaussianAutoregressive`](GaussianAutoregressive.py) GaussianAutoregressive |")
    assert cell.count("Gaussian<wbr>Autoregressive") == cell.count("<code>Gaussian<wbr>Autoregressive</code>") == 1
    assert "<wbr>" not in to_html("`GaussianAutoregressive`")


def test_markdown_by_hand():
    assert to_html("# A *b*\n\n3. c\n4. `d`") == (
        '<h1>A <em>b</em></h1>\n<ol start="3"><li>c</li><li><code>d</code></li></ol>')
    assert "<tr><td><code>x | y</code></td></tr>" in to_html("| a |\n| --- |\n| `x \\| y` |")
    assert inline("`` ` ``") == "<code>`</code>"
    assert inline("**a *b* c** ``d`e``") == "<strong>a <em>b</em> c</strong> <code>d`e</code>"
    assert inline("A formula, $x$, and ($y$).").count('<span class="held">') == 2
    assert inline("A formula, $x$, and ($y$).").endswith("</math>).</span>")


def test_repeated_headings_get_numbers_as_on_github():
    assert slug("LU", ["lu", "lu-1"]) == "lu-2"


# Python

@pytest.mark.parametrize("source", [
    'def f(x):\n    """Two\n    lines."""\n    return x < 1 and "<a>"  # & so on',
    's = f"{a:.2f} {{b}} {c!r}"\n', "", "x = 1",
    "class A:\n\tpass"])
def test_colours_change_no_character(source):
    markup = coloured(source)
    assert words("\n".join(markup)) == source
    for line in markup:
        check_balanced(line)


def test_what_has_which_colour():
    assert coloured("def f(): return 'a', 1  # b") == [
        '<i class="k">def</i> <i class="d">f</i>(): <i class="k">return</i> '
        '<i class="s">\'a\'</i>, <i class="n">1</i>  <i class="c"># b</i>']


def test_a_session_keeps_prompts_and_output_apart():
    markup = session(">>> for k in 1, 2:\n...     print(k)\n1\n2\n\n>>> 'a'\n'a'")
    assert words(markup) == ">>> for k in 1, 2:\n...     print(k)\n1\n2\n\n>>> 'a'\n'a'"
    assert re.findall("<samp>(.*?)</samp>", markup) == ["1", "2", "'a'"] and markup.count("<b>") == 3


def test_what_is_not_python_is_refused():
    with pytest.raises(ValueError, match="expected Python"):
        coloured("x = (1,")
