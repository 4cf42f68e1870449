"""What a run has to show, as numbers: nothing here is drawn. Each module answers one question of the report."""
