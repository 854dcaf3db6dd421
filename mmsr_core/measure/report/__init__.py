"""The report: the papers' tables of what runs and evaluations measured. JSON → Markdown, PNG."""
