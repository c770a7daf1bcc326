"""A student's network: a genome as a Hugging Face sequence classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from rosearch import operators as ops
from rosearch.data import require_one_class
from rosearch.errors import ArgumentError, DataError
from rosearch.operators import kernels
from rosearch.operators.inputs.base import IndirectTable
from rosearch.space import Genome, Node
from rosearch.student.configuration import StudentConfig
from rosearch.student.resizing import resize_buffers, resize_scores

_REFUSED = tuple(
    "output_attentions position_ids head_mask past_key_values encoder_hidden_states".split()
)
"""Arguments of other models' forward that would be missed silently."""


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


class StudentNetwork(PreTrainedModel):
    """A student: the genome's input and graph, pooling, and a linear classifier.

    With a bound, token scores are added: ``logits = scores + bound / 2 * tanh(graph's logits)``.

    Everything that a student computes, and nothing of its folder: this class is also the code that
    the folder carries, see :mod:`rosearch.student.remote_code`.

    Args:
        config: Architecture and sizes.

    Raises:
        DataError: The configuration is of a multi-label classifier or a regression.
    """

    config_class = StudentConfig
    base_model_prefix = "student"
    main_input_name = "input_ids"
    _no_split_modules = ["GraphNode"]
    # Else the Trainer expects a loss that is divided by the examples of all accumulated batches.
    accepts_loss_kwargs = False

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
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
        output_hidden_states: bool | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput | tuple[torch.Tensor, ...]:
        """Classify a batch.

        Args:
            input_ids: int64 ``(batch, length)``.
            attention_mask: ``(batch, length)``, nonzero at real tokens; default: tokens other than
                the padding token. Of a text without any, the first token is read.
            token_type_ids: int64 ``(batch, length)``; default: zeros.
            labels: int64 ``(batch,)``, for the cross-entropy loss.
            return_dict: Return a tuple if false; default: as in the configuration.
            output_hidden_states: Whether to return the hidden states; default: as in the
                configuration.
            inputs_embeds: Instead of ``input_ids``, the vectors of the tokens as of
                ``get_input_embeddings()``, ``(batch, length, embedding width)``, for students that
                read nothing else of a token.
            kwargs: Ignored, for callers made for other models, apart from those that would change
                the answer of other models or ask for more of it.

        Returns:
            ``logits`` of shape ``(batch, num_labels)``; ``loss`` if there are labels; on request
            ``hidden_states`` of the embedding, then of each of :attr:`nodes`, each
            ``(batch, length, width)``.

        Raises:
            DataError: With ``labels``, the configuration is of no classifier of one class, or they
                are no class indices.
            ArgumentError: A text has more tokens than the student has positions; there are neither
                or both of ``input_ids`` and ``inputs_embeds``, or the student needs the former; or
                an argument is one that students do not have, such as ``output_attentions``.
        """
        self._check_inputs(input_ids, inputs_embeds, kwargs)
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if return_dict is None:
            traced = getattr(self.config, "torchscript", False)
            return_dict = self.config.return_dict and not traced
        if attention_mask is not None:
            mask = attention_mask.bool()
        elif input_ids is None or self.config.pad_token_id is None:
            given = cast(torch.Tensor, inputs_embeds if input_ids is None else input_ids)
            mask = torch.ones(given.shape[:2], dtype=torch.bool, device=given.device)
        else:
            mask = input_ids != self.config.pad_token_id
        states: list[torch.Tensor] = []
        if self.bound != 0:
            early = not (self.training or torch.is_grad_enabled() or output_hidden_states)
            read = _with_a_token(mask)
            if inputs_embeds is None:
                first = self.embedding(input_ids, read, token_type_ids)
            else:
                first = self.embedding.embed(inputs_embeds, read, token_type_ids)
            states = self._states(first, read, early=early)
            logits = self._classified(states, read)
        if self.token_scores is not None:
            scores = self.token_scores(input_ids, mask)
            logits = scores + self.bound / 2 * torch.tanh(logits) if self.bound else scores
        loss = None
        if labels is not None:
            require_one_class(self.config, owner="The student")
            if labels.is_floating_point() or labels.numel() != len(logits):
                raise DataError(
                    f"labels must be class indices, int64 (batch,), got {labels.dtype} of shape "
                    f"{tuple(labels.shape)}. A student chooses one class of several."
                )
            loss = functional.cross_entropy(logits, labels.view(-1))
        hidden = tuple(states) if output_hidden_states else None
        out = SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=hidden)
        return out.to_tuple() if return_dict is False else out

    def _check_inputs(self, input_ids: Any, inputs_embeds: Any, others: Mapping[str, Any]) -> None:
        if (input_ids is None) == (inputs_embeds is None):
            raise ArgumentError("Give either input_ids or inputs_embeds.")
        reads_vectors = self.token_scores is None and self._reads_vectors()
        if inputs_embeds is not None and not reads_vectors:
            scored = self.token_scores is not None
            name = "token scores" if scored else type(self._input()).__name__
            raise ArgumentError(
                f"This student needs input_ids: its {name} cannot be computed from inputs_embeds."
            )
        if others.get("output_attentions") is None and self.config.output_attentions:
            others = {**others, "output_attentions": True}
        for name in _REFUSED:
            value = others.get(name)
            if value is not None and value is not False:
                raise ArgumentError(f"Students have no {name}. Leave out the argument.")

    def _reads_vectors(self) -> bool:
        """Whether the graph reads nothing of a token but its vector."""
        kind: Any = type(None if self.bound == 0 else self.embedding)
        plain = ops.EmbeddingOperator
        return all(getattr(kind, k, None) is getattr(plain, k) for k in ("vectors", "forward"))

    def token_vectors(self, tokens: torch.Tensor) -> torch.Tensor | None:
        """Return what the graph reads of tokens, wherever they stand; certificates bound it.

        Args:
            tokens: int64 ``(tokens,)``.

        Returns:
            ``(tokens, embedding width)``; ``None`` if there is no graph, or it reads more.
        """
        if not self._reads_vectors():
            return None
        found: torch.Tensor = self.embedding.tokens(tokens)
        return found

    def graph_logits(
        self, vectors: torch.Tensor, mask: torch.Tensor, token_type_ids: torch.Tensor | None
    ) -> torch.Tensor:
        """Return what the graph answers, before its bound; certificates bound it.

        Args:
            vectors: The vectors of tokens as of ``get_input_embeddings()``, ``(batch, length,
                embedding width)``.
            mask: bool ``(batch, length)``, true at real tokens, of which each text has one.
            token_type_ids: int64 ``(batch, length)``; ``None``: zeros.

        Returns:
            ``(batch, num_labels)``.
        """
        first = self.embedding.embed(vectors, mask, token_type_ids)
        return self._classified(self._states(first, mask, early=False), mask)

    def _classified(self, states: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.dropout(self.norm(self.pool(states, mask))))
        return logits

    def _states(
        self, first: torch.Tensor, mask: torch.Tensor, *, early: bool
    ) -> list[torch.Tensor]:
        """The hidden states of the embedding and the nodes; ``early``: some of them pooled."""
        states = [first]
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
        """Replace the token embedding.

        Raises:
            ArgumentError: Tokens do not simply read their own rows, and those of ``value`` do.
        """
        own = self.get_input_embeddings()
        if isinstance(own, IndirectTable) and not isinstance(value, IndirectTable):
            raise ArgumentError(
                f"The tokens of this student share rows: its token embedding must be a "
                f"{type(own).__name__}, got {type(value).__name__}. Copy weights into "
                f"get_input_embeddings().weight instead."
            )
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

    def _resize_token_embeddings(
        self, new_num_tokens: int | None, *args: Any, **kwargs: Any
    ) -> nn.Module:
        before: Any = self.get_input_embeddings()
        fewer = new_num_tokens is not None and new_num_tokens < before.num_embeddings
        if fewer and isinstance(before, IndirectTable):
            raise ArgumentError(
                f"A {self.config.architecture.embedding.operator} cannot lose tokens, because "
                f"others read their rows. Keep at least {before.num_embeddings} tokens."
            )
        scores = self.token_scores
        if scores is not None and self.bound == 0:
            pad_to = kwargs.get("pad_to_multiple_of") or (args[0] if args else None) or 1
            wanted = before.num_embeddings if new_num_tokens is None else new_num_tokens
            resize_scores(scores, -(-wanted // pad_to) * pad_to)
            return scores.tokens
        table: Any = super()._resize_token_embeddings(new_num_tokens, *args, **kwargs)
        parameters = self.config.architecture.embedding.parameters
        resize_buffers(self.embedding, table.num_embeddings, parameters)
        if scores is not None:
            resize_scores(scores, table.num_embeddings)
        return self.get_input_embeddings()


def _with_a_token(mask: torch.Tensor) -> torch.Tensor:
    """Return the mask ``(batch, length)``, with the first token of each empty text made real.

    Attention over no token has no value, and the mean of none is 0 before a linear map but not
    after it: fast paths would answer differently.
    """
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    return mask | (first & ~mask.any(dim=1, keepdim=True))
