"""A fleet that boots together, on paper; see docs/fleet.md."""
