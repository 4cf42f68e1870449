"""The sweep: Ray Tune over an experiment's settings, where trials share every step that they have in common."""
