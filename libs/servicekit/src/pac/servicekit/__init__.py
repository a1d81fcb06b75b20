"""What every process needs: settings, logging, HTTP, Kafka subscription, health, run."""
