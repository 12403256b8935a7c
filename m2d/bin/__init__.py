"""One thin entry point per stage: parse options, call the library, exit."""
