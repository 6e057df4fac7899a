"""An animation as a player inside a page: matplotlib's own (`matplotlib.animation.HTMLWriter`), fit for a single file.

What its writer gets from the network, the signs on its buttons, becomes text; the class that moves the frames stands in
a page once; every name on the page has the player's name in it; buttons and picture say what they are; the first frame
is there without JavaScript too. It plays once, when asked to.
"""
import base64
import io
import pathlib
import re
from html import escape
from tempfile import TemporaryDirectory

from matplotlib.animation import HTMLWriter
from PIL import Image

SIGNS = {"minus": "slower", "fast-backward": "|◂", "step-backward": "◂", "play fa-flip-horizontal": "◀ play",
         "pause": "stop", "play": "play ▶", "step-forward": "▸", "fast-forward": "▸|", "plus": "faster"}
ICON = re.compile(r'<i class="fa fa-([^"]*)"></i>')
FRAME = re.compile(r'(frames\[\d+\] = "data:image/png;base64,)([^"]*)"')
SHOWN_PER_SECOND = 6
MAX_COVERAGE = 1                                                 # Pillow's choice of colours that spares rare ones


def player(animation, name, alt, dpi=80):
    """``(shared, markup)``: the script that all players of a page share, and this one's markup with its frames.

    Arguments: a matplotlib `Animation`; `name`, a word of its own on the page; `alt`, what is to be seen, in words. A
    ValueError if matplotlib's player has another form than this function knows.
    """
    if not re.fullmatch(r"[a-z]\w*", name):
        raise ValueError(f"name: expected a word of letters, digits and _, got {name!r}")
    markup, (shared, frames) = parts(animation, dpi)
    written = re.search(r'id="_anim_img(\w+)"', markup)
    first = re.search(r'frames\[0\] = "(data:image/png;base64,[^"]*)"', frames)
    if not (written and first and set(ICON.findall(markup)) == SIGNS.keys()):
        raise ValueError("animation: expected matplotlib's player with its frames and buttons, got another page")
    markup = ICON.sub(lambda found: SIGNS[found[1]], markup)
    markup = re.sub(r'<button title="([^"]*)"(?! aria-label)', r'<button title="\1" aria-label="\1"', markup)
    markup = markup.replace("<button ", '<button type="button" ')
    markup = markup.replace('action="#n"', 'onsubmit="return false"')
    markup = re.sub(r'(<img id="_anim_img\w+")>',
                    lambda found: f'{found[1]} alt="{escape(alt)}" src="{first[1]}">', markup)
    markup = re.sub(r'(<input id="_anim_slider)', r'<input aria-label="Frame" id="_anim_slider', markup)
    markup = markup.replace('<div class="animation">',
                            f'<div class="animation" id="player_{name}" data-player="{name}" tabindex="0" role="group" '
                            f'aria-label="Player: {escape(alt)}">')
    return f"<script>{shared}</script>", (markup + f"<script>{frames}</script>").replace(written[1], name)


def parts(animation, dpi):
    """Of what matplotlib writes: the markup of a player, and its scripts, the class and the frames."""
    with TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "player.html")
        writer = HTMLWriter(fps=SHOWN_PER_SECOND, embed_frames=True, default_mode="once")
        animation.save(path, writer=writer, dpi=dpi, savefig_kwargs={"metadata": {"Software": None}})
        text = path.read_text(encoding="utf-8")
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, re.S)
    if len(scripts) != 2:
        raise ValueError(f"animation: expected two scripts in matplotlib's player, got {len(scripts)}")
    markup = re.sub(r"<script.*?</script>|<style.*?</style>|<link[^>]*>", "", text, flags=re.S)
    shared, frames = scripts
    frames = FRAME.sub(lambda found: f'{found[1]}{smaller(found[2])}"', frames.replace("\\\n", ""))
    return markup.strip(), (shared, frames)


def smaller(png):
    """A picture in base64 with a palette of its own: about a third of the bytes."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        out = io.BytesIO()
        image.convert("RGB").quantize(256, method=MAX_COVERAGE).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")
