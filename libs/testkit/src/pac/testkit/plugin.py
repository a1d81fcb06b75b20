"""Fixtures that every test of the workspace may ask for."""

from pac.testkit.postgres import database, database_of, event_log, event_log_of, postgres

__all__ = ["database", "database_of", "event_log", "event_log_of", "postgres"]
