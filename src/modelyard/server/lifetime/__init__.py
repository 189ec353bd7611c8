"""How long things stay: the trash as a whole, deletion for good, garbage collection, receipts, retention."""
