"""A web page that upscales photos: a static folder with a model in ONNX format, which runs in the browser."""

from html import escape
from pathlib import Path
from string import Template

_PAGE = Path(__file__).with_name("site.html")
# The two files of onnxruntime-web that the page needs, from its npm package; they are not part of minisrgan.
_VERSION = "1.30.0"
RUNTIME = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")


def runtime_command(folder: str) -> str:
    """Return the commands that put the two files of onnxruntime-web into a folder.

    >>> print(runtime_command("site"))
    npm pack onnxruntime-web@1.30.0
    tar xzf onnxruntime-web-1.30.0.tgz --strip-components=2 -C site package/dist/ort.wasm.bundle.min.mjs ...
    """
    files = " ".join(f"package/dist/{file}" for file in RUNTIME)
    archive = f"onnxruntime-web-{_VERSION}.tgz"
    return f"npm pack onnxruntime-web@{_VERSION}\ntar xzf {archive} --strip-components=2 -C {folder} {files}"


def site_page(name: str, scale: int, margin: int, about: str = "") -> str:
    """Return the HTML of a page that enlarges a photograph in tiles with model.onnx in the same folder.

    name    name of the model, for the title
    scale   how many times larger the result is
    margin  pixels computed around a tile and cut off again: the generator's receptive field, so that no seams are left
    about   a line about the model, such as its licence

    >>> page = site_page("<8>", 4, 40)
    >>> "<title>&lt;8&gt;: larger photos, in your browser</title>" in page, "SCALE = 4, MARGIN = 40;" in page
    (True, True)
    """
    words = {"title": f"{name}: larger photos, in your browser", "name": name, "about": about}
    command = runtime_command("FOLDER").replace("\n", "\\n")
    parts = {key: escape(text) for key, text in words.items()} | {"command": command}
    return Template(_PAGE.read_text("utf-8")).substitute(parts, scale=scale, margin=margin)
