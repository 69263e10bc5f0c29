"""What dpsd costs, measured as ratios in one run."""
