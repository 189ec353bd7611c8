"""What every slice of the server stands on: database, HTTP, events, blobs, identity, time. Knows no concept."""
