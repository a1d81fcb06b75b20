"""What the log says about itself to Prometheus."""

from prometheus_client import Counter, Gauge

APPENDED = Counter("pac_log_events_appended", "Events committed by this process", ["service"])
RELAY_LAG = Gauge("pac_relay_lag_seconds", "Age of the oldest event that the relay has not sent", ["service"])
RELAYED = Counter("pac_relay_events_sent", "Events that the broker has acknowledged", ["service"])
PROJECTION_LAG = Gauge("pac_projection_lag_seconds", "Age of the newest event when it was applied", ["projection"])
WATERMARK_AGE = Gauge("pac_log_watermark_age_seconds", "How long readers have been held back", ["service"])
PARKED = Gauge("pac_parked_messages", "Messages set aside", ["consumer", "early"])
JOBS_TAKEN = Counter("pac_jobs_taken", "Jobs handed to a worker, retries included", ["queue"])
