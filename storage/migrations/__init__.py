"""The schema's history; `Database.create` brings a database to its end."""
