"""Models that give each configuration an energy: restricted Boltzmann machines and what is built of them."""
