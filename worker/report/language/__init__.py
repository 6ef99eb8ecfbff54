"""Words and numerals of the languages that a report is written in."""
