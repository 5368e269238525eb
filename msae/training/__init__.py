"""Training: the step, its schedule and checkpoints, and runs on disk."""

from msae.training.loop import train, train_many
from msae.training.run import Run
from msae.training.scaling import Scaling
from msae.training.train_config import TrainConfig, default_lr
from msae.training.trainer import StepMetrics, Trainer

__all__ = ["Run", "Scaling", "StepMetrics", "TrainConfig", "Trainer", "default_lr", "train", "train_many"]
