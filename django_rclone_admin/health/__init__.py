"""The health of the site: facts are gathered and stored, rules evaluate them, and every place shows the same result."""
