"""Downloads of corpora: the catalogue, transfers that resume, safe unpacking of archives."""
