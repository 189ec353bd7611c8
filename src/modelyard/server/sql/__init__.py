"""SQL over everything that a workspace keeps."""
