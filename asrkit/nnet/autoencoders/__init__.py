"""Networks that learn to reproduce their inputs."""
