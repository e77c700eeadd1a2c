"""The recogniser that people call: from sound to words, out of one file or a pair of directories."""
