"""One outside library each, behind the ports."""
