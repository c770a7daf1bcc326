"""Arguments, texts and teacher that the example searches share.

They come from the quickstart: movie reviews and a MiniLM teacher that is fine-tuned once, or any
data set and model of the Hugging Face Hub, or a folder with a model.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import quickstart  # beside this file

import rosearch as rs


def parser(what: str, *, out: str) -> argparse.ArgumentParser:
    """Return a parser for the arguments that all example searches take.

    Args:
        what: The script's docstring; its first line is the description.
        out: Default folder for the results.
    """
    parser = argparse.ArgumentParser(description=what.partition("\n")[0])
    parser.add_argument("--teacher", help="model on the Hub, or a folder; fine-tuned if it must be")
    parser.add_argument("--dataset", help="data set on the Hub, NAME or NAME:CONFIGURATION")
    parser.add_argument("--text-column", default="text", help="column of the texts")
    parser.add_argument("--label-column", default="label", help="column of the labels")
    parser.add_argument("--train", type=int, default=5000, help="training sentences")
    parser.add_argument("--dev", type=int, default=1000, help="dev sentences")
    parser.add_argument("--test", type=int, default=1000, help="sentences that no search sees")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a student")
    parser.add_argument(
        "--attacks", nargs="+", default=["pwws", "deepwordbug"], help="names of attacks"
    )
    parser.add_argument("--examples", type=int, default=100, help="dev sentences to attack")
    parser.add_argument("--nodes", type=int, nargs=2, default=[0, 6], help="fewest and most")
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 96, 128, 160], help="allowed")
    parser.add_argument(
        "--plain", action="store_true", help="students without encodings and token scores"
    )
    parser.add_argument("--candidates", type=int, default=12, help="architectures in all")
    parser.add_argument("--seed", type=int, default=0, help="root of all randomness")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder to write")
    return parser


def material(options: argparse.Namespace) -> tuple[rs.Teacher, rs.TextDataset, rs.TextDataset]:
    """The teacher, and text to train and to choose students by."""
    options.out.mkdir(parents=True, exist_ok=True)
    train, dev, _ = quickstart.splits(options)
    teacher, *_ = quickstart.load_teacher(options, train, dev)
    print(
        f"teacher: {teacher.parameters / 1e6:.1f} M parameters, {teacher.accuracy(dev):.1%} on dev"
    )
    return teacher, train, dev


distiller = quickstart.distiller


def space(options: argparse.Namespace, **limits: Any) -> rs.SearchSpace:
    """Students of the sizes that the options allow, within ``limits`` of ``rs.SearchSpace``."""
    low, high = options.nodes
    widths = tuple(options.widths)
    make = rs.SearchSpace if options.plain else quickstart.space
    return make(nodes=(low, high), widths=widths, embedding_widths=widths, **limits)


def storage(options: argparse.Namespace) -> str:
    """URL of a database in the folder to write."""
    return f"sqlite:///{(options.out / 'search.db').resolve()}"
