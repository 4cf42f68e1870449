"""Labels for a person to review: which inputs are worth a minute, out to an annotation tool, and back as examples."""
