"""Learning precise timing: the tasks and the net of Gers, Schraudolph & Schmidhuber (2002)."""
