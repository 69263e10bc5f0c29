"""What agents get instead of keys: each door is a socket of systemd, and a small process behind it on demand."""
