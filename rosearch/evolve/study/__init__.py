"""The Optuna study that holds a search's trials."""
