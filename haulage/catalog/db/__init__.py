"""The database: engine, tables, migrations, and what it takes to be patient."""
