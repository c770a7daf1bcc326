"""Weights that a child inherits, and its function before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import rosearch.operators as ops
from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher
from rosearch.operators import EmbeddingOperator
from rosearch.space import Embedding, Genome, Node, SearchSpace, templates
from rosearch.student import Inheritance, StudentConfig, StudentForSequenceClassification, inherit

PARENT = Genome(
    width=24,
    embedding_width=8,
    pooling="attention",
    nodes=(
        Node("attention", {"heads": 2}, inputs=(0,)),
        Node("convolution", inputs=(0, 1), residual=False, merge="mean"),
        Node("feed_forward", inputs=(0, 1, 2), merge="gated"),
        Node("bidirectional_gru", inputs=(1, 3), merge="sum"),
    ),
    outputs=(2, 3, 4),
)


def make(genome: Genome, *, seed: int = 1, **config: Any) -> StudentForSequenceClassification:
    torch.manual_seed(seed)
    settings = {"vocab_size": 60, "max_position_embeddings": 32, **config}
    return StudentForSequenceClassification(StudentConfig(genome, **settings)).eval()


def trained(genome: Genome, **config: Any) -> StudentForSequenceClassification:
    """A student all of whose parameters have moved away from their start."""
    student = make(genome, seed=0, **config)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return student


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Rows of several lengths: without padding, padded behind, padded before."""
    torch.manual_seed(2)
    ids = torch.randint(1, 60, (4, 9))
    lengths = torch.tensor([[9], [6], [3], [1]])
    behind = torch.arange(9) < lengths
    return [(ids, torch.ones_like(ids)), (ids, behind.long()), (ids, behind.flip(1).long())]


def assert_equal_logits(
    a: StudentForSequenceClassification, b: StudentForSequenceClassification
) -> None:
    with torch.no_grad():
        for ids, mask in batches():
            mine, theirs = (s(ids, attention_mask=mask).logits for s in (a, b))
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def differ(a: StudentForSequenceClassification, b: StudentForSequenceClassification) -> bool:
    ids, mask = batches()[1]
    with torch.no_grad():
        mine, theirs = (s(ids, attention_mask=mask).logits for s in (a, b))
    return not torch.allclose(mine, theirs, rtol=1e-3, atol=1e-3)


def new(child: StudentForSequenceClassification, found: Inheritance) -> set[str]:
    """Tensors of which nothing was inherited."""
    return set(child.state_dict()) - set(found.values)


def taken(child: StudentForSequenceClassification, found: Inheritance) -> set[str]:
    """Tensors that were inherited in full."""
    own = child.state_dict()
    return {name for name, count in found.values.items() if count == own[name].numel()}


def partly(child: StudentForSequenceClassification, found: Inheritance) -> set[str]:
    """Tensors of which some values were inherited."""
    return set(found.values) - taken(child, found)


class TestInsertions:
    @pytest.mark.parametrize("name", ops.names())
    def test_inserting_each_operator(self, name: str) -> None:
        operators = {name, *(node.operator for node in PARENT.nodes)}
        space = SearchSpace(operators=sorted(operators), widths=(24,), embedding_widths=(8,))
        parent = trained(PARENT)
        children = (space.mutate(PARENT, seed=seed, kind="insert") for seed in range(500))
        genome = next(child for child in children if _new_operators(child) == {name})
        child = make(genome)
        assert differ(child, parent)
        found = inherit(child, parent)
        assert_equal_logits(child, parent)
        assert len(found.inserted) == 1
        # All but the inserted node, its operator included, comes from the parent.
        (number,) = [
            k
            for k, identity in enumerate(genome.ordered().identities)
            if identity in found.inserted
        ]
        assert new(child, found) | partly(child, found) <= {
            f"nodes.{number}.{key}" for key in child.nodes[number].state_dict()
        }
        assert found.share == parent.num_parameters() / child.num_parameters()

    @pytest.mark.parametrize("seed", range(12))
    def test_chains(self, seed: int) -> None:
        space = SearchSpace(nodes=(0, 8), widths=(24,), embedding_widths=(8,))
        start = PARENT if seed % 2 else space.sample(seed=seed)
        start = (
            start if len(start.nodes) <= 5 else templates.bag_of_words(width=24, embedding_width=8)
        )
        parent = trained(start)
        genome, before = start, parent
        for step in range(3):
            genome = space.mutate(genome, seed=100 * seed + step, kind="insert")
            child = make(genome, seed=step)
            inherit(child, before)
            assert_equal_logits(child, parent)
            before = child
        # Three at once are as good as one by one.
        grandchild = make(genome)
        assert len(inherit(grandchild, parent).inserted) == 3
        assert_equal_logits(grandchild, parent)

    @pytest.mark.parametrize("name", templates.ALL)
    def test_parents_without_explicit_identities(self, name: str) -> None:
        """As saved and loaded: a configuration keeps given identities alone."""
        genome = templates.ALL[name]()
        parent = trained(genome)
        space = SearchSpace(
            widths=(genome.width,), embedding_widths=(genome.embedding_width,), nodes=(0, 24)
        )
        child = make(space.mutate(genome, seed=0, kind="insert"))
        inherit(child, parent)
        assert_equal_logits(child, parent)

    def test_equal_branches_inherit_their_own_weights(self) -> None:
        branch = Node("convolution", inputs=(0,), residual=False)
        genome = Genome(
            width=24,
            embedding_width=8,
            nodes=(branch, branch, Node("feed_forward", inputs=(1,))),
            outputs=(2, 3),
        )
        twin = Genome(
            width=24,
            embedding_width=8,
            nodes=(Node("feed_forward", inputs=(3,)), branch, branch),
            outputs=(1, 2),
        )
        assert genome.key == twin.key
        parent = trained(genome)
        space = SearchSpace(widths=(24,), embedding_widths=(8,))
        for relative in (genome, twin):
            child = make(space.mutate(relative, seed=3, kind="insert"))
            inherit(child, parent)
            assert_equal_logits(child, parent)

    def test_an_inserted_node_learns(self) -> None:
        space = SearchSpace(operators=["feed_forward"], widths=(24,), embedding_widths=(8,))
        genome = templates.bag_of_words(width=24, embedding_width=8)
        child = make(space.mutate(genome, seed=0, kind="insert"), dropout=0.0)
        inherit(child, trained(genome))
        ids, mask = batches()[1]
        child(ids, attention_mask=mask, labels=torch.tensor([0, 1, 0, 1])).loss.backward()
        assert (child.nodes[0].gain.grad != 0).any()


