"""Folders of photographs, and random crops of them."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan.data import CropSampler, PhotoCache, load_photos
from minisrgan.data import photos as photos_module
from minisrgan.data.photos import fingerprint
from minisrgan.errors import ArgumentError, DataError, ImageError
from minisrgan.images import imresize, jpeg, read_image, write_image
from tests.paths import SHARED, needs_shared


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return a photograph in which no two places look alike."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def sampler(photos: dict[str, np.ndarray], seed: int = 0, **options: bool) -> CropSampler:
    """Return a sampler of 16 x 16 crops at scale 4."""
    return CropSampler(photos, 16, 4, np.random.default_rng(seed), **options)


def as_bytes(high: np.ndarray) -> np.ndarray:
    """Turn [-1, 1] back to bytes."""
    return np.rint((high + 1) * 127.5).astype(np.uint8)


def test_bad_files_are_skipped_named_and_counted(tmp_path: Path) -> None:
    """One damaged download must not end a night's training, nor vanish unseen."""
    write_image(tmp_path / "good.png", noise(32, 40))
    write_image(tmp_path / "deep" / "also.png", noise(40, 32))
    write_image(tmp_path / "small.png", noise(31, 100))
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    found = load_photos(tmp_path, crop=32)
    assert sorted(found.photos) == ["deep/also.png", "good.png"]
    assert sorted(found.skipped) == ["broken.jpg", "small.png"]
    assert "broken.jpg" in found.skipped["broken.jpg"]
    assert found.skipped["small.png"] == "100 x 31 pixels, smaller than a crop of 32"


def test_a_folder_without_usable_photos_says_why(tmp_path: Path) -> None:
    """Without the reasons, "no photos" in a folder full of them is a riddle."""
    with pytest.raises(ImageError, match="none in"):
        load_photos(tmp_path, crop=32)
    with pytest.raises(ImageError, match="does not exist"):
        load_photos(tmp_path / "nowhere", crop=32)
    write_image(tmp_path / "small.png", noise(8, 8))
    with pytest.raises(DataError, match=r"small.png: 8 x 8 pixels, smaller than a crop of 32"):
        load_photos(tmp_path, crop=32)


def test_low_is_the_bicubic_of_high() -> None:
    """A pair whose two halves do not belong together trains a network to shift or turn its input."""
    photos = {"a": noise(40, 60), "b": noise(50, 30, seed=1)}
    low, high = sampler(photos).batch(8)
    assert low.dtype == high.dtype == np.float32
    for small, large in zip(low, high, strict=True):
        np.testing.assert_array_equal(np.rint(small * 255), imresize(as_bytes(large), 0.25))


def test_crops_come_from_the_photo_in_all_8_orientations() -> None:
    """A turn that is never drawn is lost data; one that leaves the photo is wrong data."""
    photo = np.zeros((16, 16, 3), np.uint8)
    photo[:, :, 0], photo[:, :, 1] = np.arange(16), np.arange(16)[:, None]
    allowed = {np.rot90(p, k).tobytes() for p in (photo, photo[:, ::-1]) for k in range(4)}
    _, high = sampler({"a": photo}).batch(200)
    seen = {as_bytes(crop).tobytes() for crop in high}
    assert seen == allowed
    _, plain = sampler({"a": photo}, augment=False).batch(8)
    assert {as_bytes(crop).tobytes() for crop in plain} == {photo.tobytes()}


def test_every_position_is_reached() -> None:
    """An off-by-one in the range would never show the last row and column of any photo."""
    photo = np.zeros((18, 17, 3), np.uint8)
    photo[:, :, 0], photo[:, :, 1] = np.arange(18)[:, None], np.arange(17)
    _, high = sampler({"a": photo}, augment=False).batch(200)
    corners = {tuple(as_bytes(crop)[0, 0, :2].tolist()) for crop in high}
    assert corners == {(top, left) for top in range(3) for left in range(2)}


