"""Training, of folds and of what is transferred."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from mer_core.config.section import Count, Fraction, NonNegative, PathText, Positive, Real, Section, Whole


class Augmentation(Section):
    """Random changes of the training images, made on the device."""

    flip: bool
    shift: Real = Field(ge=0, le=0.5)
    """Largest shift as a share of the edge."""
    rotation: Real = Field(ge=0, le=45)
    """Largest rotation in degrees."""
    brightness: Fraction
    """Largest change of brightness as a share."""
    scale: Real = Field(0.0, ge=0, le=0.5)
    """Largest change of size as a share."""
    contrast: Fraction = 0.0
    """Largest change of contrast as a share."""
    erasing: Fraction = 0.0
    """Share of the images in which a rectangle is blotted out."""


class Training(Section):
    """One run of the training loop."""

    epochs: Count
    """Passes over the training images."""
    batch_size: Count
    micro_batch: Literal["auto"] | Count
    optimizer: Literal["adam", "adamw", "sgd"]
    """As in torch; sgd with momentum 0.9."""
    learning_rate: Positive
    """Of the first epoch; the schedule changes it."""
    weight_decay: NonNegative
    """As the optimizer takes it."""
    schedule: Literal["constant", "cosine"]
    warmup_epochs: Whole = Field(0, ge=0)
    """Epochs in which the learning rate rises in equal steps."""
    dropout: Real = Field(0.0, ge=0, lt=1)
    """Share of the pooled features that training sets to zero before the classifier."""
    mirrored_test: bool = False
    """Answer by the mean logits of an image and its mirror image."""
    recompute_statistics: bool = True
    """Batch norm's running statistics from the training images, under the trained weights; docs/models.md."""
    normalization: Literal["imagenet", "dataset", "none"]
    precision: Literal["auto", "float32", "tf32", "bfloat16"]
    deterministic: bool
    augmentation: Augmentation

    @field_validator("warmup_epochs")
    @classmethod
    def _ends_before_the_training(cls, warmup: int, info: ValidationInfo) -> int:
        epochs = info.data.get("epochs")
        if warmup and epochs is not None and warmup >= epochs:
            raise ValueError(f"the rate would not reach learning_rate in {epochs} epochs; set fewer")
        return warmup


class FoldTraining(Training):
    """Training of one fold."""

    selection: Literal["last", "inner"]
    best_on_test: bool
    keep_weights: bool
    average_epochs: Whole = Field(0, ge=0)
    """Answer by the mean weights of so many last epochs; 0: by the last ones."""

    @field_validator("average_epochs")
    @classmethod
    def _is_of_epochs_that_nothing_is_chosen_from(cls, count: int, info: ValidationInfo) -> int:
        if count > info.data.get("epochs", count):
            raise ValueError(f"there are {info.data['epochs']} epochs; set no more")
        if count and info.data.get("selection") == "inner":
            raise ValueError("would choose epochs by other weights than are used; set selection: last, or 0")
        if count and info.data.get("best_on_test"):
            raise ValueError("would look at other weights than are used; set best_on_test: false, or 0")
        return count


class PretrainingRun(Training):
    """One training on the source dataset: it knows nothing of how many others there are."""

    test_fraction: Real = Field(gt=0, lt=1)
    """Share of the images that a run is tested on."""
    init: PathText


class Pretraining(PretrainingRun):
    """Training on the source dataset, repeated; the best run feeds the transfer."""

    runs: Count
    """How often, with another split each time."""
    per_seed: bool = False
    """Every seed's folds start from a run of their own, as many runs as seeds; else all from the best."""
    split: Literal["frame", "subject"]

    @property
    def run(self) -> PretrainingRun:
        """What a single run depends on."""
        return PretrainingRun(**{key: getattr(self, key) for key in PretrainingRun.model_fields})


class Transfer(Section):
    """What a fold does with pretrained weights."""

    freeze_stages: Whole = Field(ge=0, le=4)
    backbone_lr_factor: Positive
