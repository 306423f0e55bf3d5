"""Settings of the shop.

Three environment variables change them, so that a test or a demo can run `manage.py` in a process of its own:

`SHOP_HOME`      folder of the databases, media and backups; default `var/` in the checkout
`SHOP_DEBUG`     `0` turns DEBUG off
`SHOP_SETTINGS`  a JSON object; each of its keys replaces that setting
"""

import json
import os
from pathlib import Path

import django

REPOSITORY = Path(__file__).resolve().parents[2]
SHOP_HOME = Path(os.environ.get("SHOP_HOME") or REPOSITORY / "var").resolve()
# SQLite creates its file, but not the folder around it.
SHOP_HOME.mkdir(parents=True, exist_ok=True)

DEBUG = os.environ.get("SHOP_DEBUG", "1") != "0"
SECRET_KEY = "only-for-a-shop-that-sells-nothing"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_rclone_admin",
    "tests.site.shop",
    "tests.site.analytics",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "tests.site.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
# The dashboard is always developed under a strict policy; an empty text turns it off.
SHOP_CONTENT_SECURITY_POLICY = "default-src 'self'"

ROOT_URLCONF = "tests.site.urls"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(SHOP_HOME / "db.sqlite3")},
    "analytics": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(SHOP_HOME / "analytics.sqlite3")},
}
DATABASE_ROUTERS = ["tests.site.routers.AnalyticsRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = str(SHOP_HOME / "static")
MEDIA_URL = "media/"
MEDIA_ROOT = str(SHOP_HOME / "media")

if django.VERSION >= (6, 1):  # the older ones have settings of their own for e-mail, and a default
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}

DJANGO_RCLONE = {"REMOTE": str(SHOP_HOME / "backups")}

globals().update(json.loads(os.environ.get("SHOP_SETTINGS") or "{}"))
