"""Music as piano rolls: published sets of them, MIDI files, pictures and scores."""
