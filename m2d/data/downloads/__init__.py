"""Getting corpora: the catalogue of what can be downloaded, transfers that resume, archives unpacked safely."""
