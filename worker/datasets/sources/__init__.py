"""What the modules of downloaded data sets share: how archives are had, checked and read."""
