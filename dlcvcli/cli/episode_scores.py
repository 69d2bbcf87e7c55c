"""An evaluation on episodes as a table."""

from __future__ import annotations

from typing import Any


def result_table(result: dict[str, Any]) -> Any:
    """Return an evaluation as a table for people, PyTorch beside ONNX Runtime where both ran."""
    from rich.console import Group
    from rich.text import Text

    from dlcvcli.cli.scores import backends_table, seen_notes

    both = result.get("compare")
    metrics, speed, data = result["metrics"], result["speed"], result["data"]
    title = (
        f"{result['model']} on {data['images']} images of {data['classes']} classes "
        f"({data['split']}), {result['backend']}, {result['provider']}, {result['precision']}"
    )
    table, row = backends_table(result)

    def rate(value: float) -> str:
        return f"{value:,.0f}"

    peer = both["torch"] if both else None
    row(
        f"accuracy, {metrics['n_way']}-way {metrics['k_shot']}-shot",
        _accuracy(metrics),
        _accuracy(peer) if peer else "",
    )
    row("episodes", str(metrics["episodes"]))
    row("queries of each way", str(metrics["n_query"]))
    scale = f", scale {metrics['scale']:.2f}" if "scale" in metrics else ""
    row("distance", metrics["distance"] + scale)
    table.add_section()
    row(
        "images/s embedded",
        rate(speed["images_per_s"]),
        rate(peer["images_per_s"]) if peer else "",
    )
    row("episodes/s scored", rate(speed["episodes_per_s"]))
    row("peak memory", f"{speed['peak_memory_mb']} MiB")
    notes = [
        *seen_notes(data),
        f"± is the 95 % interval of the mean over episodes. Episodes: sha256 "
        f"{metrics['episodes_sha256'][:12]}",
    ]
    if both:
        notes.append(
            f"{both['argmax_agreement']:.6f} of all queries agree; ONNX Runtime is "
            f"{both['speedup']:.2f} times as fast as PyTorch"
        )
    return Group(Text(title), table, *notes)


def _accuracy(metrics: dict[str, Any]) -> str:
    half = "" if metrics["ci95"] is None else f" ± {metrics['ci95']:.4f}"
    return f"{metrics['accuracy']:.4f}{half}"
