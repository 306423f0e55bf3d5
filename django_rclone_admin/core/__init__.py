"""The core: processes, streams, rclone, names, manifests, retention. Imports no Django."""
