"""Notifications to people and monitors: once per problem and once when it is over. A broken channel never breaks a
run."""

from .sending import Result, send_test
from .worker import finish_before_exit

__all__ = ["Result", "finish_before_exit", "send_test"]
