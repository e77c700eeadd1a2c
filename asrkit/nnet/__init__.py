"""Neural networks and energy-based models: the only room that imports torch."""
