"""The recipes that come with the package: one TOML file a row of the report's tables, and small ones for a CPU."""
