"""Sweeps: a search over hyperparameters with Optuna, each trial a run folder, all trials in one study on disk."""
