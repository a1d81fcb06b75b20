"""Upload, validation, blobs and versions of agent packages."""
