"""
Recordings as real cells leave them, shared by the tests of the report.
"""

import pytest

from tensortoll.model import (
    NO_LINE,
    Conversion,
    Failure,
    Finding,
    Hazard,
    Kind,
    LineCost,
    Peak,
    Place,
    Proof,
    Route,
    Source,
    Span,
    Totals,
)
from tensortoll.recording import Recording

COSTLY = Source(
    "cell [7]",
    """%%tensorcost
rng = np.random.default_rng(0)
x = rng.random(10_000_000)
t = torch.tensor(x, dtype=torch.float32)
v = torch.from_numpy(x)
for b in loader: model(b)
out = [float(p) for p in v[:3]]
""",
)
HEALTHY = Source("cell [8]", "%%tensorcost\nx = np.zeros(1000)\nt = torch.from_numpy(x)\n")
LOOP = Source(
    "cell [9]",
    """%%tensorcost
losses = []
for epoch in range(4):
    for features, labels in loader:
        predictions = network(features.to("cuda:0", non_blocking=True))
        losses.append(criterion(predictions, labels.astype(np.float32)).item())
    print("エポック 🎉", epoch, torch.tensor(losses).mean() + np.asarray(losses).mean())
""",
)


def conversion(
    source,
    line,
    expression,
    origin,
    target,
    *,
    outcome="copy",
    effects=(),
    totals=(1, 1, 0, 0, 0),
    operation=None,
    **rest,
):
    text = (source.text or "").splitlines()[line - 1]
    column = text.index(expression)
    proof = rest.pop("proof", None)
    shape = rest.pop("shape", None)
    return Conversion(
        Route(
            Place(source, line, line, column, column + len(expression), expression),
            operation or expression.partition("(")[0],
            outcome,
            effects,
            rest.pop("implicit", False),
            Kind(*origin),
            Kind(*target),
            **rest,
        ),
        Totals(*totals),
        shape,
        proof,
    )


def costly(*, observed=False):
    return Recording(
        conversions=(
            conversion(
                COSTLY,
                4,
                "torch.tensor(x, dtype=torch.float32)",
                ("numpy", "float64"),
                ("torch", "float32"),
                effects=("cast",),
                totals=(1, 1, 80_000_000, 40_000_000, 31_000_000),
                shape=(10_000_000,),
                proof=Proof(
                    Span(0x7F3A10000010, 0x7F3A10000010 + 80_000_000),
                    Span(0x7F3A20000040, 0x7F3A20000040 + 40_000_000),
                ),
            ),
            conversion(
                COSTLY,
                5,
                "torch.from_numpy(x)",
                ("numpy", "float64"),
                ("torch", "float64"),
                outcome="view",
                totals=(1, 0, 0, 0, 4_000),
                shape=(10_000_000,),
                proof=Proof(
                    Span(0x7F3A10000010, 0x7F3A10000010 + 80_000_000),
                    Span(0x7F3A10000010, 0x7F3A10000010 + 80_000_000),
                ),
            ),
            conversion(
                COSTLY,
                6,
                "model(b)",
                ("numpy", "float32"),
                ("tensorflow", "float32"),
                implicit=True,
                operation="Sequential.__call__",
                totals=(64, 128, 585_000_000, 1_170_000_000, 655_000_000),
                via="/usr/lib/python3/site-packages/keras/src/layers/layer.py:272",
            ),
            conversion(
                COSTLY,
                7,
                "float(p)",
                ("torch", "float64"),
                ("python", "float64"),
                effects=("unbox",),
                totals=(3, 3, 24, 0, 9_000),
            ),
        ),
        sources=(COSTLY,),
        elapsed_ns=1_840_000_000,
        lines=(
            LineCost(COSTLY, NO_LINE, 0, 496_796_000),
            LineCost(COSTLY, 2, 1, 90_000, 3_000, 20, 3_000, apart=(("objects", 2_097_152),)),
            LineCost(COSTLY, 3, 1, 112_000_000, 80_000_000, 1, 80_000_000),
            LineCost(COSTLY, 4, 1, 31_200_000, 40_000_832, 4, 120_000_000, 832),
            LineCost(COSTLY, 5, 1, 4_000, 352, 1, 120_000_352),
            LineCost(
                COSTLY,
                6,
                64,
                1_200_000_000,
                1_200_000_000,
                900,
                190_000_000,
                30_000_000,
                hidden_bytes=29_000_000,
                hidden_via="keras/src/trainers/data_adapters/array_data_adapter.py:272",
            ),
        )
        if observed
        else (),
        findings=(
            Finding(
                "TT203",
                COSTLY,
                3,
                "float64 by NumPy's default, cast on line 4",
                "x = rng.random(10_000_000, dtype=np.float32)",
                verified=True,
                saved_bytes=40_000_000,
                saved_ns=610_000_000,
                caveats=("same to 1e-7",),
            ),
            Finding(
                "TT101",
                COSTLY,
                6,
                "each batch is copied twice on its way into Keras",
                "for b in loader.map(tf.convert_to_tensor): model(b)",
                verified=False,
                saved_bytes=585_000_000,
                caveats=("needs TensorFlow's own pipeline",),
            ),
        )
        if observed
        else (),
        overhead_ns=251_000_000 if observed else 21_000_000,
        overheads=(("hooks", 21_000_000), ("memory", 190_000_000), ("time", 40_000_000))
        if observed
        else (),
        peak=Peak(190_000_000, 40_000_000, 40_000_000) if observed else None,
        blind_spots=(),
    )


