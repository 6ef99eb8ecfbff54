"""What a study shows: its results read, its claims decided."""
