"""The examples of the specification, word for word. PAC's own answers have more fields, never fewer."""

from typing import Any, Final

Example = dict[str, Any]
UPLOADED: Final[Example] = {
    "package": {
        "id": "uuid",
        "version": "1.0.1",
        "s3_url": "https://s3.amazonaws.com/...",
        "size": 2048000,
        "created_at": "2024-01-01T00:00:00Z",
    }
}
ACCEPTED: Final[Example] = {
    "deployment": {
        "id": "deployment-uuid",
        "status": "queued",
        "message": "Deployment queued successfully",
        "queued_at": "2024-01-01T00:00:00Z",
        "estimated_duration_seconds": 120,
    },
    "package": {"id": "package-uuid", "version": "1.2.0", "size_bytes": 2048000, "status": "uploading"},
    "tracking": {
        "status_url": "https://your-app.com/api/deployments/deployment-uuid",
        "webhook_url": "https://your-app.com/api/agent-apps/app-uuid/webhooks",
    },
}
INVALID_PACKAGE: Final[Example] = {
    "error": "Package validation failed",
    "details": ["Invalid APKG format", "Missing required manifest.json", "Version already exists"],
}
UNAUTHENTICATED: Final[Example] = {"error": "Invalid API key or session"}
INSUFFICIENT_CREDITS: Final[Example] = {"error": "Insufficient credits", "required": 10, "available": 5}
PACKAGES: Final[Example] = {
    "packages": [
        {
            "id": "uuid",
            "version": "1.0.1",
            "s3_url": "https://s3.amazonaws.com/...",
            "size": 2048000,
            "created_at": "2024-01-01T00:00:00Z",
        },
        {
            "id": "uuid",
            "version": "1.0.0",
            "s3_url": "https://s3.amazonaws.com/...",
            "size": 1024000,
            "created_at": "2024-01-01T00:00:00Z",
        },
    ]
}
DELETED: Final[Example] = {"message": "Package deleted successfully"}
DEPLOYMENT: Final[Example] = {
    "deployment": {
        "id": "deployment-uuid",
        "status": "processing",
        "package_id": "package-uuid",
        "agent_app_id": "app-uuid",
        "version": "1.2.0",
        "created_at": "2024-01-01T00:00:00Z",
        "started_at": "2024-01-01T00:01:00Z",
        "progress": {
            "current_step": "upload_to_s3",
            "steps": [
                {
                    "name": "validate_package",
                    "status": "completed",
                    "started_at": "2024-01-01T00:01:00Z",
                    "completed_at": "2024-01-01T00:01:10Z",
                },
                {"name": "upload_to_s3", "status": "processing", "started_at": "2024-01-01T00:01:10Z"},
                {"name": "generate_metadata", "status": "pending"},
                {"name": "notify_runtime", "status": "pending"},
                {"name": "finalize", "status": "pending"},
            ],
        },
    }
}
STATS: Final[Example] = {
    "stats": {"queued": 3, "processing": 1, "completed": 156, "failed": 2, "total": 162},
    "health": {"status": "healthy", "message": "Queue is operating normally"},
    "metrics": {"avgProcessingTimeSeconds": 45, "lastUpdated": "2024-01-01T00:00:00Z"},
}
