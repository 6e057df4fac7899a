"""Whether a page of HTML stands alone: whole, every link inside has its place, nothing is fetched from elsewhere.

>>> check('<p id="a"><a href="#a">b</a></p>')
'<p id="a"><a href="#a">b</a></p>'
>>> check('<img src="https://example.org/a.png">')
Traceback (most recent call last):
    ...
ValueError: expected src of <img> to hold its data, got https://example.org/a.png
"""
import collections
import re
from html.parser import HTMLParser

VOID = {"br", "img", "input", "meta", "source", "wbr"}           # elements that have no end


def check(text):
    """The text itself, if it is a page that can stand alone; a ValueError names what is wrong.

    Every element ends, every id is there once, every link inside has its place, and nothing is fetched from elsewhere.
    """
    reader = Reader()
    reader.feed(text)
    reader.close()
    if reader.open:
        raise ValueError(f"expected </{reader.open[-1]}> before the end of the page")
    twice = [name for name, times in collections.Counter(reader.ids).items() if times > 1]
    if twice:
        raise ValueError(f"expected each id once, got {twice[0]} twice")
    lost = sorted(set(reader.anchors) - set(reader.ids))
    if lost:
        raise ValueError(f"expected a place for each link, got none for #{lost[0]}")
    return text


class Reader(HTMLParser):
    """Reads a page as `check` needs it: its ids, its links, what is open; and refuses what would be fetched."""

    def __init__(self):
        super().__init__()
        self.ids, self.anchors, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        for name in ("src", "srcset", "poster", "data", "action", "background"):
            if not attrs.get(name, "data:").startswith("data:"):
                raise ValueError(f"expected {name} of <{tag}> to hold its data, got {attrs[name][:60]}")
        if tag in ("link", "base", "iframe", "object", "embed"):
            raise ValueError(f"expected nothing that is fetched, got <{tag}>")
        if tag == "a" and attrs["href"].startswith("#"):
            self.anchors.append(attrs["href"][1:])
        elif tag == "a" and not attrs["href"].startswith(("https://", "http://")):
            raise ValueError(f"expected a link within the page or to the web, got {attrs['href']}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise ValueError(f"</{tag}> in line {self.getpos()[0]} ends another element")

    def handle_data(self, data):
        if self.open and self.open[-1] == "style" and re.search(r"@import|url\(", data):
            raise ValueError("expected a style that fetches nothing, got @import or url()")
        if self.open and self.open[-1] == "script" and re.search(r"https?:|fetch\(|XMLHttpRequest|import\(", data):
            raise ValueError("expected scripts that fetch nothing")
