"""Several ranks that train together: what each computes, what they share, and how they end."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from minisrgan import Tensor
from minisrgan.backend import Array, choose_device
from minisrgan.data import CropSampler, load_photos
from minisrgan.errors import CheckpointError, ConfigError, NonFiniteError, RanksError
from minisrgan.images import write_image
from minisrgan.models import Generator
from minisrgan.ops import mse
from minisrgan.training import Config, Options, Run, state_of
from minisrgan.training.checkpoint import require_same
from minisrgan.training.loop import take_step
from minisrgan.training.parallel import ALONE, Left, MPIRanks, Ranks, found, started
from tests.gpu import standin
from tests.training.ranks import on_ranks
from tests.training.test_resume import SMALL, State, differences, photo

ROOT = Path(__file__).resolve().parents[2]
CONFIG = replace(SMALL, batch=8, d_head_start=2, srgan_steps=20, srresnet_steps=20)
NOWHERE = Path("a folder that nobody writes to")
PHOTOS = {str(number): photo(number) for number in range(9)}


def run(ranks: Ranks, folder: Path, config: Config = CONFIG, name: str = "srgan", **options: Any) -> Run:
    """Return a run that is prepared, on one rank of several."""
    training = Run(folder, name, Options(options.pop("photos", PHOTOS), quiet=True, ranks=ranks, **options))
    if training.ranks.same(training.checkpoints.steps):
        training.resume()
    else:
        training.start(config)
    return training


def steps(ranks: Ranks, folder: Path, count: int, config: Config = CONFIG) -> list[State]:
    """Take steps; return the state after each."""
    training, states = run(ranks, folder, config), []
    for _ in range(count):
        training.step()
        arrays, numbers = state_of(training.stage, training.sampler)
        states.append(({name: array.copy() for name, array in arrays.items()}, numbers))
    return states


# All ranks hold the same


def test_two_ranks_hold_equal_bits_after_every_step() -> None:
    """Ranks that differ in the last bit are other networks after a night."""
    first, second = on_ranks(2, lambda ranks: steps(ranks, NOWHERE, 4))  # two of the head start, two with both networks
    assert [differences(ours, theirs) for ours, theirs in zip(first, second, strict=True)] == [[]] * 4
    assert {"ema.bn_middle.running_mean", "adam.discriminator.mean.0", "balance.ratio"} <= first[-1][0].keys()
    alone = steps(ALONE, NOWHERE, 4)[-1]
    assert alone[1]["rng"] == first[-1][1]["rng"]
    assert differences(alone, first[-1]) != []  # batch norm of two halves is not that of the whole


def test_three_ranks_and_twice() -> None:
    """Three do not divide the flat buffer, and 3 x / 3 is not always x."""
    first, *others, again = [state for _ in range(2) for state in on_ranks(3, three)]
    assert [differences(first[-1], other[-1]) for other in (*others, again)] == [[]] * 5


def three(ranks: Ranks) -> list[State]:
    return steps(ranks, NOWHERE, 3, replace(CONFIG, batch=6))


def gradients(ranks: Ranks, low: Array, high: Array) -> list[Array]:
    """Return the gradients of a generator in evaluation mode, averaged over the ranks."""
    generator = Generator(4, 4, 1, rng=np.random.default_rng(0)).eval()
    part = slice(len(low) * ranks.rank // ranks.size, len(low) * (ranks.rank + 1) // ranks.size)
    mse(generator(Tensor(low[part])), Tensor(high[part])).backward()
    ranks.average(found(generator, {"generator": generator}))
    return [parameter.grad.data for parameter in generator.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("size", [2, 4, 8])
def test_the_averaged_gradient_is_that_of_the_whole_batch(size: int) -> None:
    """A sum in place of a mean trains as well, with a learning rate that grows with the cluster."""
    low, high = CropSampler(PHOTOS, 16, 4, np.random.default_rng(0)).batch(8)
    whole, (ours, *_) = gradients(ALONE, low, high), on_ranks(size, lambda ranks: gradients(ranks, low, high))
    assert len(whole) > 5
    for expected, got in zip(whole, ours, strict=True):
        assert np.abs(got - expected).max() <= 1e-6 * max(1, np.abs(expected).max())


def test_sums_are_in_the_order_of_the_ranks() -> None:
    """(1e8 - 1e8) + 1 is 1 and (1 - 1e8) + 1e8 is 0 in float32: MPI's own sum may take either order."""
    values = np.float32([1e8, -1e8, 1])

    def average(ranks: MPIRanks) -> list[Array]:
        arrays = [np.full((2, 1), values[ranks.rank]), values[ranks.rank], np.full(2, values[-1 - ranks.rank])]
        first, number, last = ranks.average(arrays)
        assert arrays[0].tobytes() == first.tobytes()  # in place
        return [first, number, last]

    third = (np.float32(1) / 3).item()
    for means in on_ranks(3, average):
        assert [array.tolist() for array in means] == [[[third], [third]], third, [0, 0]]
        assert {array.dtype for array in means} == {np.dtype("float32")}


