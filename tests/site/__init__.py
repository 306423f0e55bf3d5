"""A small real shop: the project that tests, demo and benchmarks back up and restore."""
