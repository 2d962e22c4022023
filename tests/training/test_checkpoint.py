"""Checkpoints: whole or not there, whatever happens while one is written, and damage is always seen."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan.backend import Array
from minisrgan.errors import CheckpointError
from minisrgan.training import Checkpoints, locked

ROOT = Path(__file__).resolve().parents[2]


def arrays(seed: int) -> dict[str, Array]:
    """Return a few small arrays, of all the kinds that a training has."""
    rng = np.random.default_rng(seed)
    return {"a": rng.random((3, 5), dtype=np.float32), "b": rng.random(7), "empty": np.zeros((0, 2), np.float32)}


def same(ours: dict[str, Array], theirs: dict[str, Array]) -> bool:
    """Tell whether names, types and all bits are equal."""
    return ours.keys() == theirs.keys() and all(
        ours[k].dtype == theirs[k].dtype and ours[k].tobytes() == theirs[k].tobytes() for k in ours
    )


def two(folder: Path) -> Checkpoints:
    """Return checkpoints of steps 10 and 20."""
    checkpoints = Checkpoints(folder, "srgan")
    for step in (10, 20):
        checkpoints.save(step, arrays(step), {"rng": {"state": 2**127 + step}})
    return checkpoints


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    """The state of a generator of random numbers has 128 bits, more than a float or a 64-bit number holds."""
    found = two(tmp_path).load()
    assert found is not None
    step, read, state = found
    assert (step, state) == (20, {"rng": {"state": 2**127 + 20}})
    assert same(read, arrays(20))
    assert Checkpoints(tmp_path, "srresnet").load() is None


def test_the_newest_and_the_best_stay(tmp_path: Path) -> None:
    """All of them fill the disk in a night; the newest alone may be the one after the GAN has fallen over."""
    checkpoints = Checkpoints(tmp_path, "srgan", keep=2)
    for step, score in ((1, 0.0), (2, 5.0), (3, 1.0), (4, 2.0), (5, 5.0), (6, 1.0), (7, 1.0)):
        checkpoints.save(step, arrays(step), {}, score=score)
    assert checkpoints.steps() == [5, 6, 7]  # of two that are best the later
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize(("cuts", "flips"), [(20, 50), pytest.param(100, 250, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_truncations_and_flipped_bits_are_seen(
    suffix: str, cuts: int, flips: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A torn file that loads gives a training that goes on from noise, or from half of the weights."""
    checkpoints = two(tmp_path)
    path = tmp_path / f"srgan-00000020{suffix}"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    lengths = rng.choice(len(whole), cuts, replace=len(whole) < cuts).tolist()
    damaged = [whole[:length] for length in lengths]
    for position in rng.integers(8 * len(whole), size=flips).tolist():
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        damaged.append(bytes(flipped))
    seen = 0
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(CheckpointError):
            checkpoints.read(20)
        found = checkpoints.load()
        assert found is not None
        assert found[0] == 10
        assert same(found[1], arrays(10))
        seen += 1
    with capsys.disabled():
        print(f"\n{suffix}: {seen} of {cuts} truncations and {flips} flipped bits together were seen", end="")
    path.write_bytes(whole)
    assert same(checkpoints.read(20)[0], arrays(20))


def test_a_checkpoint_older_than_damaged_ones_stays(tmp_path: Path) -> None:
    """Going on from step 10, as 20 and 30 are damaged, the checkpoint of step 15 is the newest."""
    checkpoints = Checkpoints(tmp_path, "srgan", keep=2)
    for step, score in ((10, 25.0), (20, 24.0), (30, 24.5)):
        checkpoints.save(step, arrays(step), {}, score)
    for step in (20, 30):
        (tmp_path / f"srgan-{step:08}.safetensors").unlink()
    checkpoints.save(15, arrays(15), {})
    loaded = checkpoints.load()
    assert loaded
    assert loaded[0] == 15


def test_of_damaged_ones_alone_the_error_names_each(tmp_path: Path) -> None:
    """Starting over without a word is the worst that a resume can do."""
    checkpoints = two(tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"(?s)20: .*10: "):
        checkpoints.load()


def failing(error: int, when: Callable[..., bool] = lambda *_: True) -> Callable[[Any], Callable[..., Any]]:
    """Return what makes a function of the system fail, in the cases that `when` names."""

    def make(real: Any) -> Callable[..., Any]:
        def fail(*inputs: Any, **options: Any) -> Any:
            if when(*inputs):
                raise OSError(error, os.strerror(error))
            return real(*inputs, **options)

        return fail

    return make


def is_manifest(source: Any, target: Any) -> bool:
    """Tell the renaming of a manifest from that of the arrays."""
    return str(target).endswith(".json")


def is_text(path: Path, data: bytes) -> bool:
    """Tell the writing of a manifest from that of the arrays."""
    return data.startswith(b"{")


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "disk full while the arrays are written": (Path, "write_bytes", failing(errno.ENOSPC)),
    "disk full while the manifest is written": (Path, "write_bytes", failing(errno.ENOSPC, is_text)),
    "disk full at the renaming": (os, "replace", failing(errno.ENOSPC)),
    "disk full at the renaming of the manifest": (os, "replace", failing(errno.ENOSPC, is_manifest)),
    "no permission": (Path, "write_bytes", failing(errno.EACCES)),
    "file system read-only": (os, "replace", failing(errno.EROFS)),
    "fsync fails": (os, "fsync", failing(errno.EIO)),
    "the folder cannot be made": (Path, "mkdir", failing(errno.EROFS)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_disk_leaves_the_checkpoint_before(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night's training fills the disk at four; at eight it has to be there up to four."""
    checkpoints = two(tmp_path)
    owner, name, make = FAULTS[fault]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, make(getattr(owner, name)))
        with pytest.raises(CheckpointError, match="checkpoint of step 30"):
            checkpoints.save(30, arrays(30), {})
    found = checkpoints.load()
    assert found is not None
    assert found[0] == 20
    assert same(found[1], arrays(20))
    checkpoints.clean()
    assert len(list(tmp_path.iterdir())) == 4
    checkpoints.save(30, arrays(30), {})
    assert checkpoints.steps() == [20, 30]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """Arrays without a manifest, and temporary files: with every kill more of the disk is gone."""
    checkpoints = two(tmp_path)
    (tmp_path / ".0123.tmp").write_bytes(b"half")
    (tmp_path / "srgan-00000030.safetensors").write_bytes(b"no manifest")
    (tmp_path / "srgan-notes.safetensors").write_bytes(b"somebody's own")
    checkpoints.clean()
    assert checkpoints.steps() == [10, 20]
    assert {path.name for path in tmp_path.iterdir()} >= {"srgan-notes.safetensors"}
    assert len(list(tmp_path.iterdir())) == 5


HOLD = "import sys, time\nfrom minisrgan.training import locked\n"
HOLD += "with locked(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"


def test_a_second_trainer_is_refused_and_a_dead_one_is_not_waited_for(tmp_path: Path) -> None:
    """Two trainers take turns at overwriting each other's checkpoints; a lock that outlives its owner blocks a run."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(CheckpointError, match=f"in use by process {process.pid}"), locked(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with locked(tmp_path), pytest.raises(CheckpointError, match=str(os.getpid())), locked(tmp_path):
            pass


def test_the_manifest_can_be_read_by_a_person(tmp_path: Path) -> None:
    """When all else fails, somebody opens it."""
    two(tmp_path)
    manifest = json.loads((tmp_path / "srgan-00000020.json").read_text())
    assert manifest["step"] == 20
    assert len(manifest["sha256"]) == 64
