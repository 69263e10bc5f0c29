"""The commands of `dpsctl`: one module for each, whose `run` does it and returns the exit status. Floor 5."""
