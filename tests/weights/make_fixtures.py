"""Writes tests/weights/torch/*.pth with PyTorch: python -m tests.weights.make_fixtures

Made with PyTorch 2.13. A few KB; what is in them stands in `STATE`, which the tests compare with.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "torch"

STATE = {
    "plain": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.arange(3, dtype=np.float16) / 4,
    "double": np.arange(3, dtype=np.float64) / 3,
    "count": np.array(5),
    "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "part": np.arange(6, dtype=np.float32).reshape(2, 3)[1:, 1:],
    "brain": np.array([1.0, -2.5, 0.375], np.float32),
    "learned": np.ones(2, np.float32),
    "empty": np.zeros((0, 3), np.float32),
}


def main() -> None:
    """Write a state dict and a checkpoint in both formats."""
    import torch

    whole = torch.from_numpy(STATE["plain"].copy())
    state = OrderedDict((name, torch.from_numpy(array.copy())) for name, array in STATE.items())
    state |= {"plain": whole, "turned": whole.t(), "part": whole[1:, 1:]}  # of one storage
    state["brain"] = state["brain"].to(torch.bfloat16)
    state["learned"] = torch.nn.Parameter(state["learned"])
    optimizer = {
        "state": {0: {"step": 3, "mean": torch.zeros(2)}},
        "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}],
    }
    checkpoint = {"epoch": 7, "loss": 0.25, "best": None, "state_dict": state, "optimizer": optimizer}
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    for name, content in {"state": state, "checkpoint": checkpoint, "module": module.state_dict()}.items():
        torch.save(content, FOLDER / f"{name}_zip.pth")
        torch.save(content, FOLDER / f"{name}_old.pth", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
