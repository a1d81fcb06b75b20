"""`pac dev`: an agent's folder, packed and run as the local runtime runs packages, anew at each change."""
