"""Devices, ranks and precision; the only module that uses Lightning Fabric."""

from __future__ import annotations

import logging
import os
import subprocess
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from torch import Tensor, nn

from dlcvcli.engine.peers import Peers
from dlcvcli.engine.precision import Asked, Precision, choose_precision
from dlcvcli.engine.task import Batch, Outcome, Task
from dlcvcli.errors import DeviceError, UsageError
from dlcvcli.machine import torchrun_shape

T = TypeVar("T")

_FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


class Launcher:
    """One rank of a run: its device, its number and its communication with the other ranks."""

    def __init__(
        self,
        fabric: Fabric,
        precision: Precision,
        *,
        ranks_here: int = 1,
        sync_batchnorm: bool = False,
    ) -> None:
        self._fabric = fabric
        self.precision = precision
        self._sync_batchnorm = sync_batchnorm
        self.rank = fabric.global_rank
        self.world_size = fabric.world_size
        self.ranks_here = ranks_here
        self.device = fabric.device

    @property
    def is_main(self) -> bool:
        """Whether this rank writes logs and files for all ranks."""
        return self.rank == 0

    @property
    def on_gpu(self) -> bool:
        """Whether this rank computes on a GPU."""
        return self.device.type == "cuda"

    @property
    def device_name(self) -> str:
        """Readable name of the device, e.g. of the GPU model."""
        if self.on_gpu:
            return torch.cuda.get_device_name(self.device)
        return self.device.type.upper()

    def setup(
        self, task: Task, optimizer: torch.optim.Optimizer
    ) -> tuple[Callable[[Batch, Tensor], Outcome], Any]:
        """Move a task to the device and wrap it and its optimiser for precision and ranks.

        Weights are stored channels-last, since convolutions train faster in that memory format.
        """
        if self._sync_batchnorm and self.world_size > 1:
            # The conversion keeps the parameter objects, so the optimiser still refers to them.
            nn.SyncBatchNorm.convert_sync_batchnorm(task)  # type: ignore[no-untyped-call]
        task.to(memory_format=torch.channels_last)
        wrapped, stepper = self._fabric.setup(task, optimizer)
        return wrapped, stepper

    def move(self, batch: Batch) -> Batch:
        """Return a batch on the device; the copy is asynchronous from pinned memory."""
        return {k: v.to(self.device, non_blocking=True) for k, v in batch.items()}

    def backward(self, loss: Tensor) -> None:
        """Compute gradients, with loss scaling if the precision needs it."""
        self._fabric.backward(loss)

    def clip(self, wrapped: Any, stepper: Any, norm: float) -> None:
        """Clip the gradients to a maximum norm."""
        self._fabric.clip_gradients(wrapped, stepper, max_norm=norm, error_if_nonfinite=False)

    def no_sync(self, wrapped: Any, enabled: bool) -> AbstractContextManager[None]:
        """Skip gradient synchronisation while the parts of a batch are accumulated."""
        return self._fabric.no_backward_sync(wrapped, enabled=enabled)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context manager for forward calls in the training precision."""
        return self._fabric.autocast()

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over the ranks; the argument is not changed."""
        if self.world_size == 1:
            return value
        # Fabric reduces in place, hence the copy.
        return torch.as_tensor(self._fabric.all_reduce(value.clone(), reduce_op="sum"))

    def max(self, value: Tensor) -> Tensor:
        """Return the elementwise maximum over the ranks; the argument is not changed."""
        if self.world_size == 1:
            return value
        return torch.as_tensor(self._fabric.all_reduce(value.clone(), reduce_op="max"))

    def broadcast_buffers(self, module: nn.Module) -> None:
        """Copy rank 0's buffers to all ranks: BatchNorm statistics differ between ranks.

        DDP does the same before each forward call in training. Validation needs it too, since all
        ranks must score the network that rank 0 saves.
        """
        if self.world_size > 1:
            for buffer in module.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def broadcast(self, value: T) -> T:
        """Return rank 0's value on every rank."""
        return value if self.world_size == 1 else self._fabric.broadcast(value)

    def barrier(self) -> None:
        """Wait until every rank has called this."""
        self._fabric.barrier()

    @property
    def scaler_state(self) -> dict[str, Any]:
        """State of the fp16 gradient scaler; empty in other precisions."""
        return dict(self._fabric.strategy.precision.state_dict())

    @scaler_state.setter
    def scaler_state(self, state: dict[str, Any]) -> None:
        if state:
            self._fabric.strategy.precision.load_state_dict(state)


