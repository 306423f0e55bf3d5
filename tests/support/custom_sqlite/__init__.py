"""A database backend of a project's own, with a function that no other knows."""
