"""A folder of experiments as one self-contained HTML page. Reads files only."""
