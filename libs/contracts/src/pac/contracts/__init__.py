"""Events, topics, API models and error codes that two services share."""
