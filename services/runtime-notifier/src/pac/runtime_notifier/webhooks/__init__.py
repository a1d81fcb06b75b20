"""What happens to deployments, told to endpoints of the account: Standard Webhooks, at least once, in order."""
