"""The names of the tables of this app, as they are in a database. Imports nothing, for the demo uses it without drivers."""

HISTORY = "django_rclone_admin_backuprun"
"""The run history, which a restore leaves alone."""
OPENED = "django_rclone_admin_openedbackup"
"""The opened backups."""
HEALTH = "django_rclone_admin_sitehealth"
"""The stored health of the site, written at each look."""
NOTICE = "django_rclone_admin_notice"
"""The announced problems."""

TRAVELS_NOT = (HISTORY, OPENED, HEALTH, NOTICE)
"""The tables that are in no backup."""
SCHEDULES = "django_rclone_admin_backupschedule"
"""The table of the app that is in backups like those of the site."""
