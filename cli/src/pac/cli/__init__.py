"""The pac command."""
