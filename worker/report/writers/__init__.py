"""A report as documents."""
