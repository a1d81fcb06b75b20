"""The hub: deployments, their queue and their order."""
