"""Rules of interval arithmetic for the functions of torch that students are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from rosearch.attack.certificates.intervals import Interval, NoRuleError, rule

_LOWEST: dict[str, tuple[float, float]] = {
    "gelu": (-0.7517915246935645, -0.16997120747990371),
    "silu": (-1.2784645427610738, -0.27846454276107382),
}
"""Where functions that fall and then rise have their minimum, and a number just below it."""


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise NoRuleError(f"{what} has no rule for intervals")


def _constant(value: Any) -> Any:
    """A tensor of floats in float64; anything else as it is."""
    is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.double() if is_float else value


def _each_end(function: Callable[..., Any], hidden: Any, *args: Any, **kwargs: Any) -> Any:
    """A function that moves elements, or grows with each of them."""
    if isinstance(hidden, (list, tuple)):
        ends = [Interval.of(one) for one in hidden]
        low = function([one.low for one in ends], *args, **kwargs)
        return Interval(low, function([one.high for one in ends], *args, **kwargs))
    if any(isinstance(value, Interval) for value in (*args, *kwargs.values())):
        raise NoRuleError(f"{function.__name__} has a rule for one interval only")
    args = tuple(_constant(value) for value in args)
    low, high = (function(end, *args, **kwargs) for end in (hidden.low, hidden.high))
    if isinstance(low, tuple):
        return tuple(Interval(a, b) for a, b in zip(low, high, strict=True))
    return Interval(low, high)


_OF_TENSORS = (
    "transpose permute squeeze unsqueeze view reshape flatten expand contiguous clone chunk unbind "
    "split flip gather masked_fill repeat repeat_interleave narrow unflatten sum mean amax clamp "
    "tanh sigmoid exp"
)
"""Methods and functions that move elements, or grow with each of them."""

for _name in _OF_TENSORS.split():
    rule(_name)(partial(_each_end, getattr(torch.Tensor, _name)))
for _name in ("cat", "stack"):
    rule(_name)(partial(_each_end, getattr(torch, _name)))
for _name in ("pad", "max_pool2d", "avg_pool2d"):
    rule(_name)(partial(_each_end, getattr(functional, _name)))


@rule("relu")
def _relu(hidden: Interval, inplace: bool = False) -> Interval:
    _require(not inplace, "relu in place")
    found: Interval = _each_end(functional.relu, hidden)
    return found


@rule("elu")
def _elu(hidden: Interval, alpha: float = 1.0, inplace: bool = False) -> Interval:
    _require(not inplace and alpha >= 0, "elu in place, or that falls,")
    found: Interval = _each_end(functional.elu, hidden, alpha)
    return found


@rule("to")
def _to(hidden: Interval, *args: Any, **kwargs: Any) -> Interval:
    dtypes = [one for one in (*args, *kwargs.values()) if isinstance(one, torch.dtype)]
    _require(all(dtype.is_floating_point for dtype in dtypes), "rounding to whole numbers")
    return hidden


@rule("dropout")
def _dropout(hidden: Interval, p: float = 0.5, training: bool = True, **_: Any) -> Interval:
    _require(not training or p == 0, "dropout in training")
    return hidden


@rule("expand_as")
def _expand_as(value: Any, other: Any) -> Any:
    return value.expand(other.shape)


@rule("add", "radd")
def _add(first: Any, second: Any, **kwargs: Any) -> Interval:
    if kwargs:
        raise NoRuleError("add has no rule for its factor")
    first, second = Interval.of(first), Interval.of(second)
    return Interval(first.low + second.low, first.high + second.high)


@rule("sub")
def _subtract(first: Any, second: Any) -> Interval:
    return _add(first, _negate(second))


@rule("rsub")
def _subtract_from(first: Any, second: Any) -> Interval:
    return _add(second, _negate(first))


@rule("neg")
def _negate(hidden: Any) -> Interval:
    own = Interval.of(hidden)
    return Interval(-own.high, -own.low)


@rule("mul", "rmul")
def _multiply(first: Any, second: Any) -> Interval:
    a, b = Interval.of(first), Interval.of(second)
    if not isinstance(first, Interval) or not isinstance(second, Interval):
        ends = (a.low * b.low, a.high * b.high)
        return Interval(torch.minimum(*ends), torch.maximum(*ends))
    products = torch.stack([x * y for x in (a.low, a.high) for y in (b.low, b.high)])
    return Interval(products.amin(dim=0), products.amax(dim=0))


@rule("reciprocal")
def _reciprocal(hidden: Interval) -> Interval:
    if not bool((hidden.low > 0).all()):
        raise NoRuleError("division by what may be zero or negative has no rule for intervals")
    return Interval(1 / hidden.high, 1 / hidden.low)


@rule("div", "truediv")
def _divide(first: Any, second: Any) -> Interval:
    if isinstance(second, Interval):
        return _multiply(first, _reciprocal(second))
    return _multiply(first, 1 / torch.as_tensor(second).double())


@rule("addcmul")
def _add_product(first: Any, second: Any, third: Any) -> Interval:
    return _add(first, _multiply(second, third))


def _bilinear(function: Callable[[Any, Any], torch.Tensor], first: Any, second: Any) -> Interval:
    """Midpoints and radii (Rump 1999): tight if one of them is no interval."""
    a, b = Interval.of(first), Interval.of(second)
    if bool((a.low >= 0).all() and (b.low >= 0).all()):
        return Interval(function(a.low, b.low), function(a.high, b.high))
    middle_a, middle_b = (a.low + a.high) / 2, (b.low + b.high) / 2
    radius_a, radius_b = (a.high - a.low) / 2, (b.high - b.low) / 2
    middle = function(middle_a, middle_b)
    if not isinstance(second, Interval):
        radius = function(radius_a, middle_b.abs())
    elif not isinstance(first, Interval):
        radius = function(middle_a.abs(), radius_b)
    else:
        radius = function(middle_a.abs() + radius_a, radius_b)
        radius = radius + function(radius_a, middle_b.abs())
    return Interval(middle - radius, middle + radius)


@rule("matmul", "bmm")
def _matrix_product(first: Any, second: Any) -> Interval:
    return _bilinear(torch.matmul, first, second)


@rule("einsum")
def _einsum(equation: str, *operands: Any) -> Interval:
    _require(len(operands) == 2, "einsum of other than two tensors")
    first, second = operands
    return _bilinear(partial(torch.einsum, equation), first, second)


@rule("linear")
def _linear(hidden: Interval, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Interval:
    out = _bilinear(functional.linear, hidden, weight)
    return _add(out, 0.0 if bias is None else bias)


@rule("conv2d")
def _convolve(
    hidden: Interval, weight: torch.Tensor, bias: torch.Tensor | None = None, *args: Any, **kw: Any
) -> Interval:
    def convolve(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, w, None, *args, **kw)

    out = _bilinear(convolve, hidden, weight)
    return out if bias is None else _add(out, bias.view(-1, 1, 1))


def _with_one_minimum(name: str, hidden: Interval, **kwargs: Any) -> Interval:
    function, (place, lowest) = getattr(functional, name), _LOWEST[name]
    low, high = function(hidden.low, **kwargs), function(hidden.high, **kwargs)
    inside = (hidden.low <= place) & (place <= hidden.high)
    least = torch.minimum(low, high).masked_fill(inside, lowest)
    return Interval(least, torch.maximum(low, high))


@rule("gelu")
def _gelu(hidden: Interval, approximate: str = "none") -> Interval:
    if approximate != "none":
        raise NoRuleError("the approximate GELU has no rule for intervals")
    return _with_one_minimum("gelu", hidden)


@rule("silu")
def _silu(hidden: Interval, inplace: bool = False) -> Interval:
    _require(not inplace, "silu in place")
    return _with_one_minimum("silu", hidden)


def _log_sum_of_others(hidden: torch.Tensor, dim: int) -> torch.Tensor:
    """For each element ``log sum exp`` of the others.

    It is the sum of all less the element. That cancels nothing, since the largest stays in it; the
    sum of what is beside the largest is made anew.
    """
    largest, place = hidden.max(dim=dim, keepdim=True)
    shares = (hidden - largest).exp()
    others = largest + (shares.sum(dim=dim, keepdim=True) - shares).log()
    rest = hidden.scatter(dim, place, -math.inf).logsumexp(dim=dim, keepdim=True)
    return others.scatter(dim, place, rest)


@rule("softmax")
def _softmax(hidden: Interval, dim: int = -1, **_: Any) -> Interval:
    """Each share is smallest where its own score is lowest and all others are highest."""
    least = torch.sigmoid(hidden.low - _log_sum_of_others(hidden.high, dim))
    return Interval(least, torch.sigmoid(hidden.high - _log_sum_of_others(hidden.low, dim)))


@rule("layer_norm")
def _layer_norm(
    hidden: Interval,
    shape: Sequence[int],
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> Interval:
    if len(shape) != 1:
        raise NoRuleError("layer_norm has a rule for one dimension only")
    width = shape[0]
    total_low, total_high = (x.sum(dim=-1, keepdim=True) for x in (hidden.low, hidden.high))
    # What an element differs from the mean, which it is part of.
    low = hidden.low - (hidden.low + total_high - hidden.high) / width
    high = hidden.high - (hidden.high + total_low - hidden.low) / width
    largest = torch.maximum(low.abs(), high.abs()).square().mean(dim=-1, keepdim=True)
    least = torch.where((low < 0) & (high > 0), 0.0, torch.minimum(low.abs(), high.abs()))
    widest, narrowest = (
        (squared + eps).sqrt() for squared in (largest, least.square().mean(dim=-1, keepdim=True))
    )
    limit = math.sqrt(width - 1)  # of any number, in standard deviations
    normal = Interval(
        torch.where(low < 0, low / narrowest, low / widest).clamp(min=-limit, max=limit),
        torch.where(high > 0, high / narrowest, high / widest).clamp(min=-limit, max=limit),
    )
    out = normal if weight is None else _multiply(normal, weight)
    return out if bias is None else _add(out, bias)


@rule("scaled_dot_product_attention")
def _attend(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Interval:
    _require(not (dropout_p or is_causal or enable_gqa), "attention with other settings")
    _require(not isinstance(attn_mask, Interval), "attention with an unknown mask")
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = _multiply(_matrix_product(query, key.transpose(-2, -1)), factor)
    value = Interval.of(value)
    low, high = value.low, value.high
    if attn_mask is not None:
        added = attn_mask
        if attn_mask.dtype == torch.bool:
            lowest = torch.finfo(torch.float32).min
            zeros = torch.zeros_like(attn_mask, dtype=torch.float64)
            added = zeros.masked_fill(~attn_mask, lowest)
        scores = _add(scores, added)
        # Which tokens are visible is the same for each query, or more are taken.
        visible = (added > torch.finfo(torch.float32).min / 2).any(dim=-2)[..., None]
        low = low.masked_fill(~visible, math.inf)
        high = high.masked_fill(~visible, -math.inf)
    out = _matrix_product(_softmax(scores), value)
    # A mean of the visible tokens' values lies between the least and the largest of them.
    least, most = low.amin(dim=-2, keepdim=True), high.amax(dim=-2, keepdim=True)
    return Interval(torch.maximum(out.low, least), torch.minimum(out.high, most))


def _gates(hidden: Any, weight: Any, bias: Any, count: int) -> tuple[Interval, ...]:
    chunks: tuple[Interval, ...] = _linear(hidden, weight, bias).chunk(count, dim=-1)
    return chunks


def _recurrent(
    step: Callable[[Interval, Any], tuple[Interval, Any]], hidden: Interval, state: Any
) -> tuple[Interval, Any]:
    """All states, and the last."""
    states: list[Interval] = []
    for token in hidden.unbind(1):
        out, state = step(token, state)
        states.append(out)
    return _each_end(torch.stack, states, dim=1), state


def _within(hidden: Interval, limit: torch.Tensor) -> Interval:
    return Interval(torch.maximum(hidden.low, -limit), torch.minimum(hidden.high, limit))


def _check_recurrence(settings: Iterable[Any]) -> None:
    # With biases, one layer, no dropout, in one direction, the batch first.
    biases, layers, _, _, both_ways, batch_first = settings
    if not biases or layers != 1 or both_ways or not batch_first:
        raise NoRuleError("recurrent layers have a rule for one layer in one direction only")


@rule("gru")
def _gru(hidden: Interval, start: Any, weights: Sequence[Any], *settings: Any) -> Any:
    _check_recurrence(settings)
    into, across, into_bias, across_bias = weights
    begin = Interval.of(start[0])
    limit = torch.maximum(begin.low.abs(), begin.high.abs()).clamp(min=1.0)

    def step(token: Interval, state: Interval) -> tuple[Interval, Interval]:
        own = _gates(token, into, into_bias, 3)
        past = _gates(state, across, across_bias, 3)
        reset, keep = (_add(own[k], past[k]).sigmoid() for k in (0, 1))
        new = _add(own[2], _multiply(reset, past[2])).tanh()
        # A mean of the new state and the old one, weighted by the gate.
        corners = [
            getattr(new, end) + getattr(keep, k) * (getattr(state, end) - getattr(new, end))
            for end in ("low", "high")
            for k in ("low", "high")
        ]
        low = torch.minimum(corners[0], corners[1])
        high = torch.maximum(corners[2], corners[3])
        out = _within(Interval(low, high), limit)
        return out, out

    states, last = _recurrent(step, hidden, begin)
    return states, last.unsqueeze(0)


@rule("lstm")
def _lstm(hidden: Interval, start: Any, weights: Sequence[Any], *settings: Any) -> Any:
    _check_recurrence(settings)
    into, across, into_bias, across_bias = weights

    def step(token: Interval, both: Any) -> tuple[Interval, Any]:
        state, cell = both
        gates = _add(_linear(token, into, into_bias), _linear(state, across, across_bias))
        enter, keep, new, leave = gates.chunk(4, dim=-1)
        kept = _multiply(keep.sigmoid(), cell)
        cell = _add(kept, _multiply(enter.sigmoid(), new.tanh()))
        out = _multiply(leave.sigmoid(), cell.tanh())
        return out, (out, cell)

    states, last = _recurrent(step, hidden, tuple(Interval.of(one[0]) for one in start))
    return (states, *(one.unsqueeze(0) for one in last))
