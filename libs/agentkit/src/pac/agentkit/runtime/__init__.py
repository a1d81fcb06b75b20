"""The local runtime: serves the contract of the real one and runs agents as subprocesses. Not a sandbox."""
