"""Tests of the mathematics: ops/."""
