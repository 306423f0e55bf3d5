"""A site whose staff work in an admin of their own; the default admin does not know our models."""

from django.contrib import admin
from django.urls import path

from django_rclone_admin.admin import BackupAdmin, BackupRunAdmin
from django_rclone_admin.models import Backup, BackupRun

control = admin.AdminSite(name="control")
control.register(Backup, BackupAdmin)
control.register(BackupRun, BackupRunAdmin)

empty = admin.AdminSite(name="admin")

urlpatterns = [path("control/", control.urls), path("admin/", empty.urls)]