@pytest.mark.parametrize("kinds", ["system", "system,cuda"])
def test_arrays_of_a_gpu_are_averaged_there(kinds: str) -> None:
    """Through the host's memory if the MPI library does not say that it sends from a GPU's."""
    values = [np.random.default_rng(rank).normal(size=(3, 5)).astype(np.float32) for rank in range(2)]
    sent: list[str] = []

    with standin.installed(False) as cupy:

        def average(ranks: MPIRanks) -> list[Array]:
            real = ranks.comm.Alltoall
            ranks.comm.Alltoall = lambda send, receive: (sent.append(type(send).__module__), real(send, receive))
            arrays = [cupy.asarray(values[ranks.rank]), cupy.asarray(values[ranks.rank]).sum()]
            means = ranks.average(arrays)
            assert arrays[0].get().tobytes() == means[0].get().tobytes()
            return [mean.get() for mean in means]

        for mean, total in on_ranks(2, average, mpi_memory_alloc_kinds=kinds):
            np.testing.assert_array_equal(mean, (values[0] + values[1]) / 2)
            assert total == pytest.approx((values[0].sum() + values[1].sum()) / 2, rel=1e-6)
    assert set(sent) == {"numpy" if kinds == "system" else "tests.gpu.standin"}


def test_each_rank_of_a_machine_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """All on the first one: its memory is full at once, and the others wait for nothing."""
    asked: list[str] = []
    runtime = SimpleNamespace(getDeviceCount=lambda: 2)
    cuda = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setattr("minisrgan.backend._import_cupy", lambda device: cuda)
    monkeypatch.setattr("minisrgan.backend.to_device", lambda array, device: asked.append(device) or array)
    assert [choose_device("cuda", local) for local in range(4)] == ["cuda", "cuda:1", "cuda:0", "cuda:1"]
    assert [choose_device(name, 1) for name in ("auto", "cuda:0", "cpu")] == ["cuda:1", "cuda:0", "cpu"]
    assert len(asked) == 7


def test_the_parts_of_a_batch_are_the_batch() -> None:
    """Each rank draws all of the batch, computes its part, and leaves the generator where one process leaves it."""
    whole = CropSampler(PHOTOS, 16, 4, np.random.default_rng(3))
    parts = [CropSampler(PHOTOS, 16, 4, np.random.default_rng(3)) for _ in range(4)]
    for _ in range(2):
        batch = whole.batch(8)
        for number, sampler in enumerate(parts):
            sampler.part = number, 4
            for ours, all_ in zip(sampler.batch(8), batch, strict=True):
                np.testing.assert_array_equal(ours, all_[2 * number : 2 * number + 2])
            assert sampler.rng.bit_generator.state == whole.rng.bit_generator.state


