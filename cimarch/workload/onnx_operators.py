"""The ONNX operators that are covered: a table from their names to calls of ATen's operators.

A conversion says what an operation is in the words of `operators`, whose rules then check it; the
files that conversions come from know only ONNX's own ways. To cover another operator, add a line
here.
"""

from __future__ import annotations

from cimarch.workload.onnx_call import Conversion
from cimarch.workload.onnx_digital import (
    batch_norm,
    binary,
    clip,
    elementwise,
    gelu,
    global_pool,
    hard_sigmoid,
    layer_norm,
    pool,
    power,
    reduce_mean,
    rms_norm,
    sigmoid,
    softmax,
)
from cimarch.workload.onnx_matrix import conv, gemm, matmul
from cimarch.workload.onnx_views import (
    concat,
    dropout,
    expand,
    flatten,
    gather,
    pad,
    reshape,
    same,
    slice_,
    split,
    squeeze,
    transpose,
    unsqueeze,
)

CONVERSIONS: dict[str, Conversion] = {
    # products
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": matmul,
    # functions of one element
    "Relu": elementwise("relu"),
    "Clip": clip,
    "Sigmoid": sigmoid,
    "Tanh": elementwise("tanh"),
    "HardSigmoid": hard_sigmoid,
    "HardSwish": elementwise("hardswish"),
    "Swish": elementwise("silu"),
    "Gelu": gelu,
    "Mish": elementwise("mish"),
    "LeakyRelu": elementwise("leaky_relu", negative_slope=("alpha", 0.01)),
    "Elu": elementwise("elu", alpha=("alpha", 1.0)),
    "Softplus": elementwise("softplus"),
    "Exp": elementwise("exp"),
    "Log": elementwise("log"),
    "Erf": elementwise("erf"),
    "Sin": elementwise("sin"),
    "Cos": elementwise("cos"),
    "Sqrt": elementwise("sqrt"),
    "Reciprocal": elementwise("reciprocal"),
    "Abs": elementwise("abs"),
    "Neg": elementwise("neg"),
    "Pow": power,
    # of two
    "Add": binary("add"),
    "Sub": binary("sub"),
    "Mul": binary("mul"),
    "Div": binary("div"),
    # of many
    "Softmax": softmax("softmax"),
    "LogSoftmax": softmax("log_softmax"),
    "BatchNormalization": batch_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "MaxPool": pool("max_pool2d"),
    "AveragePool": pool("avg_pool2d"),
    "GlobalAveragePool": global_pool("adaptive_avg_pool2d"),
    "GlobalMaxPool": global_pool("adaptive_max_pool2d"),
    "ReduceMean": reduce_mean,
    "Gather": gather,
    # of places
    "Flatten": flatten,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Slice": slice_,
    "Split": split,
    "Pad": pad,
    "Expand": expand,
    # of nothing
    "Identity": same("alias"),
    "Cast": same("_to_copy"),
    "Dropout": dropout,
}
"""By the operator's name in the standard domain."""
