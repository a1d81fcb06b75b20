"""What the services answer with in public, a module for each: the API's description is made from these models."""
