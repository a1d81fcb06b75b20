"""Drives runtimes by their HTTP contract; keeps secrets."""
