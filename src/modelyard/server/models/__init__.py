"""Models: named, versioned trees of files with lineage."""
