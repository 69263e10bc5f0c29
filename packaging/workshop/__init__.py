"""What ./dev does, apart from the tests: environments, the Debian package, booted roots, benchmarks."""
