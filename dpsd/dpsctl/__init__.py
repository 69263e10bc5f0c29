"""The command `dpsctl`: the table of its commands stands in `__main__`, and each is a module whose `run` does it."""
