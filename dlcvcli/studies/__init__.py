"""Studies: several steps or runs, arranged so that their outcome can be read at a glance."""
