import uuid

from django.db import migrations, models

import django_rclone_admin.clock


class Migration(migrations.Migration):
    dependencies = [
        ("django_rclone_admin", "0002_fencing"),
    ]

    operations = [
        migrations.CreateModel(
            name="BackupSchedule",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100, verbose_name="name")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("backup", "back up"),
                            ("verify", "check backups"),
                            ("prune", "delete old backups"),
                        ],
                        default="backup",
                        max_length=20,
                        verbose_name="what",
                    ),
                ),
                (
                    "cron",
                    models.CharField(
                        help_text="A cron expression, such as “0 2 * * *”.",
                        max_length=100,
                        verbose_name="when",
                    ),
                ),
                ("time_zone", models.CharField(default="UTC", max_length=64, verbose_name="time zone")),
                (
                    "databases",
                    models.JSONField(
                        blank=True, default=list, help_text="Empty: all databases.", verbose_name="databases"
                    ),
                ),
                ("media", models.BooleanField(default=True, verbose_name="media files")),
                (
                    "clean",
                    models.BooleanField(
                        default=False,
                        help_text="Afterwards, delete old backups by your retention rules.",
                        verbose_name="clean up",
                    ),
                ),
                ("level", models.CharField(blank=True, max_length=20, verbose_name="check level")),
                ("enabled", models.BooleanField(default=True, verbose_name="enabled")),
                ("paused_until", models.DateTimeField(blank=True, null=True, verbose_name="paused until")),
                (
                    "paused_reason",
                    models.CharField(blank=True, max_length=200, verbose_name="reason for the pause"),
                ),
                (
                    "start_within",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Minutes. A later start is skipped. 0: however late.",
                        verbose_name="start within",
                    ),
                ),
                (
                    "spread",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Minutes over which the start is moved, so that sites take turns.",
                        verbose_name="spread",
                    ),
                ),
                ("next_run_at", models.DateTimeField(editable=False, null=True, verbose_name="next run")),
                (
                    "last_due_at",
                    models.DateTimeField(
                        default=django_rclone_admin.clock.now,
                        editable=False,
                        null=True,
                        verbose_name="last due",
                    ),
                ),
                ("last_run", models.UUIDField(editable=False, null=True, verbose_name="last run")),
                (
                    "seen_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="last seen by runschedules"),
                ),
                (
                    "claimed_at",
                    models.DateTimeField(editable=False, null=True, verbose_name="at work since"),
                ),
                (
                    "claimed_by",
                    models.CharField(blank=True, editable=False, max_length=200, verbose_name="at work in"),
                ),
                ("problem", models.TextField(blank=True, editable=False, verbose_name="problem")),
            ],
            options={
                "verbose_name": "schedule",
                "verbose_name_plural": "schedules",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="OpenedBackup",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "path",
                    models.CharField(
                        help_text="Of the backup, relative to the remote.",
                        max_length=500,
                        verbose_name="path",
                    ),
                ),
                ("database", models.CharField(max_length=100, verbose_name="database")),
                (
                    "server",
                    models.CharField(
                        help_text="The alias whose server holds it.", max_length=100, verbose_name="server"
                    ),
                ),
                ("vendor", models.CharField(max_length=50, verbose_name="engine")),
                (
                    "place",
                    models.CharField(
                        help_text="The name of its database or schema, or the path of its file.",
                        max_length=500,
                        verbose_name="place",
                    ),
                ),
                ("host", models.CharField(blank=True, max_length=255, verbose_name="host")),
                (
                    "opened_at",
                    models.DateTimeField(default=django_rclone_admin.clock.now, verbose_name="opened"),
                ),
                ("expires_at", models.DateTimeField(verbose_name="expires")),
                ("opened_by", models.CharField(blank=True, max_length=150, verbose_name="opened by")),
                ("taken_at", models.DateTimeField(null=True, verbose_name="taken")),
                (
                    "seconds",
                    models.FloatField(default=0, help_text="That the opening took.", verbose_name="seconds"),
                ),
                (
                    "run",
                    models.UUIDField(
                        editable=False,
                        help_text="The run that it is there for.",
                        null=True,
                        verbose_name="run",
                    ),
                ),
                ("process", models.CharField(blank=True, editable=False, max_length=200)),
                (
                    "rows",
                    models.JSONField(
                        blank=True, default=dict, help_text="Of each table.", verbose_name="rows"
                    ),
                ),
            ],
            options={
                "verbose_name": "opened backup",
                "verbose_name_plural": "opened backups",
                "ordering": ("-opened_at",),
                "default_permissions": (),
            },
        ),
        migrations.AlterModelOptions(
            name="backup",
            options={
                "base_manager_name": "objects",
                "default_permissions": ("view", "delete"),
                "managed": False,
                "ordering": ("-taken_at", "-name"),
                "permissions": [
                    ("run_backup", "Can run a backup"),
                    ("restore_backup", "Can restore a backup"),
                    ("verify_backup", "Can verify a backup"),
                    ("open_backup", "Can open a backup and see all its rows"),
                    ("download_backup", "Can download a backup"),
                    ("pin_backup", "Can pin a backup"),
                ],
                "verbose_name": "backup",
                "verbose_name_plural": "backups",
            },
        ),
        migrations.AlterModelOptions(
            name="backuprun",
            options={
                "default_permissions": ("view",),
                "ordering": ("-created_at",),
                "permissions": [("cancel_backuprun", "Can cancel a run")],
                "verbose_name": "run",
                "verbose_name_plural": "run history",
            },
        ),
        migrations.AlterField(
            model_name="backuprun",
            name="kind",
            field=models.CharField(
                choices=[
                    ("db_backup", "database backup"),
                    ("db_restore", "database restore"),
                    ("media_backup", "media backup"),
                    ("media_restore", "media restore"),
                    ("verify", "check"),
                    ("prune", "clean-up"),
                    ("open", "opening of a backup"),
                    ("copy", "copying of backups"),
                ],
                max_length=20,
                verbose_name="kind",
            ),
        ),
    ]
