"""A machine of the yard: the agent (one per node), the run host (one per run), environments."""
