"""Print how far minisrgan is from PyTorch: ``python -m tests.parity``, from the root of the project."""

from tests.parity.measure import parity_table, torch_version

if __name__ == "__main__":
    print(f"minisrgan against PyTorch {torch_version('operations')} in float64")
    print(parity_table())
