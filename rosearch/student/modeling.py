"""A genome as a Hugging Face sequence classifier."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils import cached_file

from rosearch import operators as ops
from rosearch.operators import kernels
from rosearch.space import Node
from rosearch.student.configuration import StudentConfig

# What saving and loading pass on to the tokenizer.
_UPLOAD = ("push_to_hub", "repo_id", "private", "token", "revision", "commit_message", "create_pr")
_DOWNLOAD = (
    "cache_dir",
    "force_download",
    "local_files_only",
    "proxies",
    "revision",
    "subfolder",
    "token",
)


class GraphNode(nn.Module):
    """Merge the inputs, normalise, apply the operator, add the merged input if residual.

    With a residual the operator's output is multiplied by a learned gain a channel (LayerScale,
    Touvron et al. 2021, section 2). It starts at 1; where a node is inserted into a trained student
    it starts at 0, so that the node at first changes nothing.
    """

    def __init__(self, node: Node, *, width: int, dropout: float) -> None:
        super().__init__()
        self.inputs = node.inputs
        self.residual = node.residual
        self.merge = ops.Merge(node.merge, width=width, inputs=len(node.inputs))
        self.norm = nn.LayerNorm(width)
        self.operator = ops.require(node.operator, ops.Operator)(width, **node.parameters)
        self.dropout = nn.Dropout(dropout)
        if node.residual:
            self.gain = nn.Parameter(torch.ones(width))

    def read(self, states: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The merged inputs and their norm, each ``(batch, length, width)``.

        Args:
            states: Hidden states of the embedding and of the nodes before this one.
        """
        inputs = [states[i] for i in self.inputs]
        if self.merge.kind == "gated":
            inputs = [self.merge(inputs)]
        return kernels.merge_normalize(
            inputs, self.norm.weight, self.norm.bias, scale=self.merge.scale, eps=self.norm.eps
        )

    def forward(self, states: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        merged, normalized = self.read(states)
        out: torch.Tensor = self.dropout(self.operator(normalized, mask))
        return torch.addcmul(merged, out, self.gain) if self.residual else out

    def pooled(
        self, states: Sequence[torch.Tensor], mask: torch.Tensor, pool: ops.Pool
    ) -> torch.Tensor:
        """``pool(self(states, mask), mask)`` without dropout, in fewer operations.

        For an operator that is a :class:`~rosearch.operators.LinearEnding` and a linear pool.
        """
        merged, normalized = self.read(states)
        out: torch.Tensor = self.operator.pooled(normalized, mask, pool)
        return torch.addcmul(pool(merged, mask), out, self.gain) if self.residual else out


class StudentForSequenceClassification(PreTrainedModel):
    """A student: the genome's input, its graph, pooling, a linear classifier.

    Saves and loads like any Hugging Face model, also through
    ``AutoModelForSequenceClassification``. Where :attr:`tokenizer` is set (as the Distiller does),
    it is saved and loaded with the model.

    Args:
        config: The student's configuration.
    """

    config_class = StudentConfig
    base_model_prefix = "student"
    main_input_name = "input_ids"
    _no_split_modules = ["GraphNode"]

    tokenizer: PreTrainedTokenizerBase | None = None
    """The tokenizer shared with the teacher."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        genome = config.architecture.ordered()
        self.num_labels = config.num_labels
        self.outputs = genome.outputs
        shape = ops.InputShape(
            vocabulary=config.vocab_size,
            positions=config.max_position_embeddings,
            types=config.type_vocab_size,
            inner=genome.embedding_width,
            width=genome.width,
            padding=config.pad_token_id,
        )
        source = genome.embedding
        embedding = ops.require(source.operator, ops.EmbeddingOperator)
        self.embedding: ops.EmbeddingOperator = embedding(shape, **source.parameters)
        self.nodes = nn.ModuleList(
            GraphNode(node, width=genome.width, dropout=config.dropout) for node in genome.nodes
        )
        self.pools = nn.ModuleList(
            ops.Pool(genome.pooling, width=genome.width) for _ in genome.outputs
        )
        # Nodes that are pooled and read by no other can be pooled before their last linear map.
        read = {i for node in genome.nodes for i in node.inputs}
        self._early: dict[int, ops.Pool] = {
            number: cast(ops.Pool, pool)
            for number, pool in zip(genome.outputs, self.pools, strict=True)
            if number not in read | {0}
            and pool.linear
            and isinstance(self.nodes[number - 1].operator, ops.LinearEnding)
        }
        self.norm = nn.LayerNorm(genome.width)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(genome.width, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput | tuple[torch.Tensor, ...]:
        """Classify a batch.

        Args:
            input_ids: int64 ``(batch, length)``.
            attention_mask: ``(batch, length)``, nonzero at real tokens; default: all of them that
                are not the padding token.
            token_type_ids: int64 ``(batch, length)``; default: zeros.
            labels: int64 ``(batch,)``; gives the cross-entropy loss.
            return_dict: False gives a tuple.
            output_hidden_states: True gives the hidden states too; default: as the configuration
                says.
            kwargs: Ignored, so that callers made for other models need not change.

        Returns:
            ``logits`` of shape ``(batch, num_labels)``, ``loss`` where labels are given, and where
            asked for ``hidden_states``: the embedding's, then one a node in the order of
            :attr:`nodes`, each ``(batch, length, width)``.
        """
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if attention_mask is None:
            pad = self.config.pad_token_id
            mask = torch.ones_like(input_ids, dtype=torch.bool) if pad is None else input_ids != pad
        else:
            mask = attention_mask.bool()
        states = [self.embedding(input_ids, mask, token_type_ids)]
        plain = self.training or torch.is_grad_enabled() or output_hidden_states
        for number, node in enumerate(self.nodes, start=1):
            if plain or number not in self._early:
                states.append(node(states, mask))
            else:
                states.append(cast(GraphNode, node).pooled(states, mask, self._early[number]))
        logits = self.classifier(self.dropout(self.norm(self.pool(states, mask))))
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        hidden = tuple(states) if output_hidden_states else None
        if return_dict is False:
            return tuple(part for part in (loss, logits, hidden) if part is not None)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=hidden)

    def pool(self, states: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """One vector a text, before the classifier's norm.

        Args:
            states: The hidden states that :meth:`forward` gives; those with one vector a text are
                pooled already.
            mask: bool ``(batch, length)``, true at real tokens.

        Returns:
            ``(batch, width)``.
        """
        pairs = zip(self.outputs, self.pools, strict=True)
        return reduce(
            torch.add,
            (pool(states[i], mask) if states[i].dim() == 3 else states[i] for i, pool in pairs),
        )

    def get_input_embeddings(self) -> nn.Module:
        """The token embedding, of the inner width."""
        return self.embedding.tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token embedding."""
        self.embedding.tokens = value

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.classifier:
            # All classes start about equally likely.
            nn.init.normal_(self.classifier.weight, std=0.02)
            nn.init.zeros_(self.classifier.bias)
        # Scaled so that every operator keeps the variance of its (normalised) input.
        elif isinstance(module, (nn.Linear, nn.Conv1d)):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
            if module.padding_idx is not None:
                with torch.no_grad():
                    module.weight[module.padding_idx].zero_()
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.RNNBase, ops.Operator)):
            module.reset_parameters()
        elif isinstance(module, (ops.Merge, ops.Pool)) and hasattr(module, "scores"):
            nn.init.zeros_(module.scores)
        elif isinstance(module, GraphNode) and module.residual:
            nn.init.ones_(module.gain)

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Save configuration, weights (safetensors) and, where set, the tokenizer."""
        super().save_pretrained(save_directory, **kwargs)
        if self.tokenizer is not None:
            upload = {key: value for key, value in kwargs.items() if key in _UPLOAD}
            self.tokenizer.save_pretrained(save_directory, **upload)

    @classmethod
    def from_pretrained(cls, name_or_folder: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a saved student, with its tokenizer where one was saved."""
        loaded = super().from_pretrained(name_or_folder, *args, **kwargs)
        # With output_loading_info the result is a pair.
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        place = {key: value for key, value in kwargs.items() if key in _DOWNLOAD}
        found = cached_file(
            name_or_folder,
            "tokenizer_config.json",
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
            **place,
        )
        if found is not None:
            model.tokenizer = AutoTokenizer.from_pretrained(name_or_folder, **place)
        return loaded
