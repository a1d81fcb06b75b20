"""Fixtures and drivers for tests; a development dependency only."""
