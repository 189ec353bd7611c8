"""Finding runs: one expression language, and a picture of each workspace's runs in memory that answers it."""
