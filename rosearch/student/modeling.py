"""Students as Hugging Face sequence classifiers."""

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
from rosearch.data import require_one_class
from rosearch.errors import DataError
from rosearch.operators import kernels
from rosearch.space import Genome, Node
from rosearch.student.configuration import StudentConfig
from rosearch.student.tokenizer_files import save_tokenizer

# Arguments of saving and loading that the tokenizer needs too.
_UPLOAD = ("push_to_hub", "repo_id", "private", "token", "revision", "commit_message", "create_pr")
_DOWNLOAD = tuple(
    "cache_dir force_download local_files_only proxies revision subfolder token".split()
)


class GraphNode(nn.Module):
    """Merge the inputs, normalize, apply the operator, add the merged input if residual.

    With a residual, the operator's output is multiplied by a learned gain for each channel
    (LayerScale, Touvron et al. 2021, section 2). It starts at 1, or at 0 if the node is inserted
    into a trained student, so that it initially changes nothing.
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
        """Return the merged inputs and their layer norm, each ``(batch, length, width)``.

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
        """Compute ``pool(self(states, mask), mask)`` without dropout, in fewer operations.

        The operator must be a :class:`~rosearch.operators.LinearEnding` and the pool linear.
        """
        merged, normalized = self.read(states)
        out: torch.Tensor = self.operator.pooled(normalized, mask, pool)
        return torch.addcmul(pool(merged, mask), out, self.gain) if self.residual else out


