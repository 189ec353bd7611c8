"""azureml.telemetry: modelyard collects nothing, so there is nothing to switch."""


def set_diagnostics_collection(send_diagnostics=True, verbose=True):
    """Accepted and without effect: no diagnostics are ever sent anywhere."""
