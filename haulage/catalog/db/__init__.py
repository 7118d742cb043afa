"""The database: engine, tables, migrations, and retries while it is away."""
