"""A whole network on a batch: what torch computes, in float, in whole numbers, and on a chip."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cimarch import trace  # noqa: E402
from cimarch.functional.execute import Executor  # noqa: E402
from cimarch.workload import zoo  # noqa: E402


@pytest.mark.parametrize("name", ["mlp", "resnet20", "mobilenetv2_cifar", "vgg8"])
def test_the_float_model_is_what_torch_computes(name):
    torch.manual_seed(0)
    module, shape = zoo.build(name).eval(), zoo.default_input(name)
    network = trace(module, torch.zeros(shape))
    images = torch.randn(3, *shape[1:])
    with torch.no_grad():
        expected = module(images)
    found = Executor.float(network).run(images.numpy())
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)
