"""Back up a Django site's databases and media to any rclone remote, and bring them back."""

__version__ = "0.1.0"
