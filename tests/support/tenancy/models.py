"""A tenant and its domains."""

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Tenant(TenantMixin):
    name = models.CharField(max_length=50)


class Domain(DomainMixin):
    pass
