"""Files of time-aligned labels: NIST CTM, Praat TextGrid, phone label tables."""
