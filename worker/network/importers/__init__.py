"""Other people's files, read into a record. Torch-free and numpy-free: the API refuses a file by it at once."""
