"""Shipped recipes: one TOML file per row of the report's tables, and small ones for a CPU."""
