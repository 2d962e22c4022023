"""Photographs that come with scikit-image, for notebooks and demos without a network."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from minisrgan.backend import Array
from minisrgan.errors import DataError
from minisrgan.images import read_image

_FILES = {"astronaut": "astronaut.png", "coffee": "coffee.png", "chelsea": "chelsea.png", "rocket": "rocket.jpg"}


def sample_photos(names: Iterable[str] = tuple(_FILES)) -> dict[str, Array]:
    """Return colour photographs from the installed scikit-image, by name, each uint8 (H, W, 3).

    They are read from the files of the installed package; nothing is downloaded. As scikit-image documents them:

    ==========  =========  =================================================================================
    name        size       author and terms
    ==========  =========  =================================================================================
    astronaut   512 x 512  NASA (Eileen Collins), public domain, no known copyright restrictions
    coffee      400 x 600  Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0, no copyright restrictions
    chelsea     300 x 451  Stefan van der Walt, CC0, no copyright restrictions
    rocket      427 x 640  SpaceX, released into the public domain
    ==========  =========  =================================================================================

    Errors  DataError for another name, if scikit-image is not installed, or if its package came without the file

    >>> {name: photo.shape for name, photo in sample_photos(["coffee", "chelsea"]).items()}
    {'coffee': (400, 600, 3), 'chelsea': (300, 451, 3)}
    """
    names = [names] if isinstance(names, str) else list(names)
    if unknown := [name for name in names if name not in _FILES]:
        told, fix = f"names out of {', '.join(_FILES)}", "read photographs of your own with minisrgan.images.read_image"
        raise DataError("sample_photos", expected=told, got=", ".join(map(repr, unknown)), fix=fix)
    # The package is located, not imported: that is quick, and its own loader might use the network.
    package = find_spec("skimage")
    if package is None or package.origin is None:
        told, fix = "scikit-image, which brings the sample photographs", 'pip install "minisrgan[course]"'
        raise DataError("sample_photos", expected=told, got="no installed scikit-image", fix=fix)
    folder = Path(package.origin).parent
    paths = {name: folder / "data" / _FILES[name] for name in names}
    if missing := [path.name for path in paths.values() if not path.is_file()]:
        told, got = "a scikit-image with the sample photographs", f"{folder} without {', '.join(missing)}"
        fix = 'reinstall it from PyPI: pip install --force-reinstall --no-deps "scikit-image>=0.22"'
        raise DataError("sample_photos", expected=told, got=got, fix=fix)
    return {name: read_image(path) for name, path in paths.items()}
