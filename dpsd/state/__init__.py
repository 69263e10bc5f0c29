"""The values that are kept over a restart, or sent between the processes of dpsd. Nothing is opened here."""
