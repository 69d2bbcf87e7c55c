"""An evaluation as a table, and its confusion matrix as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.table import Table


class Row(Protocol):
    """Adds a row to a table of backends."""

    def __call__(self, name: str, own: str, other: str = "") -> None: ...


def result_table(result: dict[str, Any]) -> Any:
    """Return an evaluation as a table for people, PyTorch beside ONNX Runtime where both ran."""
    from rich.console import Group
    from rich.text import Text

    from dlcvcli.cli.console import fraction

    both = result.get("compare")
    metrics, speed, data = result["metrics"], result["speed"], result["data"]
    title = (
        f"{result['model']} on {data['images']} images ({data['split']}), "
        f"{result['backend']}, {result['provider']}, {result['precision']}"
    )
    table, row = backends_table(result)

    def score_row(name: str, key: str) -> None:
        row(name, fraction(metrics[key]), fraction(both["torch"][key]) if both else "")

    row("metric", metrics["convention"])
    score_row("mIoU", "miou")
    score_row("pixel accuracy", "overall_acc")
    score_row("mean class accuracy", "mean_acc")
    score_row("frequency-weighted IoU", "freqw_acc")
    if "boundary" in metrics:
        row(
            f"boundary F1 (within {metrics['boundary']['tolerance']:.2%} of the diagonal)",
            fraction(metrics["boundary"]["f1"]),
            fraction(both["torch"]["boundary"]["f1"]) if both else "",
        )
    for other in list(metrics["by_convention"])[1:]:
        row(f"mIoU ({other})", fraction(metrics["by_convention"][other]["miou"]))
    table.add_section()
    absent = absent_classes(metrics["confusion"])

    def shown(value: float | None, name: str) -> str:
        return "absent" if value is None and name in absent else fraction(value)

    for name, value in metrics["iou_per_class"].items():
        peer = both["torch"]["iou_per_class"][name] if both else None
        row(f"IoU {name}", shown(value, name), shown(peer, name))
    table.add_section()
    row(
        "images/s",
        f"{speed['images_per_s']:.2f}",
        f"{both['torch']['images_per_s']:.2f}" if both else "",
    )
    latency = speed["latency_ms"]
    row(
        f"ms per batch of {speed['batch_size']}", f"{latency['p50']:.1f} (p95 {latency['p95']:.1f})"
    )
    row("peak memory", f"{speed['peak_memory_mb']} MiB")
    notes = []
    notes += seen_notes(data)
    if metrics["convention"] != "smp-imagewise":
        scored, known = metrics["classes_scored"], len(metrics["iou_per_class"])
        notes.append(f"{scored} of {known} classes are in the mean")
    if list(metrics["by_convention"]) != ["voc"]:
        notes += [f"{name}: {found['rule']}" for name, found in metrics["by_convention"].items()]
    if both:
        notes.append(
            f"{both['argmax_agreement']:.6f} of all pixels agree; ONNX Runtime is "
            f"{both['speedup']:.2f} times as fast as PyTorch"
        )
    return Group(Text(title), table, *notes)


def seen_notes(data: dict[str, Any]) -> list[str]:
    """Return a warning where the model was trained on images that it was scored on."""
    if not data["trained_on"]:
        return []
    return [
        f"warning: the model was trained on {data['trained_on']} of the {data['images']} images: "
        "its scores are too high"
    ]


def backends_table(result: dict[str, Any]) -> tuple[Table, Row]:
    """Return an empty table with a column for each backend of an evaluation, and what adds a row.

    A row is a name, the own value, and PyTorch's, which counts where both ran.
    """
    from rich.table import Table
    from rich.text import Text

    both = "compare" in result
    table = Table()
    table.add_column("")
    table.add_column(result["backend"], justify="right")
    if both:
        table.add_column("torch", justify="right")

    def row(name: str, own: str, other: str = "") -> None:
        # Names of classes may hold brackets, which are no markup here.
        table.add_row(Text(name), own, *([other] if both else []))

    return table, row


def absent_classes(confusion: dict[str, Any]) -> set[str]:
    """Return the classes without a pixel, in truth and prediction."""
    counts = confusion["counts"]
    return {
        name
        for index, name in enumerate(confusion["classes"])
        if not any(counts[index]) and not any(row[index] for row in counts)
    }


def write_confusion(result: dict[str, Any], path: Path) -> None:
    """Write the confusion matrix of an evaluation: as counts in `.csv`, else as a figure."""
    confusion = result["metrics"]["confusion"]
    if path.suffix.lower() == ".csv":
        from dlcvcli.files import write_atomically

        write_atomically(path, confusion_csv(confusion))
        return
    from dlcvcli.figures.confusion import confusion_figure
    from dlcvcli.figures.style import save

    save(confusion_figure(confusion["classes"], confusion["counts"]), path)


def confusion_csv(confusion: dict[str, Any]) -> str:
    """Return the counts of pixels as CSV: a row for each true class."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["true \\ predicted", *confusion["classes"]])
    for name, row in zip(confusion["classes"], confusion["counts"], strict=True):
        writer.writerow([name, *row])
    return out.getvalue()
