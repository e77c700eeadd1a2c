"""What every training of a network shares: frames, schedules, checkpoints."""
