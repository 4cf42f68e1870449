"""The graph of an experiment on Ray: what the steps do, who runs them, and how far they are."""
