"""Settings of a site for benchmarks: the same for each package but for the package itself.

Imported in the environment of each package, so it knows nothing of the tests.
"""

import json
import os
from pathlib import Path

try:
    import pymysql
except ImportError:
    pass
else:
    pymysql.version_info = (2, 2, 1, "final", 0)
    pymysql.install_as_MySQLdb()

BENCH = json.loads(os.environ["BENCH"])
PACKAGE, REMOTE = BENCH["package"].partition(" ")[0], BENCH["remote"]

SECRET_KEY = "only-for-benchmarks"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": BENCH["database"]}
APPS = {
    "this": ["django_htmx", "django_rclone_admin"],
    "django-rclone": ["django_rclone"],
    "django-dbbackup": ["dbbackup"],
    "none": [],
}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    *APPS[PACKAGE],
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "bench_urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
MEDIA_ROOT = BENCH.get("media", "")
DJANGO_RCLONE = {"REMOTE": REMOTE, "RCLONE_BINARY": BENCH["rclone"], **BENCH.get("more", {})}
if PACKAGE == "django-dbbackup":
    Path(REMOTE).mkdir(parents=True, exist_ok=True)
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        "dbbackup": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": REMOTE},
        },
    }
