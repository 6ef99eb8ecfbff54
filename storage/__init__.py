"""What outlives a process: settings, the database, the life of a job, and content-addressed files."""
