"""Hand-designed students, and encoders as genomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import transformers

from rosearch.errors import GenomeError
from rosearch.space import Genome, SearchSpace, Task, TextEncoding, genome_cost, templates


@pytest.mark.parametrize("name", templates.ALL)
def test_all_templates_are_in_the_default_space(name: str) -> None:
    make = templates.ALL[name]
    assert make() in SearchSpace()
    small = make(width=96, embedding_width=64)
    assert small in SearchSpace()
    assert (small.width, small.embedding_width) == (96, 64)


def test_published_transformers_are_in_the_default_space() -> None:
    space = SearchSpace()
    for layers in (3, 6):
        student = templates.transformer(layers=layers, width=768, embedding_width=768, heads=12)
        assert student in space
        assert len(student.nodes) == 2 * layers
    assert templates.transformer(layers=12, width=768, embedding_width=768, heads=12) in space


def test_tinybert_has_about_the_published_size() -> None:
    # 14.5 million parameters in Jiao et al. 2020, table 1.
    assert genome_cost(templates.tinybert()).parameters == pytest.approx(14.5e6, rel=0.03)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (transformers.BertConfig(), (768, 768, 12)),
        (transformers.RobertaConfig(num_hidden_layers=6), (768, 768, 6)),
        (transformers.DistilBertConfig(), (768, 768, 6)),
        (transformers.AlbertConfig(hidden_size=768, num_attention_heads=12, intermediate_size=3072),
         (768, 128, 12)),
        (transformers.ElectraConfig(), (256, 128, 12)),
        (transformers.DebertaV2Config(hidden_size=768, num_hidden_layers=12,
                                      num_attention_heads=12, intermediate_size=3072),
         (768, 768, 12)),
        (transformers.BertConfig(hidden_size=312, num_hidden_layers=4, intermediate_size=1200),
         (312, 312, 4)),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)  # fmt: skip
def test_from_transformer(config: Any, shape: tuple[int, int, int]) -> None:
    genome = templates.from_transformer(config)
    assert (genome.width, genome.embedding_width, len(genome.nodes)) == (*shape[:2], 2 * shape[2])
    assert genome.pooling == "first"
    heads = getattr(config, "num_attention_heads", None) or config.n_heads
    assert {n.parameters["heads"] for n in genome.nodes[::2]} == {heads}
    assert {n.parameters["expansion"] for n in genome.nodes[1::2]} == {4}
    assert genome in SearchSpace()


def test_from_transformer_has_the_models_parameters() -> None:
    config = transformers.BertConfig(num_hidden_layers=2, hidden_size=96, num_attention_heads=4,
                                     intermediate_size=384)  # fmt: skip
    model = transformers.BertModel(config, add_pooling_layer=False)
    theirs = sum(p.numel() for p in model.parameters())
    ours = genome_cost(templates.from_transformer(config)).parameters
    # Beside: the projection of the embedding, gains, the last norm, the classifier.
    beside = (96 * 96 + 96) + 4 * 96 + 2 * 96 + (2 * 96 + 2)
    assert ours == theirs + beside


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            transformers.BertConfig(hidden_size=1024, num_attention_heads=16),
            "has 16 heads at width",
        ),
        (transformers.BertConfig(intermediate_size=768 * 8), "6144 wide at width 768; .* 1, 2, 4"),
        (transformers.ResNetConfig(), "resnet configuration has no hidden_size or dim"),
    ],
)
def test_from_transformer_with_unsupported_sizes(config: Any, message: str) -> None:
    with pytest.raises(GenomeError, match=message):
        templates.from_transformer(config)


def test_fitting_returns_all_templates_for_the_default_space() -> None:
    assert list(templates.fitting(SearchSpace())) == [make() for make in templates.ALL.values()]


@pytest.mark.parametrize("compression", [(4.6, 6.5), (10.0, 14.0)])
def test_fitting_templates_meet_the_limits(compression: tuple[float, float]) -> None:
    teacher = Task(reference_parameters=22_700_000)
    space = SearchSpace(
        operators=["attention", "convolution", "feed_forward", "bidirectional_gru", "max_pooling"],
        embeddings=["subword_embedding"],
        compression=compression,
        teacher=teacher,
    )
    found = templates.fitting(space)
    assert len(found) >= 5
    for genome in found:
        assert genome in space
        low, high = compression
        assert low <= 22_700_000 / genome_cost(genome, teacher).parameters <= high
    assert len({genome.key for genome in found}) == len(found)


def test_fitting_templates_are_nearest_in_size() -> None:
    space = SearchSpace(widths=(64, 96, 256), embedding_widths=(32, 256))
    found = {genome.nodes: genome for genome in templates.fitting(space)}
    cnn = found[templates.text_cnn().nodes]
    assert (cnn.width, cnn.embedding_width) == (96, 256)  # 128 is twice as near to 96 as to 256
    # 312 channels with 12 heads do not fit 64 or 256, and fit 96.
    assert found[templates.tinybert().nodes].width == 96


def test_fitting_leaves_out_templates_outside_the_space() -> None:
    space = SearchSpace(operators=["convolution"], poolings=("max",))
    assert templates.fitting(space) == (templates.text_cnn(),)
    assert templates.fitting(SearchSpace(operators=["identity"], poolings=("attention",))) == ()


def test_fitting_takes_a_bound_of_the_space() -> None:
    def fitting(bounds: list[float | None]) -> tuple[Genome, ...]:
        space = SearchSpace(operators=["convolution"], poolings=("max",), bounds=bounds)
        return templates.fitting(space)

    plain = templates.text_cnn()
    assert fitting([1.0, 0.3, 0.5]) == (replace(plain, bound=0.5),)
    assert fitting([0.3, 1.0, None]) == (plain, replace(plain, bound=1.0))


@pytest.mark.usefixtures("encodings")
def test_all_templates_take_encodings() -> None:
    encodings = TextEncoding("lower_case"), TextEncoding("merged")
    for make in templates.ALL.values():
        genome = make(encodings=encodings)
        assert genome.encodings == encodings
        assert replace(genome, encodings=()) == make()
    config = transformers.DistilBertConfig()
    assert templates.from_transformer(config, encodings=encodings).encodings == encodings


def test_all_templates_take_a_bound() -> None:
    for make in templates.ALL.values():
        assert make(bound=0.5) == replace(make(), bound=0.5)
