"""What an agent package is: read, check, start; the environment and its precedence; the local runtime."""
