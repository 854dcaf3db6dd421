"""One training on several devices of this machine: a process (a rank) for each."""

import logging
import multiprocessing
import os
import socket
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

import lightning_fabric as lf
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from mmsr_core.errors import DeviceError, MmsrError
from mmsr_core.train.data import Report

HERE = "127.0.0.1"
POLL = 0.1
"""Seconds between two looks at the ranks."""

Work = Callable[[lf.Fabric, Report], None]
"""What every rank does; it has to be picklable."""


def launch(work: Work, devices: int, precision: Any, report: Report) -> None:
    """Run `work` in `devices` processes, on as many GPUs, or on the CPU where there is none.

    The first rank's reports come back to `report`. A rank's MmsrError is raised here; DeviceError
    when a rank was killed. No rank outlives this call, nor this process.
    """
    context = multiprocessing.get_context("spawn")
    messages = context.SimpleQueue()
    threads = max(1, torch.get_num_threads() // devices)
    args = work, devices, precision, _free_port(), threads, messages
    ranks = [context.Process(target=_rank, args=(index, *args)) for index in range(devices)]
    try:
        for rank in ranks:
            rank.start()
        _follow(ranks, messages, report)
    finally:
        for rank in ranks:
            if rank.pid is not None:
                rank.kill()
                rank.join()


def _follow(ranks: list[Any], messages: Any, report: Report) -> None:
    """Hand on what the ranks tell until all have ended; raise why one could not go on."""
    running, failure = True, None
    while running:
        running = any(rank.is_alive() for rank in ranks)
        wait([rank.sentinel for rank in ranks if rank.is_alive()], POLL)
        while not messages.empty():
            message = messages.get()
            if isinstance(message, MmsrError):
                raise message
            if isinstance(message, Exception):
                failure = failure or message
            else:
                report(*message)
        # Codes are asked for after the messages: a rank that misses another one says so only
        # when that one is gone, and then the other's end is the reason, not what the first says.
        codes = [rank.exitcode for rank in ranks if rank.exitcode]
        lost = min(codes, default=0)
        if codes and lost > 0 and failure is not None:
            raise failure
        if lost < 0 or (codes and not running):
            raise DeviceError(
                f"one of {len(ranks)} training processes was lost (exit code {lost}; -9 is for "
                "want of memory, as a rule); --resume goes on from the last checkpoint"
            )


def _rank(
    index: int,
    work: Work,
    devices: int,
    precision: Any,
    port: int,
    threads: int,
    messages: Any,
) -> None:
    """What one process does; what stops it is a message, as its exit code says little."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    os.environ |= {
        "LOCAL_RANK": str(index),
        "NODE_RANK": "0",
        "MASTER_ADDR": HERE,
        "MASTER_PORT": str(port),
    }

    def report(what: str, done: int, total: int) -> None:
        if index == 0:
            messages.put((what, done, total))

    try:
        fabric = lf.Fabric(
            accelerator="cuda" if torch.cuda.is_available() else "cpu",
            devices=devices,
            # Each rank keeps its own statistics of batches; the first rank's are saved.
            strategy=DDPStrategy(broadcast_buffers=False),
            precision=precision,
            plugins=[LightningEnvironment()],
        )
        fabric.launch()
        work(fabric, report)
        fabric.barrier()
        torch.distributed.destroy_process_group()
    except KeyboardInterrupt:
        os._exit(1)
    except MmsrError as error:
        messages.put(error)
        os._exit(1)
    except Exception:
        messages.put(RuntimeError(f"rank {index} of {devices}:\n{traceback.format_exc()}"))
        os._exit(1)


def _end_with_parent() -> None:
    # A rank that waits for the others inside a library hears no signal.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port: int = probe.getsockname()[1]
        return port
