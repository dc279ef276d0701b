"""A model archive made by hand, part by part, so that each part can be made wrong."""

from __future__ import annotations

import io
import json
import struct
import zipfile


def sizes(*numbers):
    return [{"as_int": n} for n in numbers]


def tensor_meta(*shape, dtype=7):
    strides = [1]
    for n in shape[:0:-1]:
        strides.insert(0, strides[0] * n)
    return {
        "dtype": dtype,
        "sizes": sizes(*shape),
        "requires_grad": False,
        "device": {"type": "cpu", "index": None},
        "strides": sizes(*strides[: len(shape)]),
        "storage_offset": {"as_int": 0},
        "layout": 7,
    }


def tensor(name):
    return {"as_tensor": {"name": name}}


def call(target, arguments, output, module=""):
    return {
        "target": f"torch.ops.aten.{target}",
        "inputs": [{"name": k, "arg": v, "kind": 1} for k, v in arguments.items()],
        "outputs": [tensor(output)],
        "metadata": {"nn_module_stack": f"L__self__,,net.Net;k,{module},torch.nn.modules.x.Y"},
    }


def program():
    """1 x 2 x 4 x 4 -> a 3 x 3 convolution to 3 channels -> relu."""
    convolution = {
        "input": tensor("x"),
        "weight": tensor("w"),
        "bias": {"as_none": True},
        "stride": {"as_ints": [1, 1]},
        "padding": {"as_ints": [1, 1]},
    }
    return {
        "graph_module": {
            "graph": {
                "inputs": [tensor("w"), tensor("x")],
                "outputs": [tensor("y")],
                "nodes": [
                    call("conv2d.default", convolution, "c", "conv"),
                    call("relu.default", {"self": tensor("c")}, "y", "act"),
                ],
                "tensor_values": {
                    "w": tensor_meta(3, 2, 3, 3),
                    "x": tensor_meta(1, 2, 4, 4),
                    "c": tensor_meta(1, 3, 4, 4),
                    "y": tensor_meta(1, 3, 4, 4),
                },
                "sym_int_values": {},
            },
            "signature": {
                "input_specs": [
                    {"parameter": {"arg": {"name": "w"}, "parameter_name": "conv.weight"}},
                    {"user_input": {"arg": tensor("x")}},
                ],
                "output_specs": [{"user_output": {"arg": tensor("y")}}],
            },
        },
        "schema_version": {"major": 8, "minor": 20},
    }


class Tiny:
    """The archive of `program`, in parts."""

    def __init__(self):
        self.program = program()
        self.graph = self.program["graph_module"]["graph"]
        self.entry = {
            "path_name": "weight_0",
            "is_param": True,
            "use_pickle": False,
            "tensor_meta": tensor_meta(3, 2, 3, 3),
        }
        self.weight = struct.pack("<54f", *range(54))
        self.extra = {}
        """Further members, by name."""

    def members(self):
        config = {"config": {"conv.weight": self.entry}}
        return {
            "net/models/model.json": json.dumps(self.program).encode(),
            "net/data/weights/model_weights_config.json": json.dumps(config).encode(),
            "net/data/weights/weight_0": self.weight,
            "net/byteorder": b"little",
            **self.extra,
        }

    def bytes(self, method=zipfile.ZIP_STORED):
        with io.BytesIO() as buffer:
            with zipfile.ZipFile(buffer, "w", method) as archive:
                for name, data in self.members().items():
                    archive.writestr(name, data)
            return buffer.getvalue()
