"""Training, of folds and of what is transferred."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mer_core.config.section import Count, Fraction, NonNegative, PathText, Positive, Section, Whole


class Augmentation(Section):
    """Random changes of the training images, made on the device."""

    flip: bool
    shift: float = Field(ge=0, le=0.5)
    rotation: float = Field(ge=0, le=45)
    brightness: Fraction
    scale: float = Field(0.0, ge=0, le=0.5)
    contrast: Fraction = 0.0
    erasing: Fraction = 0.0


class Training(Section):
    """One run of the training loop."""

    epochs: Count
    batch_size: Count
    micro_batch: Literal["auto"] | Count
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Positive
    weight_decay: NonNegative
    schedule: Literal["constant", "cosine"]
    warmup_epochs: int = Field(0, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    mirrored_test: bool = False
    normalization: Literal["imagenet", "dataset", "none"]
    precision: Literal["auto", "float32", "bfloat16"]
    deterministic: bool
    augmentation: Augmentation


class FoldTraining(Training):
    """Training of one leave-one-subject-out fold."""

    selection: Literal["last", "inner"]
    best_on_test: bool
    keep_weights: bool
    average_epochs: int = Field(0, ge=0)


class Pretraining(Training):
    """Training on the source dataset, repeated; the best run feeds the transfer."""

    runs: Count
    test_fraction: float = Field(gt=0, lt=1)
    split: Literal["frame", "subject"]
    init: PathText


class Transfer(Section):
    """What a fold does with pretrained weights."""

    freeze_stages: Whole = Field(ge=0, le=4)
    backbone_lr_factor: Positive
