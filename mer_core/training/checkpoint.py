"""The state of a training between two epochs, as one safetensors file: nothing is pickled."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from mer_core.job import cannot_read, clear_leftovers, publish
from mer_core.models.weights import metadata_of

_LOG = logging.getLogger(__name__)
SECONDS_BETWEEN_SAVES = 10.0  # short epochs are cheaper to repeat than to save


class Checkpoint:
    """Where a training is kept, so that it can go on after an interruption.

    It holds the model, the optimiser and the history; random numbers and learning rates are functions
    of seed and epoch. A training that goes on ends with the same weights, bit for bit on the CPU.
    """

    def __init__(self, path: Path, identity: str) -> None:
        """Name a checkpoint.

        Args:
            path: the file.
            identity: digest of all that determines the training. A file of another identity is
                ignored, since it is left over from other settings, and overwritten.
        """
        self.path, self.identity = path, identity
        self._saved = -float("inf")

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
        """Put model and optimiser into the saved state.

        Returns:
            The history up to there; empty, and nothing is changed, when there is nothing to go on from.
        """
        if not self.path.exists():
            return []
        try:
            data = self.path.read_bytes()  # not mapped, which some file systems cannot
            tensors, metadata = load(data), metadata_of(data)
        except OSError as error:
            raise cannot_read(self.path, error) from error
        except SafetensorError as error:
            _LOG.warning("%s cannot be read (%s); starting anew", self.path, error)
            return []
        if metadata.get("identity") != self.identity:
            _LOG.info("%s is of another training (settings, data or code); starting anew", self.path)
            return []
        model.load_state_dict(
            {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
        )
        for number, parameter in enumerate(_parameters(optimizer)):
            prefix = f"optimizer.{number}."
            for name, tensor in tensors.items():
                if name.startswith(prefix):
                    # Laid out in memory as the parameter is, which the fused optimisers take for granted.
                    kept = torch.empty_like(parameter if tensor.shape == parameter.shape else tensor)
                    optimizer.state[parameter][name.removeprefix(prefix)] = kept.copy_(tensor).to(
                        parameter.device
                    )
        history = json.loads(metadata["history"])
        _LOG.info("going on after epoch %d, from %s", len(history), self.path)
        return history

    def save(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, history: list[dict[str, float]]
    ) -> None:
        """Keep the state after an epoch, unless the last one was kept seconds ago.

        The file is replaced whole or not at all.
        """
        if time.monotonic() - self._saved < SECONDS_BETWEEN_SAVES:
            return
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for number, parameter in enumerate(_parameters(optimizer)):
            for name, tensor in optimizer.state[parameter].items():
                tensors[f"optimizer.{number}.{name}"] = tensor
        metadata = {"identity": self.identity, "history": json.dumps(history)}
        content = save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, metadata)
        with publish(self.path) as temporary:
            temporary.write_bytes(content)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Forget the state, after the training's results are on disk; also what killed saves have left."""
        self.path.unlink(missing_ok=True)
        clear_leftovers(self.path)


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
