"""What every room stands on: errors, configuration, archives, models on disk, jobs, random streams."""
