"""HTTP: FastAPI for everything, and a shortcut below it for the hot routes."""