def healthy():
    return Recording(
        conversions=(
            conversion(
                HEALTHY,
                3,
                "torch.from_numpy(x)",
                ("numpy", "float64"),
                ("torch", "float64"),
                outcome="view",
                totals=(3, 0, 0, 0, 12_000),
            ),
        ),
        sources=(HEALTHY,),
        elapsed_ns=12_000_000,
        overhead_ns=40_000,
    )


def loop():
    return Recording(
        conversions=(
            conversion(
                LOOP,
                4,
                "loader",
                ("numpy", "float64"),
                ("torch", "float64"),
                totals=(64, 64, 67_108_864, 67_108_864, 21_000_000),
                operation="default_collate",
                implicit=True,
                via="/opt/lib/torch/utils/data/_utils/collate.py:272",
                where="thread Thread-3 (worker), waited for here",
            ),
            conversion(
                LOOP,
                5,
                'features.to("cuda:0", non_blocking=True)',
                ("torch", "float64"),
                ("torch", "float64", "cuda:0"),
                effects=("h2d", "non_blocking"),
                totals=(64, 64, 67_108_864, 67_108_864, 9_000_000),
                operation="Tensor.to",
            ),
            conversion(
                LOOP,
                6,
                "labels.astype(np.float32)",
                ("numpy", "int64"),
                ("numpy", "float32"),
                effects=("cast",),
                totals=(64, 64, 65_536, 32_768, 90_000),
                operation="ndarray.astype",
            ),
            conversion(
                LOOP,
                7,
                "torch.tensor(losses)",
                ("python", "float64"),
                ("torch", "float32"),
                effects=("parse",),
                totals=(4, 4, 0, 640, 40_000),
            ),
            conversion(
                LOOP,
                7,
                "torch.tensor(losses).mean() + np.asarray(losses).mean()",
                ("numpy", "float64"),
                ("torch", "float32"),
                outcome="failed",
                totals=(1, 0, 0, 0, 0),
                operation="+",
                implicit=True,
            ),
        ),
        sources=(LOOP,),
        elapsed_ns=310_000_000,
        failures=(
            Failure(
                LOOP,
                7,
                "torch.tensor(losses).mean() + np.asarray(losses).mean()",
                "TypeError: unsupported operand type(s)",
                "dtype-mismatch",
                "a NumPy scalar of float64 meets a tensor of float32",
                "convert one of them first: torch.as_tensor(losses)",
            ),
        ),
        hazards=(Hazard(LOOP, 5, 6, "labels", "features", "8 of 64 batches overlapped"),),
        overhead_ns=2_000_000,
        blind_spots=("2 worker processes pickled their batches before this process saw them.",),
        faults=("could not read an address of BufferError (x2)", "no shape (x1)"),
    )


def huge(lines=5_000, groups=100_000, nbytes=8):
    source = Source("huge.py", "\n".join(f"value_{n} = torch.tensor(x_{n})" for n in range(lines)))
    dtypes = ["float64", "float32", "int64", "int32", "uint8"]
    return Recording(
        conversions=tuple(
            Conversion(
                Route(
                    Place(source, n % lines + 1, n % lines + 1, 8, 30, "torch.tensor(x)"),
                    "torch.tensor",
                    "copy",
                    ("cast",),
                    implicit=False,
                    origin=Kind("numpy", dtypes[n % 5]),
                    target=Kind("torch", dtypes[n % 3]),
                    via=f"lib/file_{n}.py:1",
                ),
                Totals(1, 1, n + nbytes, n + nbytes, 1_000),
            )
            for n in range(groups)
        ),
        sources=(source,),
        elapsed_ns=10**10,
    )


class Samples:
    """
    Recordings by name, each made anew, and the function that makes a row.
    """

    conversion = staticmethod(conversion)
    costly = staticmethod(costly)
    healthy = staticmethod(healthy)
    loop = staticmethod(loop)
    huge = staticmethod(huge)


@pytest.fixture(scope="session")
def samples():
    return Samples
