"""The tenants of a site with django-tenants: each has a schema of its own."""
