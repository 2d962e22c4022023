"""What leaves a training: averaged weights, measured statistics, and how good they are."""

from __future__ import annotations

import numpy as np

from minisrgan import Tensor, no_grad
from minisrgan.images import imresize, psnr
from minisrgan.inference import upscale
from minisrgan.losses import MSEContent
from minisrgan.models import Generator
from minisrgan.training.publish import Validation, published, recalibrate
from tests.training.test_resume import photo, training


def trained(name: str = "srgan"):
    """Return a stage after two steps."""
    stage, sampler = training(name)
    for step in range(2):
        stage.step(step, *(Tensor(array) for array in sampler.batch(2)))
    return stage


def test_the_average_is_published_where_there_is_one() -> None:
    """Saving the weights of the last step instead is a night of averaging for nothing, and nothing looks wrong."""
    stage = trained()
    state, average, now = published(stage).state_dict(), stage.average.average, stage.generator.state_dict()
    assert all((state[name] == average[name]).all() for name in state)
    assert any((state[name] != now[name]).any() for name in state)
    assert stage.generator.training
    stage.average = None
    state = published(stage).state_dict()
    assert all((state[name] == now[name]).all() for name in state)


def test_statistics_are_means_over_the_batches() -> None:
    """Statistics that keep a part of what was there before are those of other weights."""
    rng = np.random.default_rng(0)
    generator = Generator(4, 5, 1, rng=rng)
    generator.bn_middle.running_mean[...] = 1000
    batches = [rng.random((2, 6, 6, 3), dtype=np.float32) for _ in range(3)]
    before = [p.data.copy() for p in generator.parameters()]
    means, variances = [], []
    with no_grad():
        for low in batches:
            first = generator.prelu_first(generator.conv_first(Tensor(low)))
            deep = generator.conv_middle(generator.train().blocks(first)).numpy()
            means.append(deep.mean(axis=(0, 1, 2)))
            variances.append(deep.var(axis=(0, 1, 2), ddof=1))
    recalibrate(generator, batches)
    np.testing.assert_allclose(generator.bn_middle.running_mean, np.mean(means, axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(generator.bn_middle.running_var, np.mean(variances, axis=0), rtol=1e-4)
    assert not generator.training
    assert generator.bn_middle.momentum == 0.1
    assert all((p.data == old).all() for p, old in zip(generator.parameters(), before, strict=True))


def test_without_batches_nothing_changes() -> None:
    """The paper's preset publishes the running statistics."""
    generator = trained().generator
    before = {name: array.copy() for name, array in generator.state_dict().items()}
    recalibrate(generator, [])
    assert all((array == before[name]).all() for name, array in generator.state_dict().items())


def test_validation_measures_what_upscaling_gives() -> None:
    """A PSNR of its own making (RGB, no rounding, no crop) is off by 1 dB and more, and tells nobody anything."""
    stage = trained()
    photos = {"a": photo(), "b": photo(1)}
    validation = Validation(photos, 4, side=32)
    numbers, pictures = validation(stage)
    generator, measured, losses = published(stage), [], []
    for name, whole in photos.items():
        original = whole[4:36, 8:40]
        np.testing.assert_array_equal(validation.originals[name], original)
        picture = upscale(generator, imresize(original, 1 / 4))
        assert np.abs(picture.astype(int) - pictures[name]).max() <= 1  # with and without folded batch norms
        measured.append(psnr(pictures[name], original))
        y = generator(Tensor(imresize(original, 1 / 4)[None].astype(np.float32) / 255)).numpy()
        losses.append(np.square(y - (original / 127.5 - 1)).mean())
    np.testing.assert_allclose(numbers["psnr"], np.mean(measured))
    np.testing.assert_allclose(numbers["content_validation"], np.mean(losses), rtol=1e-4)
    assert isinstance(stage.loss.content, MSEContent)


def test_validation_leaves_the_training_alone() -> None:
    """One batch norm in the wrong mode, one number drawn: and a run that is looked at is another run."""
    looked_at, alone = trained(), trained()
    Validation({"a": photo()}, 4)(looked_at)
    for ours, theirs in zip(looked_at.modules.values(), alone.modules.values(), strict=True):
        assert all((ours.state_dict()[name] == array).all() for name, array in theirs.state_dict().items())
        assert ours.training
