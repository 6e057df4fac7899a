"""The companion as one page: it stands alone, all of the pages is in it, and players share it without a clash."""
import base64
import io
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from companion import document, pages, player
from companion.alone import check
from matplotlib.animation import FuncAnimation
from matplotlib.figure import Figure
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CODE = re.compile(r"^```.*?^```|^    [^\n]*|(`+).*?\1", re.M | re.S)


class Elements(HTMLParser):
    """All start tags with their attributes, and the text of each <pre> by the id of its page or source."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.code, self.place, self.inside = [], [], None, False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "article" or tag == "pre" and "id" in attrs:
            self.place = attrs["id"]
        if tag == "pre":
            self.inside = True
            self.code.append((self.place, ""))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "pre"

    def handle_data(self, data):
        if self.inside:
            place, text = self.code.pop()
            self.code.append((place, text + data))

    def all(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]


@pytest.fixture(scope="module")
def text():
    return document.document(players=False)


@pytest.fixture(scope="module")
def page(text):
    return Elements(text)


# It stands alone

def check_alone(page):
    """No address is left that a browser would fetch, and every link inside has its place."""
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links and {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert all(link.startswith(("#", "https://")) for link in links)
    assert len(page.all("href")) == len(links)                   # nothing but <a> has one
    assert all(value.startswith("data:image/") for name in ("src", "srcset") for value in page.all(name))


def test_nothing_is_fetched_and_no_link_is_dead(page, text):
    check_alone(page)
    assert "default-src 'none'" in text.split("<style>")[0]
    style = re.search("<style>(.*?)</style>", text, re.S)[1]
    assert "url(" not in style and "@import" not in style and "http" not in style


@pytest.mark.parametrize("broken, what", [
    ("<p>a", "expected </p>"), ("<b><i></b></i>", "</b> in line 1"), ("<p></p></p>", "</p> in line 1"),
    ('<b id="a"></b><i id="a"></i>', "expected each id once, got a twice"), ('<a href="#a">b</a>', "got none for #a"),
    ('<img src="https://a.org/b.png">', "expected src of <img>"), ('<img srcset="b.png">', "expected srcset"),
    ('<script src="a.js"></script>', "expected src of <script>"),
    ('<link rel="stylesheet" href="a.css">', "got <link>"),
    ('<iframe></iframe>', "got <iframe>"), ('<form action="#n"></form>', "expected action"),
    ("<style>@import 'a.css';</style>", "a style that fetches nothing"), ("<style>a { b: url(c) }</style>", "url"),
    ("<script>fetch('a')</script>", "scripts that fetch nothing"),
    ('<a href="other.md">b</a>', "within the page or to the web"),
])
def test_check_refuses_a_page_that_needs_another_file_or_is_not_whole(broken, what):
    with pytest.raises(ValueError, match=re.escape(what)):
        check(broken)


def test_check_returns_a_good_page():
    good = '<p id="a"><a href="#a">b</a><br><img src="data:image/png;base64," alt="c"><a href="https://d.org">e</a></p>'
    assert check(good) == good


# Everything is in it

def test_the_pages_come_in_the_order_of_the_lecture(page):
    articles = [attrs["id"] for tag, attrs in page.tags if tag == "article"]
    order = ["README", "recap", "kl", "zoo", "prerequisites", "fitting", "composition", "linear", "autoregressive",
             "expressivity", "coupling", "images", "summary"]
    assert articles[:13] == [f"lectures/lecture02/{name}.md" for name in order]
    assert set(articles) >= {path.relative_to(ROOT).as_posix() for path in (ROOT / "lectures").glob("**/*.md")}
    contents = [attrs["href"][1:] for tag, attrs in page.tags[:page.tags.index(("main", {"id": "text"}))] if tag == "a"]
    assert set(articles) <= set(contents)


def test_every_figure_is_in_it_whole_and_described(page):
    images = {attrs["id"]: attrs for tag, attrs in page.tags if tag == "img" and "id" in attrs}
    assert set(images) == {f"figures/{path.name}" for path in (ROOT / "figures").iterdir()}
    for name, attrs in images.items():
        assert base64.b64decode(attrs["src"].split(",")[1]) == (ROOT / name).read_bytes()
        assert len(attrs["alt"]) > 10
        with Image.open(ROOT / name) as image:
            assert (attrs["width"], attrs["height"]) == tuple(map(str, image.size))


def test_a_film_stands_still_for_those_who_asked_for_less_motion(page):
    still = [attrs for tag, attrs in page.tags if tag == "source"]
    assert [attrs["media"] for attrs in still] == ["(prefers-reduced-motion: reduce)"]
    assert still[0]["srcset"].startswith("data:image/png")


def test_every_block_of_code_is_in_it_as_the_page_has_it(page):
    for name in pages.all_pages():
        fenced = re.findall(r"^```(\w*)\n(.*?)^```$", pages.read(name), re.M | re.S)
        blocks = [block for language, block in fenced if language != "math"]
        written = [code.strip("\n") for place, code in page.code if place == name]
        indented = [code for code in written if code not in {block.strip("\n") for block in blocks}]
        assert [code for code in written if code not in indented] == [block.strip("\n") for block in blocks]
        assert all(line in pages.read(name) for code in indented for line in code.split("\n"))


def test_every_source_is_in_it_unchanged(page):
    found = dict(page.code)
    linked = {path for name in pages.all_pages() for _, path, _ in pages.links(name)
              if not path.startswith("figures/") and not path.endswith(".md")}
    assert len(linked) > 80
    for path in linked:
        assert found[path] == (ROOT / path).read_text(encoding="utf-8").rstrip("\n"), path


def test_all_mathematics_is_converted(page, text):
    formulas = 0
    for name in pages.all_pages():
        source = pages.read(name)
        formulas += len(re.findall("^```math$", source, re.M))
        formulas += len(re.findall(r"\$[^$]+\$", CODE.sub("", source)))
    assert formulas > 900 and sum(tag == "math" for tag, _ in page.tags) == formulas
    prose = re.sub(r"<(pre|code|style|script)\b.*?</\1>", "", text.split("<main")[1], flags=re.S)
    assert "$" not in prose and not re.search(r"\\[a-z]", prose)


def test_tables_keep_numbers_whole_and_scroll_within_a_box_that_shows_it(page, text):
    """Each stands in a box of its own that scrolls, with a shadow where it does; "How good" has names and numbers."""
    before = [page.tags[k - 1] for k, (tag, _) in enumerate(page.tags) if tag == "table"]
    assert len(before) > 20 and set(map(repr, before)) == {repr(("div", {"class": "table"}))}
    good = text.split(f'id="{pages.anchor("README.md", "how-good")}"')[1].split("</table>")[0]
    rows = [re.findall("<td[^>]*>.*?</td>", row) for row in re.findall("<tr><td.*?</tr>", good)]
    cells = [cell for row in rows for cell in row[1:] if cell != "<td></td>"]
    assert len(rows) > 10 and sum("±" in cell for cell in cells) > 40
    assert all(re.fullmatch(r'<td class="number">[-\d.]+( ± [\d.]+)?</td>', cell) for cell in cells)
    box, number = (re.search(rf"^\.{name} {{(.*?)}}", text, re.M | re.S)[1] for name in ("table", "number"))
    assert "overflow-x: auto" in box and box.count("no-repeat local") == box.count("no-repeat scroll") == 2
    assert "white-space: nowrap" in number
    assert {"--shade"} <= set(re.findall(r"var\((--\w+)\)", box)) <= set(re.findall(r"(--\w+):", text))


def test_a_page_that_cannot_be_read_is_named(monkeypatch):
    monkeypatch.setattr(pages, "read", lambda name: "# A\n\n<div>")
    with pytest.raises(ValueError, match="lectures/lecture02/kl.md: a line that is not of the Markdown"):
        document.article("lectures/lecture02/kl.md", set())


@pytest.mark.parametrize("target", ["no_such.md", "../../../outside.md", "outgrow"])
def test_a_link_to_nothing_is_named(target):
    with pytest.raises(ValueError, match=f"kl.md: expected a link to a file of the checkout, got {target}"):
        pages.resolve("lectures/lecture02/kl.md", target)


def test_a_link_beyond_the_end_of_a_source_is_named():
    with pytest.raises(ValueError, match="expected a line of nfnumpy/flow.py, got #L99999"):
        document.source("nfnumpy/flow.py", {"L99999"})


# Players

def film(frames):
    figure = Figure(figsize=(1, 1))
    return FuncAnimation(figure, lambda k: figure.suptitle("ABC"[k]), frames=frames, init_func=lambda: (),
                         cache_frame_data=False)


def test_two_players_in_one_page_do_not_clash():
    shared, first = player.player(film(3), "one", "The first", dpi=20)
    again, second = player.player(film(2), "two", "The second", dpi=20)
    assert shared == again
    page = Elements(check(f"<main>{shared}{first}{second}</main>"))
    assert len(set(page.all("id"))) == len(page.all("id"))
    assert re.findall(r"\banim(\w+) = new", first + second) == ["one", "two"]
    for markup, name, frames in ((first, "one", 3), (second, "two", 2)):
        assert len(set(re.findall(r'frames\[\d\] = "(data:image/png;base64,[\w+/=]+)"', markup))) == frames
        assert f"var frames = new Array({frames})" in markup and f"anim{name}.next_frame()" in markup


def test_a_player_says_what_it_is_fetches_nothing_and_waits_to_be_asked():
    shared, markup = player.player(film(2), "one", 'A "sign"', dpi=20)
    page = Elements(markup)
    (_, box), (_, image), *_ = page.tags
    assert image["alt"] == 'A "sign"' and image["src"].startswith("data:image/png")
    assert (box["tabindex"], box["role"], box["aria-label"]) == ("0", "group", 'Player: A "sign"')
    buttons = [attrs for tag, attrs in page.tags if tag == "button"]
    assert len(buttons) == 9 and all(attrs["aria-label"] and attrs["type"] == "button" for attrs in buttons)
    assert all(label.strip() for label in re.findall(r"<button[^>]*>(.*?)</button>", markup, re.S))
    modes = [attrs for tag, attrs in page.tags if attrs.get("type") == "radio"]
    assert [attrs["value"] for attrs in modes if "checked" in attrs] == ["once"]
    assert "play_animation()" not in re.search("<script>(.*)</script>", markup, re.S)[1]
    assert "http" not in shared + markup and 'class="fa' not in markup and "<link" not in markup


def test_a_frame_with_fewer_colours_looks_the_same():
    image = Image.linear_gradient("L").convert("RGB")
    out = io.BytesIO()
    image.save(out, "PNG")
    smaller = player.smaller(base64.b64encode(out.getvalue()).decode())
    again = Image.open(io.BytesIO(base64.b64decode(smaller))).convert("RGB")
    assert again.size == image.size
    assert max(abs(a - b) for a, b in zip(image.tobytes(), again.tobytes())) <= 4    # 256 greys, of 256 colours at most


def test_a_name_that_is_no_word_is_refused():
    with pytest.raises(ValueError, match="name: expected a word of letters, digits and _, got 'a b'"):
        player.player(None, "a b", "")


def test_another_player_than_the_known_one_is_refused(monkeypatch):
    monkeypatch.setattr(player, "parts", lambda animation, dpi: ('<img id="_anim_img0"><i class="fa fa-bolt"></i>', (
        "", 'frames[0] = "data:image/png;base64,"')))
    with pytest.raises(ValueError, match="animation: expected matplotlib's player"):
        player.player(None, "one", "")


def test_the_three_players_stand_in_the_page_with_their_keys():
    article = document.player_article(frames=2, steps=1)
    page = Elements(check(article + '<p id="lectures/lecture02/companion/animations.py"></p>'))
    assert page.all("data-player") == ["stepping", "warping", "training"]
    assert sorted(map(int, re.findall(r"new Array\((\d+)\)", article))) == [2, 2, 5]
    keys = (Path(document.HERE) / "keys.js").read_text(encoding="utf-8")
    methods = set(re.findall(r"Animation\.prototype\.(\w+)", unescape(article)))
    called = {name for pair in re.findall(r"animation\.(\w+)\(|: \"(\w+_frame)\"", keys) for name in pair if name}
    assert {"play_animation", "next_frame"} <= called <= methods
