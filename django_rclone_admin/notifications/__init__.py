"""Notifications to people and monitors: once per problem and once when it is over. A broken channel never breaks a
run."""
