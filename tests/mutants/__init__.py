"""Deliberate faults, and that the tests catch every one of them."""