def test_a_batch_uses_distinct_photos_and_the_seed_decides() -> None:
    """SRGAN sec. 3.2: 16 crops of distinct images. The same seed must give the same batches, another seed others."""
    photos = {str(value): np.full((20, 20, 3), value, np.uint8) for value in range(0, 250, 10)}
    _, high = sampler(photos).batch(25)
    assert len({int(as_bytes(crop)[0, 0, 0]) for crop in high}) == 25
    one, same, other = (sampler(photos, seed).batch(4)[1] for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_what_cannot_be_cropped_is_refused() -> None:
    """NumPy would return a smaller crop without a word, and fail three calls later."""
    with pytest.raises(DataError, match=r"tiny: \(15, 40, 3\)"):
        sampler({"tiny": noise(15, 40)})
    with pytest.raises(DataError, match="float64"):
        sampler({"floats": np.zeros((20, 20, 3))})
    with pytest.raises(DataError, match="none"):
        sampler({})
    with pytest.raises(ArgumentError, match="multiple of scale 4"):
        CropSampler({"a": noise(40, 40)}, 18, 4, np.random.default_rng(0))


@needs_shared("data/photos")
def test_real_photos_load(tmp_path: Path) -> None:
    """Real files are progressive, turned by EXIF or oddly sized; all of these must be usable."""
    for path in sorted((SHARED / "data" / "photos").iterdir())[::12]:
        (tmp_path / path.name).symlink_to(path)
    found = load_photos(tmp_path, crop=96)
    assert len(found.photos) == 6
    assert found.skipped == {}


# Photographs beyond the memory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of 6 photographs of 3 kB each."""
    for number in range(6):
        write_image(tmp_path / f"{number}.png", noise(32, 32, number))
    return tmp_path


def drawn(folder: Path, memory: int, batches: int = 5) -> tuple[CropSampler, list[tuple[np.ndarray, np.ndarray]]]:
    """Return a sampler on a folder, and batches of 4 from it."""
    source = CropSampler(load_photos(folder, 16, memory).photos, 16, 4, np.random.default_rng(0))
    return source, [source.batch(4) for _ in range(batches)]


@pytest.mark.parametrize("memory", [0, 3 * 32 * 32 * 3, 1 << 30])
def test_a_limit_of_memory_changes_no_crop(folder: Path, memory: int) -> None:
    """Read ahead by another order, or through the training's own generator, the same seed is another training."""
    source, batches = drawn(folder, memory)
    plain = CropSampler({f"{n}.png": noise(32, 32, n) for n in range(6)}, 16, 4, np.random.default_rng(0))
    for low, high in batches:
        right_low, right_high = plain.batch(4)
        np.testing.assert_array_equal(low, right_low)
        np.testing.assert_array_equal(high, right_high)
    assert source.rng.bit_generator.state == plain.rng.bit_generator.state


def test_the_limit_holds(folder: Path) -> None:
    """Without it a folder of a thousand photographs takes 30 GB."""
    source, _ = drawn(folder, 3 * 32 * 32 * 3 + 100)
    cache = source.photos
    assert isinstance(cache, PhotoCache)
    assert len(cache) == 6
    assert sum(photo.nbytes for photo in cache._kept.values()) == 3 * 32 * 32 * 3
    assert len(cache._coming) <= 4  # those of the next batch


def test_the_next_batch_is_decoded_before_it_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded when it is needed, a photograph of 20 megapixels holds up the step."""
    source, _ = drawn(folder, 0)
    assert isinstance(source.photos, PhotoCache)
    for future in source.photos._coming.values():
        future.result()
    seen: list[str] = []

    def counted(path: Path, **options: Any) -> np.ndarray:
        seen.append(threading.current_thread().name)
        return read_image(path, **options)

    monkeypatch.setattr(photos_module, "read_image", counted)
    ready = set(source.photos._coming)
    assert ready == set(source._names(4, copy.deepcopy(source.rng)))
    source.batch(4)
    assert len(seen) <= 4
    assert all(name.startswith("photos") for name in seen)  # for the batch after it, by other threads


def test_a_jpeg_that_is_read_again_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it is complete is checked by a second decoding, at first; later its fingerprint tells."""
    write_image(tmp_path / "a.jpg", noise(64, 64, 0))
    photos = load_photos(tmp_path, 16, memory=0).photos
    first = photos["a.jpg"]
    decoded: list[bytes] = []
    monkeypatch.setattr(jpeg, "require_whole", lambda data, *_: decoded.append(data))
    np.testing.assert_array_equal(photos["a.jpg"], first)
    assert not decoded
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) * 7 // 10])
    with pytest.raises(ImageError):
        photos["a.jpg"]