def _new_operators(child: Genome) -> set[str]:
    known = {*PARENT.identities}
    return {
        node.operator
        for node, identity in zip(child.nodes, child.identities, strict=True)
        if identity not in known
    }


class TestOtherMutations:
    SPACE = SearchSpace(widths=(24, 32), embedding_widths=(4, 8, 16))

    @pytest.mark.parametrize(
        ("kind", "min_share"),
        [
            ("remove", 0.99),
            ("rewire", 0.95),
            ("toggle_residual", 0.95),
            ("change_merge", 0.95),
            ("change_pooling", 0.99),
            ("change_operator", 0.3),
            ("change_parameter", 0.3),
        ],
    )
    def test_shared_weights_are_inherited(self, kind: str, min_share: float) -> None:
        parent = trained(PARENT)
        for seed in range(4):
            child = make(self.SPACE.mutate(PARENT, seed=seed, kind=kind))
            found = inherit(child, parent)
            assert found.share >= min_share, found
            assert not found.inserted
            own = child.state_dict()
            given = parent.state_dict()
            origins = _origins(child, parent)
            compared = 0
            for name in taken(child, found):
                head, _, rest = name.partition(".")
                if head in origins:
                    number, _, key = rest.partition(".")
                    # A gated merge's scores follow the inputs, whose order may be another.
                    if key == "merge.scores":
                        continue
                    rest = f"{origins[head][int(number)]}.{key}"
                    compared += head == "nodes"
                assert torch.equal(own[name], given[f"{head}.{rest}"]), name
            assert compared > 10

    def test_character_ngrams_follow_their_size(self) -> None:
        """A row stands for other n-grams where they are longer."""

        def of(size: int, inner: int) -> Genome:
            source = Embedding("character_embedding", {"buckets": 2000, "size": size})
            return _with(PARENT, embedding=source, embedding_width=inner)

        parent = trained(of(3, 8))
        for inner in (4, 8, 16):
            child = make(of(2, inner))
            fresh = child.embedding.ngrams.weight.clone()
            found = inherit(child, parent)
            assert "embedding.ngrams.weight" in new(child, found)
            assert torch.equal(child.embedding.ngrams.weight, fresh)
            assert torch.equal(
                child.embedding.tokens.weight[:, :8], parent.embedding.tokens.weight[:, :inner]
            )
        child = make(of(3, 16))
        inherit(child, parent)
        assert torch.equal(child.embedding.ngrams.weight[:, :8], parent.embedding.ngrams.weight)

    def test_a_wider_embedding_computes_the_same(self) -> None:
        parent = trained(PARENT)
        child = make(_with(PARENT, embedding_width=16))
        found = inherit(child, parent)
        assert_equal_logits(child, parent)
        assert partly(child, found) == {
            "embedding.tokens.weight",
            "embedding.positions.weight",
            "embedding.types.weight",
            "embedding.projection.weight",
        }

    def test_a_narrower_embedding_keeps_the_first_columns(self) -> None:
        parent = trained(PARENT)
        child = make(_with(PARENT, embedding_width=4))
        found = inherit(child, parent)
        assert taken(child, found) == set(child.state_dict())
        for name in ("tokens", "positions", "types", "projection"):
            own = getattr(child.embedding, name).weight
            assert torch.equal(own, getattr(parent.embedding, name).weight[:, :4])

    def test_another_width_keeps_the_tables(self) -> None:
        parent = trained(PARENT)
        child = make(_with(PARENT, width=48))
        found = inherit(child, parent)
        assert {n for n in taken(child, found) if n.startswith("embedding.")} == {
            f"embedding.{table}.weight" for table in ("tokens", "positions", "types")
        }
        assert torch.equal(child.embedding.tokens.weight, parent.embedding.tokens.weight)

    def test_node_with_another_operator_keeps_its_initial_weights(self) -> None:
        child_genome = Genome.from_dict(
            {
                **PARENT.to_dict(),
                "nodes": [
                    {**genes, "identity": identity}
                    | ({"operator": "identity", "parameters": {}} if k == 3 else {})
                    for k, (genes, identity) in enumerate(
                        zip(PARENT.to_dict()["nodes"], PARENT.identities, strict=True)
                    )
                ],
            }
        )
        child = make(child_genome)
        found = inherit(child, trained(PARENT))
        names = [
            f"nodes.{k}."
            for k, n in enumerate(child_genome.ordered().nodes)
            if n.operator == "identity"
        ]
        assert {n for n in new(child, found) if n.startswith("nodes.")} == {
            f"{names[0]}{key}" for key in ("gain", "norm.weight", "norm.bias")
        }

    def test_crossover_keeps_initial_weights_of_unrelated_nodes(self) -> None:
        space = SearchSpace(widths=(24,), embedding_widths=(8,), nodes=(4, 8))
        a, b = space.sample(seed=1), space.sample(seed=2)
        parent = trained(a)
        seen = 0
        for seed in range(20):
            genome = space.crossover(a, b, seed=seed)
            child = make(genome)
            fresh = {k: v.clone() for k, v in child.state_dict().items()}
            found = inherit(child, parent)
            for k, identity in enumerate(genome.ordered().identities):
                if identity in a.identities or identity in found.inserted:
                    continue
                seen += 1
                for key, tensor in child.nodes[k].state_dict().items():
                    assert torch.equal(tensor, fresh[f"nodes.{k}.{key}"])
        assert seen > 20

    @pytest.mark.parametrize("name", ops.names(EmbeddingOperator))
    def test_another_embedding_keeps_the_tables(self, name: str) -> None:
        parent = trained(PARENT)
        genome = _with(PARENT, embedding=Embedding(name))
        child = make(genome)
        inherit(child, parent)
        for table in ("tokens", "positions", "types", "projection", "norm"):
            own, given = (getattr(s.embedding, table).weight for s in (child, parent))
            assert torch.equal(own, given)

    def test_other_classes_keep_the_rest(self) -> None:
        child = make(PARENT, num_labels=3)
        assert new(child, inherit(child, trained(PARENT))) == {
            "classifier.weight",
            "classifier.bias",
        }

    def test_share_counts_parameters(self) -> None:
        child = make(_with(PARENT, embedding_width=16))
        # Eight of sixteen columns of four tables are new.
        remaining = 8 * (60 + 32 + 2 + 24)
        total = child.num_parameters()
        assert inherit(child, trained(PARENT)).share == (total - remaining) / total


