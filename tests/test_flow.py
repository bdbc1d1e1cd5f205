"""Known motion is recovered, and strain has its known values."""

import numpy as np
import pytest
from baseline_samples import texture

from mer_core.motion.flow import optical_flow
from mer_core.motion.strain import optical_strain


@pytest.mark.parametrize("estimator", ["dis", "tvl1", "farneback"])
@pytest.mark.parametrize("shift", [(0.7, -0.4), (-0.25, 1.5)])
def test_sub_pixel_shifts_are_recovered(estimator, shift):
    flow = optical_flow(texture(), texture(*shift), estimator)
    assert flow.dtype == np.float32
    assert flow.shape == (64, 64, 2)
    np.testing.assert_allclose(np.median(flow[8:-8, 8:-8], axis=(0, 1)), shift, atol=0.06)


def linear_flow(gradient, shift=(0.0, 0.0)):
    """right, down = gradient @ (x, y) + shift, on 8 by 10 pixels."""
    y, x = np.indices((8, 10))
    return np.stack([x, y], axis=-1) @ np.array(gradient, float).T + shift


@pytest.mark.parametrize(
    ("gradient", "four_term", "three_term"),
    [
        ([[0, 0], [0, 0]], 0, 0),
        ([[0, -0.02], [0.02, 0]], 0, 0),  # rotation
        ([[0.02, 0], [0, 0.02]], np.sqrt(2) * 0.02, np.sqrt(2) * 0.02),  # scaling
        ([[0, 0.02], [0, 0]], np.sqrt(0.5) * 0.02, 0.01),  # shear
        ([[0.03, 0.02], [0.04, -0.05]], np.sqrt(34 + 18) / 100, np.sqrt(34 + 9) / 100),
    ],
)
def test_strain_of_linear_flows(gradient, four_term, three_term):
    flow = linear_flow(gradient, shift=(3.0, -1.0))
    np.testing.assert_allclose(optical_strain(flow, "four_term"), four_term, atol=1e-12)
    np.testing.assert_allclose(optical_strain(flow, "three_term"), three_term, atol=1e-12)


def test_flows_may_be_stacked():
    flows = np.stack([linear_flow([[0.01, 0], [0, 0]]), linear_flow([[0, 0], [0, 0.02]])])
    strain = optical_strain(flows, "four_term")
    np.testing.assert_allclose(strain[:, 4, 4], [0.01, 0.02])