@dataclass(frozen=True)
class Launch:
    """The ranks of a run, before they start.

    Attributes:
        peers: the other ranks of this machine; watch them from before `start`.
    """

    fabric: Fabric
    precision: Precision
    peers: Peers
    ranks: int
    ranks_here: int
    sync_batchnorm: bool

    def start(self) -> Launcher:
        """Start this rank; local rank 0 also starts the other ranks, except under torchrun.

        Raises:
            DeviceError: the ranks could not connect.
        """
        self.fabric.launch()
        if self.fabric.world_size != self.ranks:
            # Without this check, Fabric would silently run several trainings with one rank each.
            raise DeviceError(
                f"{self.ranks} ranks were requested, but only {self.fabric.world_size} connected"
            )
        return Launcher(
            self.fabric,
            self.precision,
            ranks_here=self.ranks_here,
            sync_batchnorm=self.sync_batchnorm,
        )


def launch(
    *, devices: int = 1, precision: Asked = "auto", sync_batchnorm: bool = False
) -> Launcher:
    """Prepare and start the ranks; see `prepare`."""
    return prepare(devices=devices, precision=precision, sync_batchnorm=sync_batchnorm).start()


def prepare(*, devices: int, precision: Asked, sync_batchnorm: bool) -> Launch:
    """Determine the ranks of a run without starting them.

    Under torchrun the ranks exist already, and `devices` must be their number or 1.

    Args:
        devices: ranks on this machine: one per GPU, or processes on a CPU.
        precision: the training precision; see `choose_precision`.
        sync_batchnorm: compute BatchNorm statistics over all ranks.

    Raises:
        DeviceError: more GPUs are requested than the machine has.
        UsageError: `devices` contradicts torchrun, srun started several processes without
            torchrun, or `sync_batchnorm` is set without a GPU.
    """
    # Fabric logs notices ("Using default ...") that mean nothing to users of dlcv.
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning_fabric")
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    nodes = 1
    shape = torchrun_shape()
    if shape is not None:
        if devices not in {1, shape[0]}:
            raise UsageError(
                f"--devices {devices} under torchrun with {shape[0]} ranks on this machine",
                "leave --devices out: torchrun sets the number of ranks",
            )
        devices, nodes = shape
    else:
        _refuse_copies()
    if accelerator == "cuda" and devices > torch.cuda.device_count():
        raise DeviceError(
            f"--devices {devices}, but this machine has {torch.cuda.device_count()} GPU(s)"
        )
    if sync_batchnorm and accelerator != "cuda":
        raise UsageError(
            "--sync-batchnorm needs GPUs: PyTorch has no synchronised BatchNorm on CPUs",
            "leave it out: each rank then computes the statistics of its own part of the batch",
        )
    chosen = choose_precision(precision, accelerator)
    ranks = devices * nodes
    several = ranks > 1 or shape is not None
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=_Ranks() if several else "auto",
        precision=_FABRIC_PRECISION[chosen.name],  # type: ignore[arg-type]
        # In a SLURM job, Fabric would otherwise use the job's tasks as the ranks of the run.
        plugins=[] if shape is not None else [LightningEnvironment()],
    )
    return Launch(
        fabric,
        chosen,
        _peers(fabric) if several and shape is None else Peers(),
        ranks=ranks,
        ranks_here=devices,
        sync_batchnorm=sync_batchnorm,
    )


def _refuse_copies() -> None:
    copies = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if copies > 1:
        raise UsageError(
            f"srun started {copies} copies of dlcv, and each would train on its own",
            "let srun start one torchrun per machine (docs/guides/many-gpus.md), or one dlcv with "
            "--ntasks=1",
        )


class _Ranks(DDPStrategy):
    """DDP with our own supervision of this machine's ranks; see `peers`."""

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = _RankStarter(self.cluster_environment, self.num_processes, self.num_nodes)


class _RankStarter(_SubprocessScriptLauncher):
    """Starts the other ranks as Fabric does, but without Fabric's observer.

    The observer kills all ranks 5 seconds after the first one has ended, without a message and
    possibly while rank 0 writes a file.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.children: list[subprocess.Popen[bytes]] = []

    def _call_children_scripts(self) -> None:
        super()._call_children_scripts()
        self.children += self.procs
        self.procs = []


def _peers(fabric: Fabric) -> Peers:
    starter = fabric.strategy.launcher
    if "LOCAL_RANK" in os.environ or not isinstance(starter, _RankStarter):
        return Peers(parent=os.getppid())
    return Peers(children=starter.children)


def unwrap(wrapped: Any) -> nn.Module:
    """Return the module in Fabric's wrapper."""
    module = getattr(wrapped, "module", wrapped)
    return module if isinstance(module, nn.Module) else wrapped
