"""What students handed in: archives, folders, notebooks, and which cell answers which exercise."""
