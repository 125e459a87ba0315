"""Make the tables of an empty database, or bring those of an older version up to date."""

from pathlib import Path
from typing import Any

from alembic.config import Config as AlembicConfig
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

FOLDER = Path(__file__).parent


def schema_version(connection: Connection) -> str | None:
    """Return the version of the schema of a database; None: it has none."""
    return MigrationContext.configure(connection).get_current_revision()


def known_versions() -> list[str]:
    """Return the versions that this version of icdcode can read, newest first."""
    return [script.revision for script in _scripts().walk_revisions()]


def upgrade_schema(connection: Connection) -> None:
    """Run the missing migrations in the transaction of the connection."""
    scripts = _scripts()

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs("head", revision)

    with EnvironmentContext(_config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def _config() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
