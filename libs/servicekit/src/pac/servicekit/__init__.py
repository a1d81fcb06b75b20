"""What every process needs: settings, logging, HTTP application, Kafka subscription, objects, health, run.

Import from the modules: `http` (Route, reply, caller_of, uuid_in, body_in …), `settings`, `service`, `run`, `kafka`
(Subscription, Consuming), `health` (Check), `metrics` (Sample), `objects`, `identity`, `logging`.
"""
