from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_rclone_admin", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="backuprun",
            name="identity",
            field=models.CharField(editable=False, max_length=200, null=True),
        ),
        migrations.AddField(
            model_name="backuprun",
            name="number",
            field=models.BigIntegerField(
                editable=False, help_text="The place of a restore in the order of the restores.", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="backuprun",
            index=models.Index(fields=["finished_at"], name="dra_run_finished"),
        ),
    ]
