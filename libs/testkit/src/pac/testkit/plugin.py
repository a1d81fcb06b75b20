"""Fixtures that every test of the workspace may ask for."""

from pac.testkit.kafka import kafka, kafka_server
from pac.testkit.objects import objects, objects_server, objects_settings
from pac.testkit.postgres import database, database_of, event_log, event_log_of, postgres

__all__ = [
    "database",
    "database_of",
    "event_log",
    "event_log_of",
    "kafka",
    "kafka_server",
    "objects",
    "objects_server",
    "objects_settings",
    "postgres",
]
