"""An HTML page with a slider between two enlargements of a photograph, in one file that works offline."""

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlencode

from PIL import Image

from minisrgan.backend import Array
from minisrgan.show.comparison import Strip

_PAGE = Path(__file__).with_name("slider.html")


def slider_page(pictures: Mapping[str, Array], strip: Strip, left: str, right: str, note: str = "") -> str:
    """Return the HTML of a page with a slider between two images.

    Images are embedded as PNG. Each side has a list of all images; arrow keys move the slider; the details of the strip
    are below. ``#split=25&left=bicubic&right=original`` after the address sets the slider's position in percent and the
    two images; each part is optional.

    pictures     name -> uint8 image, (H, W, 3) or (H, W), all of one shape
    strip        their details and scores, see `minisrgan.show.comparison.make_strip`; its title is the page's title
    left, right  the names of the images shown first
    note         a sentence below the details

    >>> import numpy as np
    >>> from minisrgan.show.comparison import make_strip
    >>> pictures = {name: np.full((8, 8), level, np.uint8) for name, level in {"bicubic": 9, "original": 10}.items()}
    >>> page = slider_page(pictures, make_strip("<8>", pictures, {}, (0, 0, 4, 4)), "bicubic", "original")
    >>> page.count("data:image/png;base64,"), "<title>&lt;8&gt;</title>" in page
    (4, True)
    """
    title = strip.title
    labels = {name: f"{name}, {strip.captions[name]}" if name in strip.captions else name for name in pictures}
    stage = [
        f'<img data-label="{escape(labels[name])}" data-name="{escape(name)}" {_source(f"{title}, {name}", image)}>'
        for name, image in pictures.items()
    ]
    details = [
        f"<figure><img {_source(f'Detail of {title}, {name}', detail)}>"
        f"<figcaption>{escape(labels[name])}</figcaption></figure>"
        for name, detail in strip.details.items()
    ]
    parts = {"title": title, "note": note, "start": urlencode({"left": left, "right": right})}
    parts = {name: escape(text) for name, text in parts.items()}
    parts |= {"pictures": "\n".join(stage), "details": "\n".join(details)}
    height, width = strip.photo.shape[:2]
    return Template(_PAGE.read_text("utf-8")).substitute(parts, width=width, height=height)


def _source(alt: str, image: Array) -> str:
    """Return the attributes of an img tag: its alt text, and the image as embedded PNG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f'alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"'
