"""The preprocessing of the fraud models: code that training and the scoring server both import.

MLflow packs this folder into each model (``code_paths``): it imports nothing but what the model itself needs.
"""
