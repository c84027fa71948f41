"""Finished trainings on an MLflow server: parameters, figures, curves, files and lineage.

Nothing here is imported, and no server is asked, unless MLFLOW_TRACKING_URI is set.
"""