GONE = {
    "deleted": lambda path: path.unlink(),
    "damaged": lambda path: path.write_bytes(path.read_bytes()[:60]),
    "replaced": lambda path: write_image(path, noise(32, 32, 99)),
    "smaller": lambda path: write_image(path, noise(9, 9, 99)),
}  # fmt: skip


@pytest.mark.parametrize("how", GONE)
def test_a_photo_that_cannot_be_read_again_is_left_out_and_named(how: str, folder: Path) -> None:
    """After hours one file that somebody has moved must not end a training, nor be replaced by another unseen."""
    source, _ = drawn(folder, 0, batches=1)
    source.photos.fetch([])  # forget what has been read ahead
    GONE[how](folder / "2.png")
    allowed = {noise(32, 32, n)[top : top + 16, left : left + 16].tobytes()
               for n in (0, 1, 3, 4, 5) for top in range(17) for left in range(17)}  # fmt: skip
    source.augment = False
    for _ in range(6):
        high = as_bytes(source.batch(4)[1])
        assert {crop.tobytes() for crop in high} <= allowed
        assert len({crop.tobytes() for crop in high}) == 4
    assert list(source.lost) == ["2.png"]
    assert source.names == [f"{n}.png" for n in (0, 1, 3, 4, 5)]
    assert list(source.fingerprints()) == source.names


def test_without_photos_there_is_an_end(folder: Path) -> None:
    """A disk that is unmounted takes all of them: then the last checkpoint must stay as it is."""
    source, _ = drawn(folder, 0)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"none is left\n.*\d\.png: its file is gone"):
        source.look_again()
    source.photos.fetch([])
    with pytest.raises(DataError, match="none is left"):
        source.batch(4)


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_files_that_are_gone_are_found_by_looking_again(memory: int, folder: Path) -> None:
    """One that is decoded already is not missed, and the next resume would be of other photographs."""
    source, _ = drawn(folder, memory)
    (folder / "1.png").unlink()
    source.look_again()
    assert source.lost == {"1.png": "its file is gone"}
    assert "1.png" not in source.names


def test_a_fingerprint_tells_pictures_apart() -> None:
    """One of the same size in its place is another training; the same picture, however it lies in memory, is not."""
    photo = noise(20, 30)
    assert fingerprint(photo) == fingerprint(np.asfortranarray(photo)) != fingerprint(photo[::-1])
    assert fingerprint(photo) != fingerprint(photo.reshape(30, 20, 3))


def test_a_photo_taken_out_is_not_trained_on(folder: Path) -> None:
    """A validation photo that is still drawn from measures memory, not skill."""
    photos = load_photos(folder, 16).photos
    np.testing.assert_array_equal(photos.take("3.png"), noise(32, 32, 3))
    assert "3.png" not in photos
    assert len(CropSampler(photos, 16, 4, np.random.default_rng(0)).names) == 5


def test_batches_drawn_ahead_are_those_drawn_when_asked_for(folder: Path) -> None:
    """A sampler that runs ahead of its checkpoint resumes into another training."""
    plain, ahead = (CropSampler(load_photos(folder, 16, 0).photos, 16, 4, np.random.default_rng(0)) for _ in range(2))
    states, finished = [], []

    def finish(pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        finished.append(threading.current_thread().name)
        return pair[1]

    for _ in range(3):
        states.append(plain.rng.bit_generator.state)
        assert ahead.rng.bit_generator.state == states[-1]
        np.testing.assert_array_equal(ahead.ahead(3, finish), plain.batch(3)[1])
    ahead.rng.bit_generator.state = plain.rng.bit_generator.state = states[1]  # as a checkpoint does
    np.testing.assert_array_equal(ahead.ahead(3, finish), plain.batch(3)[1])
    name = ahead.names[0]
    for sampler in (ahead, plain):
        (folder / name).rename(folder / "elsewhere") if sampler is ahead else None
        sampler.look_again()
    np.testing.assert_array_equal(ahead.ahead(2, finish), plain.batch(2)[1])
    assert ahead._ahead is not None
    ahead._ahead[1].result()
    assert (ahead.names, [*ahead.lost]) == (plain.names, [name])
    assert ahead.rng.bit_generator.state == plain.rng.bit_generator.state
    beside = sorted(name.startswith("batches") for name in finished)
    assert beside == [False] * 3 + [True] * 5  # the first, and what was drawn anew twice
