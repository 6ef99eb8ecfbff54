"""Networks as files that other programs run. One module a target."""
