"""The certificates and the folder with ready-made devices that the emulator writes."""
