"""The command ``python -m rosearch.attack.resources.counterfitting MODEL``."""

from __future__ import annotations

from pathlib import Path

import click

from rosearch.attack.resources.counterfitting.models import counterfit_from_model
from rosearch.attack.resources.word_vectors import default_vectors


@click.command()
@click.argument("model")
@click.option("--wordnet", help="Folder of WordNet's database.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder. Default: in the cache.")
def main(model: str, wordnet: str | None, out: Path | None) -> None:
    """Make word vectors from WordNet and the word embeddings of MODEL.

    MODEL is the name or the folder of a Hugging Face model.
    """
    target = out or default_vectors()
    if target.exists():
        raise click.ClickException(f"{target} exists. Delete it first to replace it.")
    vectors = counterfit_from_model(model, wordnet=wordnet)
    vectors.save(target)
    click.echo(f"{len(vectors)} words, width {vectors.matrix.shape[1]}: {target}")


if __name__ == "__main__":
    main(prog_name="python -m rosearch.attack.resources.counterfitting")
