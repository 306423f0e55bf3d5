"""Real parts for the tests: database servers, rclone remotes, a shop on Django, programs that fail."""
