"""Tests of the commands as an operator and a script use them."""
