"""One script per rival, run by that rival's own Python. None of them imports the project's own packages."""
