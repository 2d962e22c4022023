"""Weights in the formats of other libraries: recognised, read without running their code, renamed and transposed."""
