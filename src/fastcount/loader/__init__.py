"""Bulk loading: lines of a file → records → frames → a server, with every record accounted for at the end."""
