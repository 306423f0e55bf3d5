"""The health of the site in the formats of monitors: plugin output, JSON and metrics."""
