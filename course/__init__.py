"""Everything around the algorithms: the write-up, the gallery, the digit classifier."""
