"""Run a Network in torch, operation by operation: what its fields say, and nothing else."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional


def run(network, x):
    """The outputs of a network for one input with a batch of one; a list."""
    values = values_of(network, x)
    return [values[name] for name in network.outputs]


def values_of(network, x, states=None):
    """Every tensor of a network by name, for one input and what is there from before."""
    values = {network.inputs[0]: x[0]} | (states or {})
    for operation in network.operations:
        inputs = [values[name] for name in operation.inputs]
        result = KINDS[operation.kind](network, operation, *inputs)
        (name,) = operation.outputs
        values[name] = result.reshape(network.tensors[name].shape)
    return values


def stored(network, path):
    return None if path is None else torch.tensor(network.weights[path].data)


def conv2d(network, operation, x):
    geometry = operation.geometry
    above, below, left, right = geometry.padding
    return F.conv2d(
        F.pad(x[None], (left, right, above, below)),
        stored(network, operation.weight),
        stored(network, operation.bias),
        geometry.stride,
        0,
        geometry.dilation,
        geometry.groups,
    )


def linear(network, operation, x):
    weight = stored(network, operation.weight)
    x = x.reshape(operation.windows, operation.rows)
    return F.linear(x, weight, stored(network, operation.bias))


def activation(network, operation, x):
    settings = dict(operation.settings)
    functions = {
        "hardtanh": lambda x: F.hardtanh(x, settings["low"], settings["high"]),
        "leaky_relu": lambda x: F.leaky_relu(x, settings["negative_slope"]),
        "gelu": lambda x: F.gelu(x, approximate=settings.get("approximate", "none")),
        "power": lambda x: x ** settings["exponent"],
    }
    name = operation.function
    return (functions.get(name) or getattr(F, name, None) or getattr(torch, name))(x)


def combined(operator):
    def combine(network, operation, x, *others):
        if operation.function == "rotary":
            return rotary(operation, x)
        settings = dict(operation.settings)
        constant = settings.get("scalar", stored(network, operation.weight))
        if "first" in settings:
            constant = constant.reshape(-1, constant.shape[-1])[settings["first"] :]
            constant = constant[: settings["count"]]
        other = others[0] if others else constant
        functions = {"subtract": torch.sub, "reverse_subtract": torch.rsub, "divide": torch.div}
        function = functions.get(operation.function, operator)
        return function(x, torch.as_tensor(other) * settings.get("alpha", 1))

    return combine


def pool(network, operation, x):
    geometry = operation.geometry
    above, below, left, right = geometry.padding
    highest = operation.function == "max"
    x = F.pad(x[None], (left, right, above, below), value=float("-inf") if highest else 0.0)
    if highest:
        return F.max_pool2d(x, geometry.kernel, geometry.stride, 0, geometry.dilation)
    return F.avg_pool2d(x, geometry.kernel, geometry.stride)


def norm(network, operation, x):
    settings = dict(operation.settings)
    weight, bias = stored(network, operation.weight), stored(network, operation.bias)
    if operation.function == "batch":
        return x * weight.reshape(-1, 1, 1) + bias.reshape(-1, 1, 1)
    if operation.function == "group":
        return F.group_norm(x[None], settings["groups"], weight, bias, settings["eps"])
    if operation.function == "rms":
        return F.rms_norm(x, x.shape[-settings["dims"] :], weight, settings["eps"])
    return F.layer_norm(x, x.shape[-settings["dims"] :], weight, bias, settings["eps"])


def sdpa(network, operation, query, key, value):
    settings = dict(operation.settings)
    flat = query.dim() == 2  # (tokens, heads x head_dim)
    if flat:
        query, key, value = (
            x.unflatten(1, (heads, -1)).transpose(0, 1)
            for x, heads in (
                (query, settings["heads"]),
                (key, settings["kv_heads"]),
                (value, settings["kv_heads"]),
            )
        )
    shared = settings["heads"] // settings["kv_heads"]
    key, value = key.repeat_interleave(shared, 0), value.repeat_interleave(shared, 0)
    seen = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool)
    if settings["is_causal"]:
        seen = seen.tril(settings["earlier"])
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
    return mixed.transpose(0, 1) if flat else mixed


def rotary(operation, x):
    """Pairs of a head turn: neighbours, or numbers half a head apart."""
    settings = dict(operation.settings)
    size, half = settings["head_dim"], settings["head_dim"] // 2
    rates = settings["theta"] ** (-torch.arange(half) * 2.0 / size)
    angles = (torch.arange(len(x)) + settings["start"])[:, None, None] * rates
    pairs = (half, 2) if settings["interleaved"] else (2, half)
    axis = 3 if settings["interleaved"] else 2
    one, other = x.reshape(len(x), -1, *pairs).unbind(axis)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((one * cos - other * sin, one * sin + other * cos), axis)


def softmax(network, operation, x):
    settings = dict(operation.settings)
    return getattr(torch, operation.function)(x.reshape(settings["sizes"]), settings["dim"])


def reshape(network, operation, x):
    settings = dict(operation.settings)
    if operation.function == "permute":
        return x.reshape(settings["sizes"]).permute(settings["dims"])
    if operation.function == "expand":
        return x.reshape(settings["sizes"]).expand(settings["to"])
    return x


def slice_(network, operation, x):
    settings = dict(operation.settings)
    x = x.reshape(settings["sizes"])
    start, step, axis = settings["start"], settings["step"], settings["dim"]
    every = x.index_select(axis, torch.arange(start, x.shape[axis], step))
    wanted = network.tensors[operation.outputs[0]].elements * every.shape[axis] // every.numel()
    return every.narrow(axis, 0, wanted)


def pad(network, operation, x):
    settings = dict(operation.settings)
    x = x.reshape(settings["sizes"])
    amounts = [n for pair in zip(settings["before"], settings["after"], strict=True) for n in pair]
    pairs = [amounts[i : i + 2] for i in range(0, len(amounts), 2)]
    return F.pad(x, [n for pair in pairs[::-1] for n in pair])


def concat(network, operation, *inputs):
    settings = dict(operation.settings)
    axis, sizes = settings["dim"], settings["sizes"]
    if "stored" in settings:
        inputs = list(inputs)
        inputs.insert(settings["stored"], stored(network, operation.weight))
    before = 1
    for size in sizes[:axis]:
        before *= size
    return torch.cat([x.reshape(before, -1) for x in inputs], 1)


def embedding(network, operation, x):
    return F.embedding(x, stored(network, operation.weight))


KINDS = {
    "conv2d": conv2d,
    "linear": linear,
    "matmul": lambda network, operation, a, b: a @ b,
    "sdpa": sdpa,
    "activation": activation,
    "add": combined(torch.add),
    "mul": combined(torch.mul),
    "softmax": softmax,
    "norm": norm,
    "pool": pool,
    "reshape": reshape,
    "slice": slice_,
    "pad": pad,
    "concat": concat,
    "embedding": embedding,
}
