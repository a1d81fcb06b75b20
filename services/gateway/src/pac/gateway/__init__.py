"""The public HTTP door: who are you, may you, forward."""
