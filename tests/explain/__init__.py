"""Tests of explain/."""
