"""The commands of `mckd`, each group in a file: its arguments, and what it calls and prints."""
