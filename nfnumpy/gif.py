"""An animated GIF, through Pillow, of a picture in which only some things change: laid out once, in one set of colours."""
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from nfnumpy.plot import new_figure

DPI = 80
REST = 2.0                                                       # seconds for which the last frame stays


def write_gif(path, view, frames, fps):
    """Draw frames ``[(caption, arrays)]`` one after another into an animated GIF; the last one stays a while.

    All frames have the same 256 colours, those of the first and the last frame together.
    """
    figure = new_figure(view.size[1], view.size[0])
    figure.dpi = DPI
    canvas = FigureCanvasAgg(figure)
    title = figure.suptitle(frames[-1][0], x=0.02, ha="left", fontsize=10, family="monospace")
    view.draw(figure, [arrays for _, arrays in frames])
    canvas.draw()
    figure.set_layout_engine("none")                             # laid out once: nothing jumps

    def drawn(words, arrays):
        title.set_text(words)
        view.show(*arrays)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3]

    palette = _palette(np.concatenate([drawn(*frames[k]).copy() for k in (0, -1)]))
    pictures = (Image.fromarray(drawn(*frame)).quantize(palette=palette, dither=0) for frame in frames)
    first = next(pictures)
    durations = [round(1000 / fps)] * (len(frames) - 1) + [round(1000 * REST)]
    first.save(path, format="GIF", save_all=True, append_images=pictures, duration=durations, loop=0)


def _palette(picture):
    """An image with the 256 colours that suit a picture; the paper is white and not nearly so."""
    palette = Image.fromarray(picture).quantize(256)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[(colours >= 244).all(axis=1)] = 255
    palette.putpalette(colours.ravel().tolist())
    return palette
