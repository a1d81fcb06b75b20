"""The event log in Postgres: append, fold, readers, relay, inbox, projections, jobs."""
