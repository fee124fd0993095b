"""The pages: templates, scripts and styles."""
