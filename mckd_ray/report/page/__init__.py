"""The report as a page: what `analysis` computed, drawn and put into HTML and Markdown."""