def test_the_balance_is_that_of_the_whole_batch() -> None:
    """A weight of each rank's own is another loss on every rank."""
    content, adversarial = (np.random.default_rng(n).normal(size=(4, 6)).astype(np.float32) for n in (1, 2))

    def weight(ranks: Ranks) -> float:
        balance = run(ranks, NOWHERE).stage.balance
        assert balance is not None
        part = slice(ranks.rank * 4 // ranks.size, (ranks.rank + 1) * 4 // ranks.size)
        return balance.weight(Tensor(content[part]), Tensor(adversarial[part]), ranks.average).item()

    one, (two, other) = weight(ALONE), on_ranks(2, weight)
    assert two == other == pytest.approx(one, rel=1e-6)


def test_the_log_has_the_numbers_of_the_whole_batch() -> None:
    """Rank 0's own loss is that of a quarter of the images. Batch norm in evaluation mode, so that the parts agree."""

    def numbers(ranks: Ranks) -> dict[str, float]:
        stage = run(ranks, NOWHERE, replace(CONFIG, d_head_start=0, adversarial_balance=0.0))
        for network in stage.stage.modules.values():
            network.eval()
            network.train = lambda network=network: network  # type: ignore[method-assign, misc]
        return take_step(stage.stage, stage.sampler, 8, 1)[0]

    one, (two, other) = numbers(ALONE), on_ranks(2, numbers)
    assert two == other
    assert {"loss", "d_loss", "d_real", "grad_content", "grad_adversarial", "grad", "d_grad", "contrast"} <= one.keys()
    for name, value in one.items():
        assert two[name] == pytest.approx(value, rel=0.3 if name == "contrast" else 2e-5), name


# The folder


def test_a_run_of_two_ranks_is_one_run(tmp_path: Path) -> None:
    """Published, saved, validated and logged once; resumed on the same number of ranks, it is bit-equal."""
    config = replace(CONFIG, bn_batches=2, srgan_steps=4, batch=4)

    def train(ranks: Ranks, folder: str, until: int) -> State:
        training = run(ranks, tmp_path / folder, replace(config, srgan_steps=until), save_every=2)
        training.train()
        return state_of(training.stage, training.sampler)

    whole = on_ranks(2, lambda ranks: train(ranks, "whole", 4))
    files = sorted(path.name for path in (tmp_path / "whole").iterdir())
    alone = train(ALONE, "alone", 4)
    assert files == sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert len((tmp_path / "whole" / "srgan.jsonl").read_text().splitlines()) == 4
    assert differences(*whole) == []
    for name in ("00000004.json", "00000004.safetensors"):  # as if it had been killed after step 2
        (tmp_path / "whole" / "checkpoints" / f"srgan-{name}").unlink()
    published = load_file(tmp_path / "whole" / "srgan.safetensors")
    (tmp_path / "whole" / "srgan.safetensors").unlink()
    assert differences(on_ranks(2, lambda ranks: train(ranks, "whole", 4))[1], whole[0]) == []
    for name, array in load_file(tmp_path / "whole" / "srgan.safetensors").items():
        np.testing.assert_array_equal(array, published[name], err_msg=name)
    assert differences(alone, whole[0]) != []


def test_another_number_of_ranks_goes_on_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is the same training, and not the same sum."""

    def train(ranks: Ranks) -> int:
        training = run(ranks, tmp_path, replace(CONFIG, srresnet_steps=2), "srresnet")
        training.train()
        return training.done

    assert on_ranks(2, train) == [2, 2]
    assert on_ranks(4, train) == [2] * 4
    assert "ranks: 4, before 2: sums have another order" in capsys.readouterr().out


@pytest.mark.parametrize("size", [3, 16])
def test_a_batch_that_cannot_be_shared(size: int, tmp_path: Path) -> None:
    """Unequal parts make the mean of the means another number than the mean."""

    def refused(ranks: Ranks) -> str:
        with pytest.raises(ConfigError, match=f"a multiple of {size}, the number of ranks") as caught:
            run(ranks, tmp_path, CONFIG)
        return caught.value.fix

    assert set(on_ranks(size, refused)) == {f"--batch {9 if size == 3 else 16}"}


# Failures


def test_a_failure_of_one_rank_is_met_by_the_others() -> None:
    """Whatever exchange they are in: it has one form."""
    for exchange in (lambda r: r.average([np.ones(3)]), lambda r: r.same(lambda: 1), lambda r: r.all(1)):

        def one(ranks: MPIRanks, exchange: Any = exchange) -> object:
            try:
                return ranks._meet(7) if ranks.rank == 1 else exchange(ranks)
            except Left as left:
                return left.rank, left.code

        assert on_ranks(3, one) == [(1, 7)] * 3


def failing(ranks: Ranks, folder: Path, act: Any, **options: Any) -> BaseException | int:
    """Train with something that happens on one rank; return what ends this one, or the steps taken."""
    training = run(ranks, folder, replace(CONFIG, batch=6), save_every=2, **options)
    real = training.step

    def step() -> Any:
        act(training)
        return real()

    training.step = step  # type: ignore[method-assign]
    try:
        with ranks.together():
            training.train()
    except BaseException as error:
        return error
    return training.done


@pytest.fixture
def _no_redirection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of one process have one standard output."""
    from contextlib import nullcontext

    monkeypatch.setattr("minisrgan.training.parallel.redirect_stdout", lambda file: nullcontext())
    monkeypatch.setattr("minisrgan.training.parallel.redirect_stderr", lambda file: nullcontext())


def on(rank: int, step: int, act: Any) -> Any:
    """Return what does something on one rank before a step."""
    return lambda training: act(training) if (training.ranks.rank, training.done + 1) == (rank, step) else None


def poison(training: Run) -> None:
    training.stage.generator.conv_first.weight.data[...] = np.nan


def full(training: Run) -> None:
    def save(*_: Any) -> None:
        raise CheckpointError("checkpoint", expected="to write", got="[Errno 28] No space left on device", fix="")

    training.checkpoints.save = save  # type: ignore[method-assign, assignment]


def raises(error: BaseException) -> Any:
    def act(training: Run) -> None:
        raise error

    return act


@pytest.mark.usefixtures("_no_redirection")
@pytest.mark.parametrize(
    ("act", "expected", "told_by"),
    [(on(1, 3, poison), NonFiniteError, 0), (on(0, 2, full), CheckpointError, 0),
     (on(2, 2, raises(MemoryError())), MemoryError, 2), (on(1, 1, raises(ValueError())), ValueError, 1)],
    ids=["nan", "disk", "memory", "bug"],
)  # fmt: skip
def test_a_failure_of_one_rank_ends_all_and_is_told_once(act: Any, expected: Any, told_by: int, tmp_path: Path) -> None:
    """The others would wait for it in an exchange that never comes, until the job's time is over."""
    ends = on_ranks(3, lambda ranks: failing(ranks, tmp_path, act))
    assert isinstance(ends[told_by], expected)
    status = 1 if expected is ValueError else 2
    others = [end for rank, end in enumerate(ends) if rank != told_by]
    assert [(type(end), getattr(end, "code", None)) for end in others] == [(Left, status)] * 2
    if expected is NonFiniteError:
        assert "on rank 1" in str(ends[0])
        assert "after step 2 is good" in str(ends[0])


@pytest.mark.usefixtures("_no_redirection")
def test_a_signal_to_one_rank_stops_all_at_the_same_step(tmp_path: Path) -> None:
    """One rank that stops and saves while the others go on waits for them, and they for it."""

    def ask(training: Run) -> None:
        training.asked = lambda: 15

    ends = on_ranks(2, lambda ranks: failing(ranks, tmp_path, on(1, 3, ask)))
    assert str(ends[0]) == "stopped by SIGTERM"
    assert [getattr(ends[0], "status", 0), getattr(ends[1], "code", 0)] == [143, 143]
    assert run(ALONE, tmp_path).done == 3


@pytest.mark.usefixtures("_no_redirection")
def test_ranks_that_have_come_apart_are_named(tmp_path: Path) -> None:
    """A machine of another kind rounds otherwise: the mean of the gradients of two networks is that of neither."""

    def drift(training: Run) -> None:
        training.stage.generator.conv_last.bias.data += np.float32(1e-4)

    ends = on_ranks(2, lambda ranks: failing(ranks, tmp_path, on(1, 3, drift), check_every=2))
    assert isinstance(ends[0], RanksError)
    assert "step 4 of stage srgan" in str(ends[0])
    assert "generator.conv_last.bias differs between rank 0 and rank 1" in str(ends[0])
    on_ranks(2, lambda ranks: require_same(ranks, "", lambda: {"x": np.ones(3), "y": [1]}, ""))


def test_a_photo_lost_on_one_rank_is_left_out_on_all(tmp_path: Path) -> None:
    """The others would draw other crops from then on: no error, and no batch of distinct photographs any more."""
    for name, picture in PHOTOS.items():
        write_image(tmp_path / "photos" / f"{name}.png", picture)

    def batches(ranks: Ranks) -> tuple[Any, ...]:
        sampler = CropSampler(load_photos(tmp_path / "photos", 16, 0).photos, 16, 4, np.random.default_rng(0))
        sampler.part = ranks.rank, ranks.size
        sampler.agree = lambda lost: {name: why for part in ranks.all(lost) for name, why in part.items()}
        ranks.all(0)
        if ranks.first:
            (tmp_path / "photos" / "4.png").unlink()
        ranks.all(0)
        parts = [sampler.batch(6)[1] for _ in range(6)]
        return list(sampler.lost), sampler.names, sampler.rng.bit_generator.state, len(parts[0])

    first, second = on_ranks(2, batches)
    assert first == second
    assert first[0] == ["4.png"]


def test_other_photographs_on_another_machine_are_named(tmp_path: Path) -> None:
    """A folder of the same name, on a disk of its own."""

    def refused(ranks: Ranks) -> None:
        with pytest.raises(RanksError, match=r"(?s)the photographs.*got       3 differs between rank 0 and rank 1\n"):
            run(ranks, tmp_path, photos=PHOTOS | {"3": photo(ranks.rank)})

    on_ranks(2, refused)


# One process


def test_one_process_imports_no_mpi() -> None:
    """It takes half a second, and starts the network of the machine."""
    code = "import sys, minisrgan.cli.train as t; print(t.started().size, 'mpi4py' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "OMPI", "SLURM"))}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


def test_one_process_copies_nothing() -> None:
    """The gradients are not even looked at."""
    assert list(ALONE.average(iter([1, 2]))) == [1, 2]
    generator = found(Generator(4, 4, 1), {})
    assert ALONE.average(generator) is generator


def test_mpi4py_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four processes that do not know of each other train four times into one folder."""
    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(RanksError, match=r"(?s)a training on 4 ranks.*minisrgan\[mpi\]"):
        started()


def test_the_mpi_of_another_mpiexec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process would be rank 0 of one: four trainings that overwrite each other's files."""
    world = SimpleNamespace(COMM_WORLD=SimpleNamespace(size=1), Get_library_version=lambda: "Open MPI v5\nmore")
    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setitem(sys.modules, "mpi4py", SimpleNamespace(MPI=world))
    with pytest.raises(RanksError, match=r"(?s)a training on 4 ranks.*Open MPI v5, which sees 1"):
        started()


def test_a_second_interrupt_aborts() -> None:
    """The others may wait in an exchange, or hang: only the MPI library can end them."""
    aborted: list[int] = []

    def interrupted(ranks: MPIRanks) -> None:
        ranks.comm.Abort = aborted.append
        with pytest.raises(KeyboardInterrupt), ranks.together():
            raise KeyboardInterrupt

    on_ranks(1, interrupted)
    assert aborted == [130]
