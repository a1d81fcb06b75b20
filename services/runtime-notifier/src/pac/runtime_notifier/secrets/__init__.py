"""Secrets stored for an app: encrypted here, opened only for their owner and for the runtime, named in the log."""
