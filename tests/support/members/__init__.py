"""An app with a user model of its own: people sign in by e-mail, have no name, and are staff by a rule, not by a column."""
