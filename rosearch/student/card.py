"""The model card of a student: what it is, how to load it, how it was made and how good it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from rosearch.student.record import AttackRates, StudentRecord
from rosearch.student.remote_code import plug_in_packages

TITLE = "# A text classifier made with rosearch"
"""First line of a model card of ours; another card, written by hand, is kept."""

PICTURE = "genome.png"

_LICENCE = "# license: yours to choose, such as mit\n"

_PIPELINE = """from transformers import pipeline
classify = pipeline("text-classification", model="{place}", truncation=True)"""

_MODEL = """from transformers import AutoModelForSequenceClassification
student = AutoModelForSequenceClassification.from_pretrained("{place}")"""

_REMOTE_PIPELINE = """from transformers import AutoTokenizer, pipeline
tokenizer = AutoTokenizer.from_pretrained("{place}", trust_remote_code=True)
classify = pipeline(
    "text-classification", model="{place}", tokenizer=tokenizer, truncation=True,
    trust_remote_code=True,
)"""

_REMOTE_MODEL = """from transformers import AutoModelForSequenceClassification
student = AutoModelForSequenceClassification.from_pretrained(
    "{place}", trust_remote_code=True
)"""


def model_card(
    student: Any,
    place: str,
    tags: Sequence[str] = (),
    *,
    picture: bool = False,
    loading: str | None = None,
) -> str:
    """Return a model card in Markdown with the hub's metadata.

    Args:
        student: The student, whose ``record`` has the figures.
        place: Folder or name on the hub to load it from.
        tags: Tags on the hub besides the student's own.
        picture: Whether the folder has a picture of the architecture, :data:`PICTURE`.
        loading: How to load it. Default: with rosearch, and by the folder's own code.
    """
    parts = [_metadata(student, tags), TITLE, _what_it_is(student), "## How to load it"]
    parts += [*_loading(student, place)] if loading is None else [loading]
    parts += [*_making(student.record), *_figures(student.record)]
    parts += ["## Architecture", f"```\n{student.config.architecture}\n```"]
    if picture:
        parts.append(f"![The architecture]({PICTURE})")
    return "\n\n".join(parts) + "\n"


def _metadata(student: Any, tags: Sequence[str]) -> str:
    record: StudentRecord = student.record
    results = [_result("Accuracy", rate, texts) for texts, rate in record.accuracy.items()]
    results += [
        _result(f"Accuracy under {r.attack} of {r.n} texts", r.accuracy_under_attack, r.texts)
        for r in record.attacks
    ]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=list(dict.fromkeys(["rosearch", *(student.model_tags or ()), *tags])),
        base_model=record.teacher.get("hub_name"),
        eval_results=results or None,
        model_name="student" if results else None,
    )
    return f"---\n{_LICENCE}{data.to_yaml()}\n---"


def _result(name: str, rate: float, texts: str) -> EvalResult:
    return EvalResult(
        task_type="text-classification",
        dataset_type="text",
        dataset_name=texts,
        dataset_split=texts,
        metric_type="accuracy",
        metric_name=name,
        metric_value=round(rate, 4),
    )


def _what_it_is(student: Any) -> str:
    config, record = student.config, student.record
    size = student.num_parameters()
    of_teacher = record.teacher.get("parameters")
    fewer = f", {of_teacher / size:.1f} times fewer than its teacher" if of_teacher else ""
    classes = ", ".join(str(config.id2label[k]) for k in sorted(config.id2label))
    return (
        f"It has {size:,} parameters{fewer}, reads up to {config.max_position_embeddings} tokens "
        f"and tells these classes apart: {classes}."
    )


def _loading(student: Any, place: str) -> Iterator[str]:
    packages = plug_in_packages(student)
    imports = "\n".join(f"import {name}" for name in ("rosearch", *packages))
    load = (_MODEL if student.tokenizer is None else _PIPELINE).format(place=place)
    yield (
        "transformers knows this model once `rosearch` is imported (`pip install rosearch`):\n\n"
        f"```python\n{imports}\n{load}\n```"
    )
    if packages:
        yield (
            f"The folder has no code of its own, because parts of the model are defined in "
            f"{', '.join(packages)}."
        )
        return
    load = (_REMOTE_MODEL if student.tokenizer is None else _REMOTE_PIPELINE).format(place=place)
    yield f"Without rosearch, by the code in this folder:\n\n```python\n{load}\n```"


def _making(record: StudentRecord) -> Iterator[str]:
    if not record.training:
        return
    teacher, training = record.teacher, record.training
    right = f", {teacher['accuracy']:.1%} right on dev" if "accuracy" in teacher else ""
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    yield "## How it was made"
    yield (
        f"Distilled from {teacher['name']} ({teacher['parameters']:,} parameters{right}) on "
        f"{training['texts']:,} texts, its best epoch chosen on {training['dev_texts']:,} dev "
        f"texts. Seed {training['seed']}; {versions}."
    )
    yield _details("Settings of the training", training["settings"])


def _figures(record: StudentRecord) -> Iterator[str]:
    if not record.accuracy and not record.attacks:
        return
    yield "## How good it is"
    rows = ["| | texts | right | 95 % interval | worst class |", "|---|---|--:|---|---|"]
    rows += [f"| accuracy | {texts} | {rate:.1%} | | |" for texts, rate in record.accuracy.items()]
    rows += map(_row, record.attacks)
    yield "\n".join(rows)
    yield (
        "Under attack, a text counts as right if it is before and after the attack, of all texts "
        "that were attacked. The intervals are Wilson's. Other attacks may do more."
    )
    if record.repeats:
        mean, std = record.repeats["mean"], record.repeats["std"]
        names = [name for name in ("accuracy", "accuracy_under_attack") if name in mean]
        spread = {name: f" ± {value:.1%}" for name, value in std.items()}
        rates = (f"{n.replace('_', ' ')} {mean[n]:.1%}{spread.get(n, '')}" for n in names)
        found = ", ".join(rates)
        where = record.repeats.get("measured_on")
        told = f" ({where})" if where else ""
        yield f"Trained again, with other seeds ({record.repeats['runs']}): {found}{told}."
    settings = {f"{r.attack}, {r.texts}": r.settings for r in record.attacks if r.settings}
    if settings:
        yield _details("Settings and thresholds of the attacks", settings)


def _row(rates: AttackRates) -> str:
    worst = f"{rates.worst_class}: {rates.worst_class_under_attack:.1%}"
    return (
        f"| under {rates.attack} | {rates.n} of {rates.texts} | "
        f"{rates.accuracy_under_attack:.1%} | {rates.low:.1%} to {rates.high:.1%} | {worst} |"
    )


def _details(title: str, values: Any) -> str:
    text = json.dumps(values, indent=1, ensure_ascii=False)
    return f"<details><summary>{title}</summary>\n\n```json\n{text}\n```\n\n</details>"
