"""A workspace as one file: a zip of Parquet tables, blobs by their hash, and a manifest with the hash of every table."""
