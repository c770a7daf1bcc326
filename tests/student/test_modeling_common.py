"""What transformers' ``tests/test_modeling_common.py`` asks of every model, asked of students.

docs/architectures.md lists the checks that do not apply, with the reasons.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from rosearch.errors import ArgumentError
from rosearch.operators import EmbeddingOperator
from rosearch.operators.inputs.testing import SmallNearestWords, small_vocabulary
from rosearch.space import Embedding, Genome, Node, templates
from rosearch.student import StudentConfig, StudentForSequenceClassification

SMALL: dict[str, Any] = {"width": 16, "embedding_width": 8}
TOKENS = len(small_vocabulary())
NODES = (
    Node("attention", inputs=(0,)),
    Node("bidirectional_gru", inputs=(0,)),
    Node("feed_forward", inputs=(1, 2), merge="gated"),
)
PLAIN = {
    "bag of words": templates.bag_of_words(**SMALL),
    "attention and recurrence": Genome(**SMALL, nodes=NODES, pooling="attention"),
}
INPUTS = {
    name: Genome(**SMALL, embedding=Embedding(name), nodes=(Node("convolution"),))
    for name in (
        "character_embedding", "synonym_code_embedding", "neighbour_smoothed_embedding",
    )
}  # fmt: skip
BOUNDED = {
    "scores": templates.additive(),
    "scores and scopes": templates.additive(scopes=True),
    "graph beside scores": replace(templates.text_cnn(**SMALL), bound=0.5, scopes=True),
    "synonyms beside scores": replace(INPUTS["synonym_code_embedding"], bound=1.0),
}
GENOMES = PLAIN | INPUTS | BOUNDED
SHARED_ROWS = ("synonym_code_embedding", "neighbour_smoothed_embedding", "synonyms beside scores")


def make(genome: Genome, **config: Any) -> StudentForSequenceClassification:
    """A prepared student in eval mode all of whose parameters are random."""
    torch.manual_seed(0)
    cues = ((5, 1), (6, 2)) if genome.scopes else ()
    settings = {"vocab_size": TOKENS, "max_position_embeddings": 24, "num_labels": 3, **config}
    student = StudentForSequenceClassification(StudentConfig(genome, cues=cues, **settings))
    if isinstance(getattr(student, "embedding", None), EmbeddingOperator):
        student.embedding.prepare(small_vocabulary(), SmallNearestWords())
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            parameter += 0.1 * torch.randn_like(parameter)
            if name.endswith(("tokens.weight", "ngrams.weight")):
                parameter[0] = 0.0
    return student.eval()


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(1, TOKENS, (3, 7), generator=torch.Generator().manual_seed(1))
    ids[0, 5:] = ids[1, 3:] = 0
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


@pytest.fixture(params=GENOMES)
def name(request: Any) -> str:
    return str(request.param)


@pytest.fixture
def student(name: str) -> StudentForSequenceClassification:
    return make(GENOMES[name])


def same(model: Any, other: Any, **tolerance: float) -> None:
    with torch.no_grad():
        found, expected = model(**batch()).logits, other(**batch()).logits
    torch.testing.assert_close(found, expected, **tolerance)


class TestSaving:
    def test_weights_in_several_files(self, student: Any, tmp_path: Path) -> None:
        student.save_pretrained(tmp_path, max_shard_size=200)
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
        same(AutoModelForSequenceClassification.from_pretrained(tmp_path), student)
        student.save_pretrained(tmp_path)
        assert not list(tmp_path.glob("model-*.safetensors"))

    def test_ways_of_loading(self, student: Any, tmp_path: Path) -> None:
        student.save_pretrained(tmp_path)
        loaded, info = StudentForSequenceClassification.from_pretrained(
            tmp_path, output_loading_info=True
        )
        assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        assert not loaded.training
        same(loaded, student)
        states = {key: value.clone() for key, value in student.state_dict().items()}
        given = StudentForSequenceClassification.from_pretrained(
            None, config=student.config, state_dict=states
        )
        same(given, student)
        for model in (copy.deepcopy(student), pickle.loads(pickle.dumps(student))):
            same(model, student)

    @pytest.mark.parametrize("placed", [{"device_map": "cpu"}, {"device_map": "auto"}])
    def test_device_map(self, placed: dict[str, Any], student: Any, tmp_path: Path) -> None:
        pytest.importorskip("accelerate")
        student.save_pretrained(tmp_path)
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, **placed)
        same(loaded.to("cpu"), student, atol=1e-5, rtol=1e-5)

    def test_low_memory(self, student: Any, tmp_path: Path) -> None:
        pytest.importorskip("accelerate")
        student.save_pretrained(tmp_path)
        loaded = AutoModelForSequenceClassification.from_pretrained(
            tmp_path, low_cpu_mem_usage=True
        )
        same(loaded, student)

    def test_another_number_of_classes(self, student: Any, tmp_path: Path) -> None:
        student.save_pretrained(tmp_path)
        load = AutoModelForSequenceClassification.from_pretrained
        with pytest.raises(RuntimeError, match=r"size mismatch|ignore_mismatched_sizes"):
            load(tmp_path, num_labels=5)
        loaded = load(tmp_path, num_labels=5, ignore_mismatched_sizes=True)
        assert loaded(**batch()).logits.shape == (3, 5)
        assert torch.isfinite(loaded(**batch()).logits).all()
        for key, value in loaded.state_dict().items():
            old = student.state_dict()[key]
            if old.shape == value.shape:
                assert torch.equal(value, old), key

    def test_missing_weights_start_anew(self, student: Any, tmp_path: Path) -> None:
        student.save_pretrained(tmp_path)
        for key, value in student.named_parameters():
            states = {k: v.clone() for k, v in student.state_dict().items() if k != key}
            loaded, info = StudentForSequenceClassification.from_pretrained(
                None, config=student.config, state_dict=states, output_loading_info=True
            )
            assert set(info["missing_keys"]) == {key}
            for other, kept in loaded.state_dict().items():
                if other != key:
                    assert torch.equal(kept, states[other]), (key, other)
            fresh = loaded.get_parameter(key)
            assert torch.isfinite(fresh).all()
            assert fresh.abs().max() < 10 * value.abs().max() + 10


class TestEmbeddings:
    def test_get_and_set(self, name: str, student: Any) -> None:
        table = student.get_input_embeddings()
        assert isinstance(table, nn.Embedding)
        other = nn.Embedding(TOKENS, table.embedding_dim, padding_idx=0)
        if name in SHARED_ROWS:
            with pytest.raises(ArgumentError, match=r"must be a \w+Table, got Embedding"):
                student.set_input_embeddings(other)
        else:
            student.set_input_embeddings(other)
            assert student.get_input_embeddings() is other
        assert student.get_output_embeddings() is None
        student.tie_weights()

    @pytest.mark.parametrize("settings", [{}, {"mean_resizing": False}, {"pad_to_multiple_of": 8}])
    def test_grow(self, settings: dict[str, Any], student: Any, tmp_path: Path) -> None:
        before = copy.deepcopy(student)
        table = student.resize_token_embeddings(TOKENS + 3, **settings)
        size = 40 if "pad_to_multiple_of" in settings else TOKENS + 3
        assert table is student.get_input_embeddings()
        assert table.num_embeddings == student.config.vocab_size == size
        same(student, before)
        new = torch.tensor([[3, size - 1, size - 2, 4]])
        out = student.train()(new, labels=torch.tensor([0]))
        out.loss.backward()
        assert torch.isfinite(out.logits).all()
        student.eval().save_pretrained(tmp_path)
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        torch.testing.assert_close(loaded(new).logits, student(new).logits)

    def test_shrink(self, name: str, student: Any, tmp_path: Path) -> None:
        if name in SHARED_ROWS:
            with pytest.raises(ArgumentError, match="cannot lose tokens"):
                student.resize_token_embeddings(20)
            return
        few = torch.tensor([[3, 4, 19]])
        expected = student(few).logits
        student.resize_token_embeddings(20)
        torch.testing.assert_close(student(few).logits, expected)
        student.save_pretrained(tmp_path)
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        torch.testing.assert_close(loaded(few).logits, expected)

    @pytest.mark.parametrize("bounded", BOUNDED)
    def test_new_tokens_have_no_scores(self, bounded: str) -> None:
        student: Any = make(BOUNDED[bounded])
        student.resize_token_embeddings(TOKENS + 2)
        assert not student.token_scores.tokens.weight[TOKENS:].any()

    def test_vectors_instead_of_ids(self, name: str, student: Any) -> None:
        inputs = batch()
        ids = inputs.pop("input_ids")
        vectors = student.get_input_embeddings()(ids)
        if name in BOUNDED or name == "character_embedding":
            with pytest.raises(ArgumentError, match="needs input_ids"):
                student(inputs_embeds=vectors, **inputs)
        else:
            found = student(inputs_embeds=vectors, **inputs).logits
            torch.testing.assert_close(found, student(ids, **inputs).logits)
            assert student(inputs_embeds=vectors).logits.shape == (3, 3)
        for given in ({}, {"input_ids": ids, "inputs_embeds": vectors}):
            with pytest.raises(ArgumentError, match="either input_ids or inputs_embeds"):
                student(**given)

    def test_gradients_of_inputs(self, student: Any) -> None:
        """What parameter-efficient fine-tuning calls on a frozen model."""
        student.requires_grad_(False)
        student.enable_input_require_grads()
        assert student(**batch()).logits.requires_grad
        student.disable_input_require_grads()


class TestOutputs:
    def test_signature(self) -> None:
        names = list(inspect.signature(StudentForSequenceClassification.forward).parameters)
        assert names[1:4] == ["input_ids", "attention_mask", "token_type_ids"]
        assert StudentForSequenceClassification.main_input_name == "input_ids"

    def test_tuples_and_records(self, student: Any) -> None:
        for more in ({}, {"output_hidden_states": True}, {"labels": torch.tensor([0, 1, 2])}):
            record = student(**batch(), **more)
            plain = student(**batch(), **more, return_dict=False)
            student.config.return_dict = False
            assert isinstance(student(**batch(), **more), tuple)
            student.config.return_dict = True
            for a, b in zip(record.to_tuple(), plain, strict=True):
                torch.testing.assert_close(a, b)

    def test_hidden_states(self, name: str, student: Any, tmp_path: Path) -> None:
        count = 0 if GENOMES[name].bound == 0 else len(GENOMES[name].nodes) + 1
        states = student(**batch(), output_hidden_states=True).hidden_states
        assert [state.shape for state in states] == [(3, 7, 16)] * count
        assert student(**batch()).hidden_states is None
        student.save_pretrained(tmp_path)
        loaded = StudentForSequenceClassification.from_pretrained(
            tmp_path, output_hidden_states=True
        )
        assert len(loaded(**batch()).hidden_states) == count

    @pytest.mark.parametrize(
        "more",
        [
            {"output_attentions": True},
            {"position_ids": torch.arange(7)[None]},
            {"head_mask": torch.ones(1, 2)},
        ],
    )
    def test_what_students_do_not_have(self, more: dict[str, Any], student: Any) -> None:
        with pytest.raises(ArgumentError, match=f"Students have no {next(iter(more))}"):
            student(**batch(), **more)
        student(**batch(), **dict.fromkeys(more))

    def test_attentions_by_configuration(self, student: Any) -> None:
        student.config.output_attentions = True
        with pytest.raises(ArgumentError, match="Students have no output_attentions"):
            student(**batch())
        student(**batch(), output_attentions=False)

    def test_equal_rows_alone_and_together(self, student: Any) -> None:
        together = student(**batch()).logits
        for row in range(3):
            alone = student(**{key: value[row : row + 1] for key, value in batch().items()})
            torch.testing.assert_close(alone.logits[0], together[row], atol=1e-5, rtol=1e-4)

    def test_same_answer_twice(self, student: Any) -> None:
        same(student, student)


class TestPrecisionAndGraphs:
    @pytest.mark.parametrize("kind", ["half", "bfloat16", "double"])
    def test_precisions(self, kind: str, student: Any) -> None:
        expected = student(**batch()).logits
        other = getattr(copy.deepcopy(student), kind)()
        assert {p.dtype for p in other.parameters()} == {other.dtype}
        found = other(**batch()).logits
        assert found.dtype == other.dtype
        torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0.1)

    def test_tracing(self, student: Any) -> None:
        student.config.return_dict = False
        given = tuple(batch().values())
        with torch.no_grad():
            traced = torch.jit.trace(student, given)
            longer = [torch.cat([value, value], dim=1) for value in given]
            torch.testing.assert_close(traced(*longer)[0], student(*longer)[0])

    def test_training_and_checkpointing(self, student: Any) -> None:
        student.train()(**batch(), labels=torch.tensor([0, 1, 2])).loss.backward()
        assert not student.is_gradient_checkpointing
        with pytest.raises(ValueError, match=r"does not support \w+ checkpointing"):
            student.gradient_checkpointing_enable()

    @pytest.mark.parametrize("kind", ["flash_attention_2", "sdpa"])
    def test_attention_implementations(self, kind: str, student: Any, tmp_path: Path) -> None:
        student.save_pretrained(tmp_path)
        with pytest.raises((ValueError, ImportError), match=r"[Ff]lash|scaled_dot_product"):
            AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation=kind)

    def test_positions_are_fixed(self, student: Any) -> None:
        with pytest.raises(NotImplementedError):
            student.resize_position_embeddings(100)

    def test_sizes(self, student: Any) -> None:
        assert isinstance(student, PreTrainedModel)
        assert student.num_parameters() == sum(p.numel() for p in student.parameters())
        assert student.get_memory_footprint() >= 4 * student.num_parameters()
        assert student.base_model is student
        assert not student.can_generate()


def test_trainer(tmp_path: Path) -> None:
    """Accumulated batches train like one batch of all their examples."""
    pytest.importorskip("accelerate")
    from transformers import Trainer, TrainingArguments

    rows = [
        {"input_ids": row, "labels": k % 2} for k, row in enumerate(batch()["input_ids"][[0] * 8])
    ]
    weights = []
    for size, steps in ((8, 1), (2, 4)):
        student = make(replace(PLAIN["bag of words"]), dropout=0.0)
        arguments = TrainingArguments(
            str(tmp_path / str(size)), per_device_train_batch_size=size, max_steps=1,
            gradient_accumulation_steps=steps, report_to=[], use_cpu=True, optim="sgd",
            learning_rate=1.0, max_grad_norm=0.0, disable_tqdm=True,
        )  # fmt: skip
        Trainer(student, arguments, train_dataset=rows).train()
        weights.append(torch.cat([p.detach().flatten() for p in student.parameters()]))
        assert (tmp_path / str(size) / "checkpoint-1" / "README.md").exists()
    torch.testing.assert_close(weights[0], weights[1], atol=1e-5, rtol=1e-4)
