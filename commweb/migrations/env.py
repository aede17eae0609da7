"""Alembic's environment: runs on the connection it is handed, in its transaction."""

from alembic import context

from commweb.migrate import VERSION_TABLE
from commweb.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,
    render_as_batch=True,
)
context.run_migrations()
