"""Weights in other people's formats: told apart, read without being run, renamed and laid out as ours are."""
