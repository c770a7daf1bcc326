"""Genomes: JSON, graphs, pickles, identities of nodes, encodings, and text."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.errors import ArgumentError, GenomeError, RegistryError
from rosearch.space import Genome, Node, SearchSpace, TextEncoding
from tests.space.spaces import diamond, operators_by_identity


def with_node(genes: str) -> str:
    return f'{{"width": 64, "embedding_width": 8, "nodes": [{{{genes}}}]}}'


def encoded(*encodings: TextEncoding | str) -> Genome:
    return replace(diamond(), encodings=encodings)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_round_trips_by_json_graph_and_pickle(seed: int) -> None:
    genome = SearchSpace().sample(seed=seed)
    assert Genome.from_json(genome.to_json()) == genome
    assert Genome.from_graph(genome.graph()).key == genome.key
    assert pickle.loads(pickle.dumps(genome)) == genome
    assert hash(Genome.from_json(genome.to_json())) == hash(genome)


def test_json_holds_plain_values() -> None:
    values = json.loads(diamond().to_json())
    assert values["nodes"][0] == {
        "operator": "attention",
        "parameters": {"heads": 4},
        "inputs": [0],
        "merge": "sum",
        "residual": True,
    }


def test_from_graph_with_other_node_names() -> None:
    graph = nx.relabel_nodes(diamond().graph(), {1: "left", 2: "right", "embedding": 99})
    assert Genome.from_graph(graph).key == diamond().key


def test_omitted_parameters_get_their_defaults() -> None:
    assert Node("attention") == Node("attention", {"heads": 4})


def test_text_lists_every_node() -> None:
    text = str(diamond())
    lines = [line.split() for line in text.splitlines()]
    assert lines[3] == "3 feed_forward(expansion=2) <- gated of 1, 2 + input".split()
    assert lines[4] == ["output", "<-", "3"]
    assert len({line.index("<-") for line in text.splitlines()[1:]}) == 1  # aligned


def test_round_trips_keep_identities() -> None:
    for seed in range(20):
        genome = SearchSpace(nodes=(2, 12)).sample(seed=seed)
        assert Genome.from_json(genome.to_json()).identities == genome.identities
        for again in (Genome.from_graph(genome.graph()), genome.ordered()):
            assert operators_by_identity(again) == operators_by_identity(genome)


def test_derived_identities_do_not_depend_on_the_numbering() -> None:
    for seed in range(20):
        values = SearchSpace(nodes=(2, 12)).sample(seed=seed).to_dict()
        for node in values["nodes"]:
            del node["identity"]
        genome = Genome.from_dict(values)
        assert operators_by_identity(genome) == operators_by_identity(genome.ordered())
        assert all(name.startswith(genome.key) for name in genome.identities)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be valid JSON"),
        ("[]", "genome must be an object"),
        ('{"width": 64}', "lacks the field 'embedding_width'"),
        ('{"width": 64, "embedding_width": 8, "depth": 3}', "no field 'depth'"),
        ('{"width": 64, "embedding_width": 8, "nodes": [{}]}', "node 1 lacks the field 'operator'"),
        ('{"width": 64, "embedding_width": 8, "nodes": 5}', "nodes must be a list, got 5"),
        ('{"width": 64, "embedding_width": 8, "outputs": 5}', "outputs must be whole numbers"),
        (with_node('"operator": ["x"]'), "operator of each node must be a str"),
        (with_node('"operator": "identity", "parameters": [1]'), "parameters a mapping"),
        (with_node('"operator": "identity", "inputs": null'), "whole numbers, got None"),
        (with_node('"operator": "identity", "inputs": ["a"]'), "whole numbers, got .'a'"),
        (with_node('"operator": "identity", "inputs": [0.7]'), "whole numbers, got .0.7"),
    ],
)
def test_invalid_json(text: str, message: str) -> None:
    with pytest.raises(GenomeError, match=message):
        Genome.from_json(text)


def test_nodes_of_another_type() -> None:
    with pytest.raises(GenomeError, match="nodes must be a tuple of Node"):
        Genome(width=64, embedding_width=8, nodes=("identity",))  # type: ignore[arg-type]


def test_from_graph_without_width() -> None:
    graph = diamond().graph()
    del graph.graph["width"]
    with pytest.raises(GenomeError, match=r"graph.graph\['width'\]"):
        Genome.from_graph(graph)


@pytest.mark.usefixtures("encodings")
def test_encodings_survive_json_graph_and_pickle() -> None:
    genome = encoded("shortened", TextEncoding("merged", {"strength": 0.07}))
    again = Genome.from_json(genome.to_json())
    assert again == genome == pickle.loads(pickle.dumps(genome))
    assert hash(again) == hash(genome)
    assert Genome.from_graph(genome.graph()) == genome
    assert json.loads(genome.to_json())["encodings"] == [
        {"name": "shortened", "parameters": {"length": 4, "side": "left"}},
        {"name": "merged", "parameters": {"strength": 0.07}},
    ]


@pytest.mark.usefixtures("encodings")
def test_names_stand_for_encodings_with_default_parameters() -> None:
    expected = (TextEncoding("lower_case"), TextEncoding("merged", {"strength": 0.05}))
    genome = encoded("lower_case", "merged")
    assert genome.encodings == expected
    assert [encoding.level for encoding in genome.encodings] == ["characters", "words"]
    values = {**genome.to_dict(), "encodings": ["lower_case", {"name": "merged"}]}
    assert Genome.from_dict(values) == genome


def test_json_without_encodings_has_no_field_for_them() -> None:
    assert "encodings" not in diamond().to_dict()
    graph = diamond().graph()
    del graph.graph["encodings"]
    assert Genome.from_graph(graph).encodings == ()


@pytest.mark.usefixtures("encodings")
def test_text_lists_encodings_before_the_nodes() -> None:
    lines = str(encoded("lower_case", "merged")).splitlines()
    assert lines[1] == "  encoded by lower_case, merged(strength=0.05)"
    assert [lines[0].partition(":")[2], *lines[2:]] == [
        line.partition(":")[2] or line for line in str(diamond()).splitlines()
    ]


@pytest.mark.usefixtures("encodings")
@pytest.mark.parametrize(
    ("encodings", "message"),
    [
        ("lower_case", "encodings must be a tuple of TextEncoding, got 'lower_case'"),
        (None, "encodings must be a tuple of TextEncoding, got None"),
        ((Node("identity"),), "encodings must be a tuple of TextEncoding"),
        (
            ("lower_case", "shortened"),
            r"at most one of each level, .* got lower_case \(characters\), shortened \(char",
        ),
        (("merged", "lower_case"), r"in the order characters, words, got merged \(words\)"),
        ([{"nome": "merged"}], "The encoding has no field 'nome'"),
        ([{}], "The encoding lacks the field 'name'"),
        ([{"name": 3}], "name of each encoding must be a str"),
        ([{"name": "merged", "parameters": [1]}], "its parameters a mapping"),
        ([{"name": "merged", "parameters": {"force": 1}}], "'merged' has no parameter 'force'"),
        ([{"name": "shortened", "parameters": {"length": 5}}], "length of .* one of 4, 8, got 5"),
    ],
)
def test_invalid_encodings(encodings: object, message: str) -> None:
    with pytest.raises(GenomeError, match=message):
        Genome.from_dict({**diamond().to_dict(), "encodings": encodings})


@pytest.mark.usefixtures("encodings")
def test_unknown_encoding_and_value_out_of_range() -> None:
    with pytest.raises(RegistryError, match=r"no encoding named 'murged'. Did you mean 'merged'"):
        encoded("murged")
    with pytest.raises(ArgumentError, match=r"strength of the encoding 'merged' must be .* got 2"):
        TextEncoding("merged", {"strength": 2})
