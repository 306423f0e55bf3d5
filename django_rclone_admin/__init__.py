"""Backs up a Django site's databases and media files to any rclone remote, and restores them."""

__version__ = "0.1.0"
