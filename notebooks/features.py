"""Train the features in the box: a small network of VGG's kind that tells from which photograph a crop was cut.

    python notebooks/features.py FOLDER_OF_PHOTOS features.safetensors

VGG19 learned its features by naming what a photograph shows, from a million photographs that people had labelled.
This network needs no labels: each photograph is a class of its own. Brightness and colours of every crop are changed
at random, so that it cannot go by them, and has to look at structure. Its last layers, which name the photograph, are
left out of the file. Ten minutes on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from minisrgan import Tensor, nn, ops
from minisrgan.images import list_images, read_image
from minisrgan.optim import Adam, piecewise
from minisrgan.weights import save_model

CHANNELS, CROP, BATCH, STEPS = (16, 32, 64), 48, 24, 900


def stack(rng: np.random.Generator) -> nn.Sequential:
    """Build three blocks of two convolutions with ReLUs, and a max pooling between blocks, as VGG19 begins."""
    layers: list[nn.Module] = []
    inputs = 3
    for channels in CHANNELS:
        layers += [nn.MaxPool2d(2)] if layers else []
        for _ in range(2):
            layers += [nn.Conv2d(inputs, channels, 3, padding=1, rng=rng), nn.ReLU()]
            inputs = channels
    return nn.Sequential(*layers)


def crops(photos: list[np.ndarray], labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut one crop (CROP, CROP, 3) from each photograph named, in [-1, 1], turned, and with other colours."""
    batch = []
    for label in labels:
        photo = photos[label]
        top, left = (rng.integers(size - CROP + 1) for size in photo.shape[:2])
        crop = np.rot90(photo[top : top + CROP, left : left + CROP], rng.integers(4))
        crop = crop[:, :: rng.choice([-1, 1])].astype(np.float32) / 127.5 - 1
        batch.append(crop * rng.uniform(0.6, 1.4, 3) + rng.uniform(-0.4, 0.4, 3))
    return np.stack(batch).astype(np.float32)


def cross_entropy(logits: Tensor, labels: np.ndarray) -> Tensor:
    """Return the mean over the batch of -ln softmax(logits)[label], for logits (N, classes)."""
    largest = logits.detach().max(axis=1, keepdims=True)  # any constant: it keeps exp from overflowing
    total = ops.log(ops.exp(logits - largest).sum(axis=1)) + largest.reshape(-1)
    chosen = np.eye(logits.shape[1], dtype=np.float32)[labels]
    return (total - (logits * Tensor(chosen)).sum(axis=1)).mean()


def main(folder: str, out: str) -> None:
    """Train, and save the stack."""
    rng = np.random.default_rng(0)
    photos = [np.asarray(Image.fromarray(read_image(path)).reduce(2)) for path in list_images(folder)]
    features, head = stack(rng), nn.Linear(CHANNELS[-1], len(photos), rng=rng)
    optimizer = Adam(features.parameters() + head.parameters(), lr=0)
    lr = piecewise((2e-3, 2e-4), (3 * STEPS // 4,), warmup=30)
    for step in range(STEPS):
        labels = rng.choice(len(photos), BATCH, replace=False)
        logits = head(features(Tensor(crops(photos, labels, rng))).mean(axis=(1, 2)))
        loss = cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.lr = lr(step)
        optimizer.step()
        if step % 50 == 49:
            right = (logits.numpy().argmax(axis=1) == labels).mean()
            print(f"step {step + 1}: cross-entropy {loss.item():.2f}, right {right:.0%}", flush=True)
            save_model(Path(out), features, half=True, steps=step + 1, licence="MIT")


if __name__ == "__main__":
    main(*sys.argv[1:])
