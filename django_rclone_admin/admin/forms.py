"""The forms of the dashboard."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import connections
from django.utils.translation import gettext_lazy

from .. import api


class RunBackupForm(forms.Form):
    """What to back up. An empty request by a program means all databases; in the form, at least one box must be
    ticked."""

    databases = forms.MultipleChoiceField(
        label=gettext_lazy("Databases"),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    media = forms.BooleanField(label=gettext_lazy("Media files"), required=False, initial=True)  # type: ignore[assignment]
    label = forms.CharField(
        label=gettext_lazy("Label"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("A note that is kept with the backup."),
    )
    # Django removes fields from the class, so the form's own method of this name remains.
    clean = forms.BooleanField(  # type: ignore[assignment]
        label=gettext_lazy("Clean up afterwards"),
        required=False,
        help_text=gettext_lazy("After the backup, remove old backups by the retention rules."),
    )

    is_choice = forms.BooleanField(required=False, widget=forms.HiddenInput, initial=True)
    """Whether the request comes from the form with its boxes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["databases"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(alias, alias) for alias in api.all_databases()]
        field.initial = api.all_databases()
        if not api.has_media():
            del self.fields["media"]

    def clean_is_choice(self) -> bool:
        nothing = not (self.cleaned_data.get("databases") or self.cleaned_data.get("media"))
        if self.cleaned_data["is_choice"] and nothing:
            raise forms.ValidationError(gettext_lazy("Tick at least one."))
        return bool(self.cleaned_data["is_choice"])

    @property
    def chosen(self) -> list[str]:
        """The aliases to back up; by default all."""
        if self.cleaned_data["databases"] or self.cleaned_data.get("media"):
            return list(self.cleaned_data["databases"])
        return api.all_databases()


class RestoreForm(forms.Form):
    """The typed alias of the database; case-insensitive, unless two aliases differ only in case."""

    wrong_word = gettext_lazy("Type “%(database)s” to confirm.")

    confirm = forms.CharField(
        strip=True,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
    )

    def __init__(self, *args: Any, target: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.target = target
        self.fields["confirm"].label = gettext_lazy("Type “%(database)s” to confirm") % {"database": target}

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        twins = [each for each in connections if each.casefold() == self.target.casefold()]
        is_right = typed == self.target or (typed.casefold() == self.target.casefold() and len(twins) < 2)
        if not is_right:
            raise forms.ValidationError(self.wrong_word, params={"database": self.target})
        return typed


class RestoreMediaForm(RestoreForm):
    """The typed word “media”, and whether files that the backup lacks are removed."""

    wrong_word = gettext_lazy("Type “%(database)s” to confirm.")
    exact = forms.BooleanField(
        label=gettext_lazy("Also remove the files that are not in the backup"),
        required=False,
        help_text=gettext_lazy("If unticked, these files stay. Excluded files always stay."),
    )