class StudentForSequenceClassification(PreTrainedModel):
    """A student: the genome's input and graph, pooling, and a linear classifier.

    With a bound, token scores are added: ``logits = scores + bound / 2 * tanh(graph's logits)``.

    Saves and loads like any Hugging Face model, also by ``AutoModelForSequenceClassification``. If
    :attr:`tokenizer` is set, as by the Distiller, it is saved and loaded with the model.

    Args:
        config: Architecture and sizes.

    Raises:
        DataError: The configuration is of a multi-label classifier or a regression.
    """

    config_class = StudentConfig
    base_model_prefix = "student"
    main_input_name = "input_ids"
    _no_split_modules = ["GraphNode"]

    tokenizer: PreTrainedTokenizerBase | None = None
    """The tokenizer shared with the teacher."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__(config)
        require_one_class(config, owner="The student")
        genome = config.architecture.ordered()
        self.num_labels = config.num_labels
        self.outputs = genome.outputs
        self.bound = genome.bound
        self.token_scores: ops.TokenScores | None = None
        if genome.bound is not None:
            self.token_scores = ops.TokenScores(
                config.vocab_size,
                config.num_labels,
                padding=config.pad_token_id,
                cues=config.cues if genome.scopes else None,
            )
        if genome.bound != 0:
            self._build_graph(config, genome)
        self.post_init()

    def _build_graph(self, config: StudentConfig, genome: Genome) -> None:
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
        # Nodes that are only pooled, and not read by others, can be pooled before their last map.
        read = {0}.union(*(node.inputs for node in genome.nodes))
        self._early: dict[int, Any] = {}
        for k, pool in zip(genome.outputs, self.pools, strict=True):
            linear = k not in read and isinstance(self.nodes[k - 1].operator, ops.LinearEnding)
            if linear and pool.linear:
                self._early[k] = pool
        self.norm = nn.LayerNorm(genome.width)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(genome.width, config.num_labels)

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
            attention_mask: ``(batch, length)``, nonzero at real tokens; default: tokens other than
                the padding token.
            token_type_ids: int64 ``(batch, length)``; default: zeros.
            labels: int64 ``(batch,)``, for the cross-entropy loss.
            return_dict: Return a tuple if false.
            output_hidden_states: Whether to return the hidden states; default: as in the
                configuration.
            kwargs: Ignored, for callers made for other models.

        Raises:
            DataError: A text has more tokens than the student has positions.

        Returns:
            ``logits`` of shape ``(batch, num_labels)``; ``loss`` if there are labels; on request
            ``hidden_states`` of the embedding, then of each of :attr:`nodes`, each
            ``(batch, length, width)``.
        """
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if attention_mask is None:
            pad = self.config.pad_token_id
            mask = torch.ones_like(input_ids, dtype=torch.bool) if pad is None else input_ids != pad
        else:
            mask = attention_mask.bool()
        limit = self.config.max_position_embeddings
        # The tokens are only counted where padding may be all that is too much.
        if self.bound != 0 and mask.shape[1] > limit and int(mask.sum(dim=1).max()) > limit:
            raise DataError(
                f"A text has {int(mask.sum(dim=1).max())} tokens, and this student reads {limit}. "
                f"Cut it: tokenizer(text, truncation=True, max_length={limit}). For longer texts, "
                f"distil with Distiller(..., positions=...)."
            )
        states: list[torch.Tensor] = []
        if self.bound != 0:
            early = not (self.training or torch.is_grad_enabled() or output_hidden_states)
            states = self._states(input_ids, mask, token_type_ids, early=early)
            logits = self.classifier(self.dropout(self.norm(self.pool(states, mask))))
        if self.token_scores is not None:
            scores = self.token_scores(input_ids, mask)
            logits = scores + self.bound / 2 * torch.tanh(logits) if self.bound else scores
        loss = None
        if labels is not None:
            require_one_class(self.config, owner="The student")
            loss = functional.cross_entropy(logits, labels)
        hidden = tuple(states) if output_hidden_states else None
        out = SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=hidden)
        return out.to_tuple() if return_dict is False else out

    def _states(
        self,
        input_ids: torch.Tensor,
        mask: torch.Tensor,
        token_type_ids: torch.Tensor | None,
        *,
        early: bool,
    ) -> list[torch.Tensor]:
        """The hidden states of the embedding and the nodes; ``early``: some of them pooled."""
        states = [self.embedding(input_ids, mask, token_type_ids)]
        for number, node in enumerate(self.nodes, start=1):
            if early and number in self._early:
                states.append(cast(GraphNode, node).pooled(states, mask, self._early[number]))
            else:
                states.append(node(states, mask))
        return states

    def pool(self, states: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """Pool each text into one vector, before the classifier's norm.

        Args:
            states: Hidden states as of :meth:`forward`, or already pooled, ``(batch, width)``.
            mask: bool ``(batch, length)``, true at real tokens.

        Returns:
            ``(batch, width)``.
        """
        pairs = [(states[i], pool) for i, pool in zip(self.outputs, self.pools, strict=True)]
        vectors = [pool(state, mask) if state.dim() == 3 else state for state, pool in pairs]
        return reduce(torch.add, vectors)

    def get_input_embeddings(self) -> nn.Module:
        """Return the token embedding, ``(vocab_size, embedding width)``.

        A student of token scores only has those, ``(vocab_size, num_labels)``.
        """
        tokens: nn.Module = self._input().tokens
        return tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token embedding."""
        self._input().tokens = value

    def _input(self) -> Any:
        return self.token_scores if self.bound == 0 else self.embedding

    def summed_scores(self) -> tuple[ops.TokenScores, float] | None:
        """Return what certificates read of a student with a bound.

        Returns:
            The token scores; and how far the graph moves the difference of two logits from that of
            their sums. ``None`` without a bound.
        """
        return None if self.token_scores is None else (self.token_scores, self.bound or 0.0)

    def _init_weights(self, module: nn.Module) -> None:
        if self.bound != 0 and module is self.classifier:
            # Initially, all classes are about equally likely.
            nn.init.normal_(self.classifier.weight, std=0.02)
            nn.init.zeros_(self.classifier.bias)
        # Scaled so that every operator keeps the variance of its (normalized) input.
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
        elif isinstance(module, (nn.RNNBase, ops.Operator, ops.TokenScores)):
            module.reset_parameters()
        elif isinstance(module, (ops.Merge, ops.Pool)) and hasattr(module, "scores"):
            nn.init.zeros_(module.scores)
        elif isinstance(module, GraphNode) and module.residual:
            nn.init.ones_(module.gain)

    def _resize_token_embeddings(self, new_num_tokens: int, *args: Any, **kwargs: Any) -> Any:
        if self.token_scores is not None and self.bound != 0:
            table = self.token_scores.tokens
            # New tokens have no scores yet.
            resized = nn.Embedding(
                new_num_tokens, table.embedding_dim, padding_idx=table.padding_idx
            )
            rows = min(new_num_tokens, table.num_embeddings)
            with torch.no_grad():
                resized.weight.zero_()
                resized.weight[:rows] = table.weight[:rows]
            self.token_scores.tokens = resized.to(table.weight)
        return super()._resize_token_embeddings(new_num_tokens, *args, **kwargs)

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Save configuration, weights (safetensors) and the tokenizer, if set."""
        super().save_pretrained(save_directory, **kwargs)
        if self.tokenizer is not None:
            upload = {key: value for key, value in kwargs.items() if key in _UPLOAD}
            save_tokenizer(self.tokenizer, save_directory, self.config, **upload)

    @classmethod
    def from_pretrained(cls, name_or_folder: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a student, and its tokenizer if one was saved."""
        loaded = super().from_pretrained(name_or_folder, *args, **kwargs)
        # A pair with output_loading_info.
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
