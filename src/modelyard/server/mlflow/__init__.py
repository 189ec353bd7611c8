"""MLflow's REST protocol over the runs and the models of a workspace, without MLflow."""