def test_distiller_inherits_weights(
    trained_bert: Any, tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    teacher = Teacher(trained_bert, tokenizer, cache_dir=tmp_path)
    distiller = Distiller(
        teacher, dataset, dataset, epochs=3, learning_rate=1e-2, progress=False, device="cpu"
    )
    space = SearchSpace(widths=(24,), embedding_widths=(8,))
    parent = distiller.distill(PARENT).student
    child = space.mutate(PARENT, seed=0, kind="insert")
    ids = torch.randint(5, 40, (3, 9))
    start = distiller.student(child, parent=parent).eval()
    with torch.no_grad():
        torch.testing.assert_close(start(ids).logits, parent(ids).logits, rtol=1e-5, atol=1e-5)
    # The first loss of a child that goes on from its parent is below that of one from nothing.
    taught, fresh = (distiller.distill(child, parent=p).history[0].loss for p in (parent, None))
    assert taught < fresh


def _origins(
    child: StudentForSequenceClassification, parent: StudentForSequenceClassification
) -> dict[str, dict[int, int]]:
    """The parent's module of each of the child's, by identity and apart from what is tested."""
    a, b = (student.config.architecture.ordered() for student in (child, parent))
    nodes = {
        k: b.identities.index(identity)
        for k, identity in enumerate(a.identities)
        if identity in b.identities
    }
    return {
        "nodes": nodes,
        "pools": {
            place: b.outputs.index(nodes[output - 1] + 1)
            for place, output in enumerate(a.outputs)
            if output - 1 in nodes and nodes[output - 1] + 1 in b.outputs
        },
    }


def _with(genome: Genome, **genes: Any) -> Genome:
    """The genome with other genes and its nodes' names."""
    values = genome.to_dict()
    for node, identity in zip(values["nodes"], genome.identities, strict=True):
        node["identity"] = identity
    changed = Genome.from_dict(values)
    return Genome(
        **{
            "width": changed.width,
            "embedding_width": changed.embedding_width,
            "pooling": changed.pooling,
            "nodes": changed.nodes,
            "outputs": changed.outputs,
            "embedding": changed.embedding,
            **genes,
        }
    )
