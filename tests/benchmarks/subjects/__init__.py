"""One module a subject; each has ``run(bench)``, which gives its results."""
