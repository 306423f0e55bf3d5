"""The user model."""

from uuid import uuid4

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class MemberManager(BaseUserManager):
    def create_superuser(self, email, password=None):
        member = self.model(email=email, is_superuser=True)
        member.set_password(password)
        member.save(using=self._db)
        return member


class Member(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid4)
    email = models.EmailField(unique=True, max_length=254)

    USERNAME_FIELD = EMAIL_FIELD = "email"

    objects = MemberManager()

    @property
    def is_staff(self):
        return self.email.endswith("@example.com")

    @property
    def is_active(self):
        return True
