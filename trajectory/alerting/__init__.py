"""What becomes of findings: alerts that an operator sees, grouped, counted and marked."""
