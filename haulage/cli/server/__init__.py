"""`haulage up` and `down`: a local Prefect server and its worker."""
