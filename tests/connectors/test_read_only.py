"""What may be said to an opened backup: statements that read. A server may let a read-only session change more than data."""

import pytest
from django.db import NotSupportedError

from django_rclone_admin.connectors.read_only import refuse_writing

REFUSED = (
    "SET PASSWORD = PASSWORD('x')",
    "set password for shop = password('x')",
    "SET GLOBAL max_connections = 5",
    "SET @@global.max_connections = 5",
    "SET sort_buffer_size = 5, GLOBAL max_connections = 5",
    "SET sort_buffer_size = 5; SET PERSIST max_connections = 5",
    "SET DEFAULT ROLE NONE FOR shop",
    "RESET MASTER",
    "/* now */ reset  query cache",
    "START SLAVE",
    "START ALL SLAVES",
    "BEGIN NOT ATOMIC DELETE FROM book; END",
    "SELECT * FROM book INTO OUTFILE '/tmp/books'",
    "SELECT title INTO DUMPFILE '/tmp/book' FROM book",
    "CALL writes()",
    "LOCK TABLES book WRITE",
    "CREATE TEMPORARY TABLE mine (id integer)",
    "COPY book TO PROGRAM 'cat'",
    "SELECT 1; DELETE FROM book",
    "PREPARE it AS DELETE FROM book",
    "EXECUTE IMMEDIATE 'DELETE FROM book'",
    "VACUUM INTO '/tmp/books'",
)
LET_THROUGH = (
    "SELECT password FROM auth_user WHERE username = 'SET GLOBAL'",
    "SELECT 'x' INTO @outfile",
    "SET search_path = public",
    "SET password_encryption = 'md5'",
    "RESET ALL",
    "RESET master_setting",
    "START TRANSACTION",
    "start transaction isolation level repeatable read",
    "WITH found AS (SELECT 1) SELECT * FROM found",
    "(SELECT 1) UNION (SELECT 2)",
    "SELECT 'a;b', \"c;d\" -- ; DELETE FROM book",
)


@pytest.mark.parametrize("statement", REFUSED)
def test_statement_that_may_change_something_is_refused(statement):
    with pytest.raises(NotSupportedError, match="opened backup"):
        refuse_writing(statement)


@pytest.mark.parametrize("statement", LET_THROUGH)
def test_statement_that_reads_is_let_through(statement):
    refuse_writing(statement)
